"""What the endpoints of our API share: the stores, how places are told, pictures, and answers as JSON."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter
from fastapi import Depends, Header, Request, Response
from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError, to_json

from toolkit.deployments.store import DeploymentStore
from toolkit.recording.stores import Stores
from toolkit.registry.authors import author_of
from toolkit.registry.catalog import Catalog
from toolkit.server.health import HealthWatch
from toolkit.server.lanes import writers
from toolkit.server.v1.pictures import Pictures
from toolkit.server.v1.watch import Watch
from toolkit.tracking.http_codec import Json, Locate, experiment_out, run_out
from toolkit.tracking.records import Experiment, Page, Run
from toolkit.tracking.store import RunStore

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a server's API is about.

    Attributes:
        stores: The stores.
        catalog: The models of the stores.
        deployments: What serves where.
        locate: From where artifacts are to what clients are told.
        place: The other way: what a client says of a place, as it is stored.
        serves_artifacts: Whether clients read and write artifacts through the server.
        pictures: The pictures of the store that are read.
        watch: The runs that are listened to.
        health: How the services are that the server works with.
        stopping: Set when the server is told to stop: answers without end then end.
        lane: Threads of what writes.
        listeners: Those who are told of the registry.
    """

    stores: Stores
    catalog: Catalog
    deployments: DeploymentStore
    locate: Locate
    place: Locate
    serves_artifacts: bool
    pictures: Pictures
    watch: Watch
    health: HealthWatch
    stopping: threading.Event = field(default_factory=threading.Event)
    lane: CapacityLimiter = field(default_factory=writers)
    listeners: set[object] = field(default_factory=set)

    def experiment(self, record: Experiment) -> Json:
        """Return an experiment as clients see it."""
        return experiment_out(record, self.locate)

    def run(self, record: Run) -> Json:
        """Return a run as clients see it."""
        return run_out(record, self.locate)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(_context)]
"""The context, as an endpoint takes it."""


def _acting(request: Request, here: Here) -> Context:
    author = author_of(request.headers)
    return replace(here, catalog=here.catalog.acting(author), deployments=here.deployments.acting(author))


Acting = Annotated[Context, Depends(_acting)]
"""The same, for an endpoint that writes down who changes models, and why."""


_WORTH_PACKING = 16 << 10  # bytes
MOST_TOLD = 100
"""How many things that are wrong with a body are looked at: to write down a million of them takes a minute."""


def _few_faults(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """Read a body. Where too much of it is wrong, say only how much: whoever sent that did not mean this endpoint."""
    try:
        return read(value)
    except ValidationError as error:
        if (count := error.error_count()) <= MOST_TOLD:
            raise
    raise PydanticCustomError("too_many_faults", "{count} things are not as described", {"count": count})


Given = Annotated[T, WrapValidator(_few_faults)]
"""A body, as an endpoint takes it."""


class View:
    """The store as a request reads it: as it is, or as it was when a picture was made."""

    def __init__(self, here: Here, toolkit_picture: Annotated[str | None, Header()] = None) -> None:
        self._here = here
        self._picture = toolkit_picture

    def read(self, call: Callable[[RunStore], T]) -> T:
        """Return what a call of the store returns."""
        if self._picture is None:
            return call(self._here.stores.runs)
        return self._here.pictures.read(self._picture, call)


Reading = Annotated[View, Depends()]
"""The store to be read, as an endpoint takes it."""


def answer(told: Any) -> Response:  # noqa: ANN401 - whatever is JSON
    """Return an answer: exact numbers, NaN and the infinities as text."""
    return Response(to_json(told, inf_nan_mode="strings"), media_type="application/json")


def packed(given: Response, request: Request) -> Response:
    """Return an answer compressed, if it is long and the client takes that: numbers shrink to a half."""
    if len(given.body) < _WORTH_PACKING or "gzip" not in request.headers.get("accept-encoding", ""):
        return given
    headers = {"content-encoding": "gzip", "vary": "Accept-Encoding"}
    return Response(gzip.compress(given.body, 1, mtime=0), media_type=given.media_type, headers=headers)


def paged(name: str, page: Page[T], tell: Callable[[T], Json]) -> Response:
    """Return a page of a list."""
    return answer({name: [tell(each) for each in page.items], "next_page_token": page.next_page_token})
