"""Lineage that a toolkit server tells."""

from __future__ import annotations

from toolkit.registry.lineage import Direction, Edge, Key, Kind, Lineage, Node, Relation
from toolkit.tracking.http_calls import Calls, understood
from toolkit.tracking.http_codec import Json
from toolkit.transport.client import HttpClient


@understood
def read_lineage(client: HttpClient, start: Key, direction: Direction, *, depth: int) -> Lineage:
    """Return the graph around a thing, as the server knows it.

    Raises:
        InvalidValue: The depth is out of its bounds.
        NotFound: There is no such thing.
        StoreError: The server cannot be used.
    """
    told = Calls(client).get("/lineage", kind=start.kind, id=start.id, direction=direction, depth=depth)
    return Lineage(
        start=_key(told["start"]),
        nodes=[Node(_key(each), each["name"], each["state"]) for each in told["nodes"]],
        edges=[
            Edge(_key(each["source"]), _key(each["target"]), Relation(each["relation"]), each["detail"])
            for each in told["edges"]
        ],
        whole=told["whole"],
    )


def lineage_out(found: Lineage) -> Json:
    """Return a graph as JSON."""
    return {
        "start": _told(found.start),
        "nodes": [{**_told(node.key), "name": node.name, "state": node.state} for node in found.nodes],
        "edges": [
            {
                "source": _told(edge.source),
                "target": _told(edge.target),
                "relation": edge.relation.value,
                "detail": edge.detail,
            }
            for edge in found.edges
        ],
        "whole": found.whole,
    }


def _key(told: Json) -> Key:
    return Key(Kind(told["kind"]), told["id"])


def _told(key: Key) -> Json:
    return {"kind": key.kind.value, "id": key.id}
