"""Where things come from and what became of them: of a run, of a version, of data, Bentos and deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue
from toolkit.registry.lineage import DEEPEST, Direction, Key, Kind, Lineage, Node, Relation
from toolkit.registry.locating import MODEL_FILE, made_by
from toolkit.server.pages import model_version, numbers, run
from toolkit.server.pages.cells import cut
from toolkit.server.pages.lineage_drawing import HEIGHT, WIDTH, draw
from toolkit.server.pages.person import person_of
from toolkit.server.pages.render import page

if TYPE_CHECKING:
    from starlette.responses import Response

    from toolkit.server.pages.asked import Asked

_USUAL_DEPTH = 6
_ROWS = 500
_MADE = 1_000
_USUAL = ("", "None", "FINISHED", "READY")
"""States that need no word."""

ICONS = {
    Kind.DATASET: "database",
    Kind.RUN: "play",
    Kind.MODEL: "box",
    Kind.VERSION: "tag",
    Kind.BENTO: "archive-restore",
    Kind.DEPLOYMENT: "rocket",
}
SAID = {
    Relation.USED: "used by",
    Relation.MADE: "made",
    Relation.REGISTERED: "registered as",
    Relation.CONTAINS: "contains",
    Relation.GAVE: "gave to",
    Relation.BUILT: "built into",
    Relation.SERVES: "serves in",
    Relation.SERVED: "served in",
}


def graph(asked: Asked, start: Key) -> Mapping[str, Any]:
    """Return what the drawing and the table of a lineage need.

    Args:
        asked: The request; its ``way`` is up, down or both, its ``depth`` how far.
        start: The thing.

    Raises:
        InvalidValue: The way or the depth is none.
        NotFound: There is no such thing.
    """
    from toolkit.wiring.registry import lineage_of  # noqa: PLC0415 - it composes all there is

    way, depth = asked.query.get("way", "both"), asked.query.get("depth", str(_USUAL_DEPTH))
    deep = numbers.whole(depth) or 0
    if way not in tuple(Direction) or not 1 <= deep <= DEEPEST:
        raise InvalidValue(f"wanted way=up, down or both, and depth=1 to {DEEPEST}")
    found = lineage_of(asked.stores, start, Direction(way), depth=deep)
    return {
        "start": start,
        "found": found,
        "drawing": draw(found),
        "names": {node.key: node for node in found.nodes},
        "way": way,
        "depth": deep,
        "deepest": DEEPEST,
        "box": (WIDTH, HEIGHT),
        "rows": found.edges[:_ROWS],
        "icons": ICONS,
        "told": SAID,
        "place": lambda node: place_of(asked, node),
        "label": label,
        "cut": cut,
        "more": _more(found),
    }


def _more(found: Lineage) -> int:
    return max(0, len(found.edges) - _ROWS)


def place_of(asked: Asked, node: Node) -> str:
    """Return the address of the page of a thing's lineage."""
    kind, name = node.key.kind, node.key.id
    if kind is Kind.RUN:
        return asked.url("runs", name, "lineage")
    if kind is Kind.VERSION:
        model, _, number = name.rpartition("/")
        return asked.url("models", model, "versions", number, "lineage")
    return asked.url("lineage", kind=str(kind), id=name)


def label(node: Node) -> tuple[str, str]:
    """Return what stands in a thing's box: its name, and its kind with what else is known."""
    kind = node.key.kind
    state = "" if node.state in _USUAL else f" · {node.state.lower()}"
    identity = f" {node.key.id[:8]}" if kind in (Kind.RUN, Kind.DATASET) and node.name != node.key.id else ""
    return node.name or node.key.id, f"{kind}{identity}{state}"


def of_run(asked: Asked) -> Response:
    """Return the lineage of a run, and the models that it made."""
    found = asked.stores.runs.get_run(asked.path["run_id"])
    run_id = found.info.run_id
    paths = [file.path for file in asked.stores.runs.list_artifacts(run_id, limit=_MADE).items]
    folders = [path.removesuffix(MODEL_FILE).rstrip("/") for path in paths if path.rpartition("/")[2] == MODEL_FILE]
    made = [(f"models:/{model.model_id}", model.name) for model in made_by(asked.catalog.logged, run_id)]
    return page(
        asked,
        "run_lineage.html",
        **run.head(asked, found, "lineage"),
        **graph(asked, Key(Kind.RUN, run_id)),
        made=made + [(f"runs:/{run_id}/{folder}".rstrip("/"), folder or "model") for folder in folders],
        person=person_of(asked),
    )


def of_version(asked: Asked) -> Response:
    """Return the lineage of a version."""
    values = model_version.head(asked, "lineage")
    start = Key(Kind.VERSION, f"{values['version'].name}/{values['version'].version}")
    return page(asked, "model_version_lineage.html", **values, **graph(asked, start))


def of_thing(asked: Asked) -> Response:
    """Return the lineage of data, a logged model, a Bento or a deployment."""
    start = Key.read(asked.query.get("kind", ""), asked.query.get("id", ""))
    values = graph(asked, start)
    return page(asked, "lineage.html", **values, name=values["names"][start].name)


PAGES = [
    ("GET", "/lineage", of_thing),
    ("GET", "/runs/{run_id}/lineage", of_run),
    ("GET", "/models/{name}/versions/{version}/lineage", of_version),
]
