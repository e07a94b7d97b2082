"""Lineage, in our API: what a thing comes from, and what became of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from toolkit.registry.http_lineage import lineage_out
from toolkit.registry.lineage import DEEPEST, Direction, Key, Kind
from toolkit.server.v1 import records
from toolkit.server.v1.context import Here, answer
from toolkit.wiring.registry import lineage_of

router = APIRouter(tags=["lineage"])


@router.get("/lineage", response_model=records.LineageTold)
def lineage(
    here: Here,
    kind: Kind,
    thing: Annotated[str, Query(alias="id")],
    direction: Direction = Direction.BOTH,
    depth: int = DEEPEST,
) -> Response:
    """Return the data, runs, models, versions, Bentos and deployments that a thing comes from, and that came of it.

    ``id`` is a dataset's digest, a run's or logged model's id, a version as ``name/number``, a Bento's tag, or a
    deployment's id.
    """
    found = lineage_of(here.stores, Key.read(kind, thing), direction, depth=depth)
    return answer(lineage_out(found))
