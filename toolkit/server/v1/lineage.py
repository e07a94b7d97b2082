"""Lineage, in our API: what a thing comes from, and what became of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from toolkit.registry.lineage import DEEPEST, Direction, Key, Kind
from toolkit.server.v1 import records
from toolkit.server.v1.context import Here, answer
from toolkit.tracking.http_codec import Json
from toolkit.wiring import lineage_of

router = APIRouter(tags=["lineage"])


@router.get("/lineage", response_model=records.LineageTold)
def lineage(
    here: Here,
    kind: Kind,
    thing: Annotated[str, Query(alias="id")],
    direction: Direction = Direction.BOTH,
    depth: int = DEEPEST,
) -> Response:
    """Return the data, runs, logged models and versions that a thing comes from, and those that came of it.

    ``id`` is a dataset's digest, a run's or logged model's id, or a version as ``name/number``.
    """
    found = lineage_of(here.stores, Key.read(kind, thing), direction, depth=depth)
    return answer(
        {
            "start": _key(found.start),
            "nodes": [{**_key(node.key), "name": node.name, "state": node.state} for node in found.nodes],
            "edges": [
                {
                    "source": _key(edge.source),
                    "target": _key(edge.target),
                    "relation": edge.relation,
                    "detail": edge.detail,
                }
                for edge in found.edges
            ],
            "whole": found.whole,
        }
    )


def _key(key: Key) -> Json:
    return {"kind": key.kind, "id": key.id}
