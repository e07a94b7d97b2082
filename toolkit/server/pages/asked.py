"""A request for a page: what it asks for, and the stores that know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request

from toolkit.errors import InvalidValue
from toolkit.recording.stores import Stores
from toolkit.registry.authors import author_of
from toolkit.registry.catalog import Catalog
from toolkit.server.health import HealthWatch
from toolkit.server.wire.request import BODY
from toolkit.tracking.http_codec import Locate

_MOST_FIELDS = 2_000
THEMES = ("light", "dark")


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What all pages of a server are about.

    Attributes:
        stores: The stores.
        catalog: The models of the stores.
        locate: From where artifacts are to what clients are told.
        health: How the services are that the server works with.
        serves_artifacts: Whether artifacts are read and written through the server.
        prefix: What stands in front of each path.
        change_from_pages: Whether deployments are released and stopped for a browser at this machine.
    """

    stores: Stores
    catalog: Catalog
    locate: Locate
    health: HealthWatch
    serves_artifacts: bool = True
    prefix: str = ""
    change_from_pages: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a page.

    Attributes:
        site: What the server is about.
        request: The request itself.
        path: The parts of its path that vary.
    """

    site: Site
    request: Request
    path: Mapping[str, str] = field(default_factory=dict)

    @property
    def stores(self) -> Stores:
        """The stores."""
        return self.site.stores

    @cached_property
    def catalog(self) -> Catalog:
        """The models of the stores, for who asks."""
        return self.site.catalog.acting(author_of(self.request.headers))

    @cached_property
    def query(self) -> Mapping[str, str]:
        """What stands behind the question mark, decoded; of a name that is there twice the last."""
        return dict(self.request.query_params)

    def all(self, name: str) -> Sequence[str]:
        """Return all values of a name behind the question mark."""
        return self.request.query_params.getlist(name)

    @cached_property
    def fields(self) -> Sequence[tuple[str, str]]:
        """What a form sent.

        Raises:
            InvalidValue: It is not what a form sends.
        """
        body: bytes = self.request.scope.get(BODY, b"")
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != "application/x-www-form-urlencoded":
            raise InvalidValue("a form was wanted: application/x-www-form-urlencoded")
        try:
            return parse_qsl(
                body.decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MOST_FIELDS,
                strict_parsing=False,
            )
        except (UnicodeDecodeError, ValueError):
            raise InvalidValue("the form cannot be read") from None

    @cached_property
    def form(self) -> Mapping[str, str]:
        """What a form sent; of a name that is there twice the last."""
        return dict(self.fields)

    @property
    def is_part(self) -> bool:
        """Whether a part of a page is asked for, to be put into one that is shown."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def theme(self) -> str | None:
        """The theme that was chosen, in the address or before; None: the system's."""
        for given in (self.query.get("theme"), self.request.cookies.get("toolkit_theme")):
            if given in THEMES:
                return given
        return None

    def url(self, *parts: object, **query: object) -> str:
        """Return the address of a page.

        Args:
            parts: Of its path, as they are called; they are encoded here.
            query: What stands behind the question mark; what is None or empty is left out, lists are repeated.
        """
        path = "".join(f"/{quote(str(part), safe='')}" for part in parts) or "/"
        pairs = [(name.rstrip("_"), each) for name, value in query.items() for each in _values(value)]
        return f"{self.site.prefix}{path}{'?' if pairs else ''}{urlencode(pairs)}"


def _values(value: Any) -> list[object]:  # noqa: ANN401 - whatever a query holds
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
