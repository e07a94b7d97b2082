"""One request of MLflow's wire: what its handler gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog
from toolkit.server.wire.messages import Locate, Message
from toolkit.server.wire.request import Fields


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        fields: Its body, or its query.
        stores: What it is about.
        locate: How places of artifacts are told to clients.
        path: What its path names, such as ``model_id``.
        catalog: The models that it is about.
        headers: Its headers, names in lower case.
    """

    fields: Fields
    stores: Stores
    locate: Locate
    path: dict[str, str]
    catalog: Catalog
    headers: Iterable[tuple[bytes, bytes]] = ()

    def on(self, stores: Stores, catalog: Catalog) -> Call:
        """Return the same request of other stores."""
        return Call(self.fields, stores, self.locate, self.path, catalog, self.headers)

    def header(self, name: bytes) -> str:
        """Return a header; empty where there is none."""
        return next((value.decode("latin-1") for each, value in self.headers if each == name), "")


Handler = Callable[[Call], Message]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route of the wire.

    Attributes:
        methods: Its HTTP methods.
        path: Below ``/api/2.0/mlflow/``.
        handler: What answers it.
        lists: Fields of a query that may be repeated.
        quick: Whether it takes less time than to hand it to a thread, and may be begun again from the start.
    """

    methods: tuple[str, ...]
    path: str
    handler: Handler
    lists: tuple[str, ...] = ()
    quick: bool = False
