"""``toolkit registry lineage``: what a version, a run, data or a deployment come from, and what became of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import typer

from toolkit.cli.registered import Opened, is_version, registry
from toolkit.cli.render import say, show, show_json, show_table
from toolkit.cli.store import find_run
from toolkit.deployments.names import is_id
from toolkit.errors import InvalidValue, NotFound
from toolkit.registry.http_lineage import lineage_out
from toolkit.registry.lineage import DEEPEST, Direction, Edge, Key, Kind, Lineage, Node, Relation, joined
from toolkit.wiring.registry import file_digests_of, lineage_of
from toolkit.wiring.serving import open_deployment_store

_UP = {
    Relation.USED: "used",
    Relation.MADE: "made by",
    Relation.REGISTERED: "registered from",
    Relation.CONTAINS: "part of",
    Relation.GAVE: "was given",
    Relation.BUILT: "built from",
    Relation.SERVES: "serves",
    Relation.SERVED: "served",
}
_DOWN = {
    Relation.USED: "used by",
    Relation.MADE: "made",
    Relation.REGISTERED: "registered as",
    Relation.CONTAINS: "contains",
    Relation.GAVE: "gave to",
    Relation.BUILT: "built into",
    Relation.SERVES: "serves in",
    Relation.SERVED: "served in",
}

_SHAPES = {
    Kind.DATASET: ("[(", ")]"),
    Kind.RUN: ("[", "]"),
    Kind.MODEL: ("([", "])"),
    Kind.VERSION: ("{{", "}}"),
    Kind.BENTO: ("[[", "]]"),
    Kind.DEPLOYMENT: ("[/", "/]"),
}


def lineage(
    target: str | None = typer.Argument(
        None,
        metavar="NAME/NUMBER",
        help="A version (wine/3, wine@champion), a registered model's latest, or models:/m-ID.",
    ),
    run: str | None = typer.Option(None, "--run", metavar="RUN", help="Of a run: its id, name or @last."),
    data: str | None = typer.Option(
        None, "--data", metavar="FILE|DIGEST", help="Of data: a file, a folder, or a digest as runs record it."
    ),
    bento: str | None = typer.Option(None, "--bento", metavar="TAG", help="Of a Bento: its tag, such as wine:3."),
    deployment: str | None = typer.Option(
        None, "--deployment", metavar="NAME", help="Of a deployment: its name, or its id where it was deleted."
    ),
    up: bool = typer.Option(False, "--up", help="Only what it comes from."),
    down: bool = typer.Option(False, "--down", help="Only what became of it."),
    depth: int = typer.Option(DEEPEST, "--depth", min=0, max=DEEPEST, help="At most so many edges away."),
    versions: bool = typer.Option(False, "--versions", help="Print only the registered versions that are found."),
    serving: bool = typer.Option(False, "--serving", help="Print only the versions that serve now, and where."),
    mermaid: bool = typer.Option(False, "--mermaid", help="Print a Mermaid flowchart."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what a version comes from (data, runs, models) and what became of it (deployments), as a tree."""
    if sum(each is not None for each in (target, run, data, bento, deployment)) != 1:
        raise InvalidValue(
            "name one thing: a version such as wine/3, or --run RUN, --data FILE, --bento TAG, --deployment NAME"
        )
    if up and down:
        raise InvalidValue("give --up or --down; without either both are shown")
    direction = Direction.UP if up else Direction.DOWN if down else Direction.BOTH
    with registry() as here:
        if data is not None:
            found = _of_data(here, data, direction, depth)
        else:
            start = _start(here, target, run, bento, deployment)
            found = lineage_of(here.stores, start, direction, depth=depth)
    if as_json:
        show_json({"schema": 1, **lineage_out(found)})
    elif mermaid:
        show(as_mermaid(found))
    elif versions:
        nodes = sorted((node for node in found.nodes if node.key.kind is Kind.VERSION), key=_newest_first)
        show_table(("version", "stage"), [(node.key.id, "" if node.state == "None" else node.state) for node in nodes])
    elif serving:
        show_table(("version", "bento", "deployment", "id"), _serving(found))
    else:
        for line in as_tree(found, direction):
            show(line)
    if not found.whole:
        say("this is not all: it goes on beyond what is shown (see --depth)")


def _of_data(here: Opened, data: str, direction: Direction, depth: int) -> Lineage:
    """Return the graph around data; a file is looked for both as steps record it and as `log_input` does.

    Raises:
        NotFound: No run has recorded it.
    """
    place = Path(data)
    digests = file_digests_of(place) if place.exists() else [data]
    found = []
    for digest in digests:
        with contextlib.suppress(NotFound):
            found.append(lineage_of(here.stores, Key(Kind.DATASET, digest), direction, depth=depth))
    if found:
        return joined(found)
    if not place.exists():
        raise NotFound(f"there is no file {data} here, and no run has recorded data of such a digest")
    raise NotFound(
        f"no run has recorded the file {data} (digest {' or '.join(digests)}); a table has the digest of its rows: "
        "toolkit registry lineage --run RUN --up tells it, for --data DIGEST"
    )


def _start(here: Opened, target: str | None, run: str | None, bento: str | None, deployment: str | None) -> Key:
    if bento is not None:
        return Key(Kind.BENTO, bento)
    if deployment is not None:
        return Key(Kind.DEPLOYMENT, _deployment_id(here, deployment))
    if run is not None:
        return Key(Kind.RUN, find_run(here.stores, run).info.run_id)
    text = (target or "").removeprefix("models:/")
    if text.startswith("m-") and not is_version(text):
        return Key(Kind.MODEL, text)
    version = here.version(text if is_version(text) else f"{text}/latest")
    return Key(Kind.VERSION, f"{version.name}/{version.version}")


def _newest_first(version: Node) -> tuple[str, int]:
    name, _, number = version.key.id.rpartition("/")
    return name, -int(number)


def _deployment_id(here: Opened, name: str) -> str:
    """Return the id of a deployment; of one that was deleted the id is its name."""
    try:
        return open_deployment_store(here.stores).get(name).id
    except NotFound:
        if is_id(name):
            return name
        raise


def _serving(found: Lineage) -> list[tuple[str, ...]]:
    """Return which versions serve, and in which deployments; of what was found there is."""
    names = {node.key: node.name for node in found.nodes}
    versions: dict[Key, list[str]] = {}
    for edge in found.edges:
        if edge.relation is Relation.BUILT:
            versions.setdefault(edge.target, []).append(edge.detail or edge.source.id)
    return [
        (version, edge.source.id, names[edge.target], edge.target.id)
        for edge in found.edges
        if edge.relation is Relation.SERVES
        for version in versions.get(edge.source, [""])
    ]


def as_tree(found: Lineage, direction: Direction) -> list[str]:
    """Return a graph as a tree: first what its start comes from, then what became of it."""
    nodes = {node.key: node for node in found.nodes}
    lines = [_said(nodes[found.start])]
    seen = {found.start}
    if direction is not Direction.DOWN:
        lines += _branch(found, found.start, nodes, seen, up=True)
    if direction is not Direction.UP:
        lines += _branch(found, found.start, nodes, {found.start}, up=False)
    return lines


def _branch(found: Lineage, start: Key, nodes: dict[Key, Node], seen: set[Key], *, up: bool) -> list[str]:
    """Return the lines below a node; what was shown already is named, and no further."""
    below: dict[Key, list[Edge]] = {}
    for edge in found.edges:
        below.setdefault(edge.target if up else edge.source, []).append(edge)
    lines: list[str] = []
    waiting: list[tuple[str, Sequence[Edge]]] = [("", below.get(start, []))]
    while waiting:
        indent, edges = waiting.pop()
        if not edges:
            continue
        edge, rest = edges[0], edges[1:]
        key = edge.source if up else edge.target
        more = below.get(key, [])
        again = key in seen
        seen.add(key)
        how = (_UP if up else _DOWN)[edge.relation] + (f" ({edge.detail})" if edge.detail else "")
        mark, after = ("└─ ", "   ") if not rest else ("├─ ", "│  ")
        lines.append(f"{indent}{mark}{how} {_said(nodes[key])}" + (" …" if again and more else ""))
        waiting.append((indent, rest))
        if not again:
            waiting.append((indent + after, more))
    return lines


def _said(node: Node) -> str:
    """Return a thing in words."""
    state = f" {node.state}" if node.state and node.state != "None" else ""
    name = f" {node.name}" if node.name != node.key.id and node.key.kind is not Kind.VERSION else ""
    identity = node.key.id[:8] if node.key.kind in (Kind.RUN, Kind.DEPLOYMENT) else node.key.id
    return f"{node.key.kind.value}{name} {identity}{state}"


def as_mermaid(found: Lineage) -> str:
    """Return a graph as a Mermaid flowchart; data flows along its arrows."""
    ids = {node.key: f"n{index}" for index, node in enumerate(found.nodes)}
    lines = ["flowchart LR"]
    for node in found.nodes:
        left, right = _SHAPES[node.key.kind]
        label = _said(node).replace('"', "#quot;")
        lines.append(f'    {ids[node.key]}{left}"{label}"{right}')
    for edge in found.edges:
        told = edge.relation.value + (f": {edge.detail}" if edge.detail else "")
        told = told.replace('"', "#quot;").replace("|", "/")
        lines.append(f'    {ids[edge.source]} -->|"{told}"| {ids[edge.target]}')
    return "\n".join(lines)
