"""Where the boxes of a lineage stand."""

from __future__ import annotations

from toolkit.registry.lineage import Edge, Key, Kind, Lineage, Node, Relation
from toolkit.server.pages.lineage_drawing import HEIGHT, MOST, draw


def _graph(*pairs: tuple[str, str]) -> Lineage:
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    keys = {name: Key(Kind.RUN, name) for name in names}
    edges = [Edge(keys[a], keys[b], Relation.GAVE) for a, b in pairs]
    return Lineage(start=keys[names[0]], nodes=[Node(key, key.id) for key in keys.values()], edges=edges, whole=True)


def test_each_thing_stands_right_of_what_it_comes_from() -> None:
    made = draw(_graph(("a", "b"), ("b", "c"), ("a", "c"), ("late", "c")))
    x = {box.node.name: box.x for box in made.boxes}
    assert x["a"] < x["b"] < x["c"]
    assert x["late"] == x["b"]  # what begins near what it is for stands there
    assert len({(box.x, box.y) for box in made.boxes}) == 4
    assert all(0 <= box.y <= made.height - HEIGHT for box in made.boxes)


def test_lines_that_need_not_cross_do_not() -> None:
    made = draw(_graph(("a", "x"), ("b", "y"), ("root", "a"), ("root", "b")))
    y = {box.node.name: box.y for box in made.boxes}
    assert (y["a"] < y["b"]) == (y["x"] < y["y"])


def test_a_circle_ends_and_many_are_left_out() -> None:
    assert len(draw(_graph(("a", "b"), ("b", "a"))).boxes) == 2
    chains = [pair for number in range(100) for pair in (("a", f"b{number}"), (f"b{number}", f"c{number}"))]
    many = draw(_graph(*chains))
    assert (len(many.boxes), many.left_out) == (MOST, 201 - MOST)


def test_siblings_are_folded_into_one_box() -> None:
    made = draw(_graph(*[("a", f"b{number}") for number in range(200)], ("b7", "c")))
    assert [box.more for box in made.boxes if box.more] == [194]
    names = [box.node.name for box in made.boxes]
    assert "b7" in names  # something hangs on it
    assert len(names) == 1 + 6 + 2


def test_one_thing_alone_is_drawn() -> None:
    key = Key(Kind.RUN, "a")
    made = draw(Lineage(start=key, nodes=[Node(key, "a")], edges=[], whole=True))
    assert [(box.x, box.y) for box in made.boxes] == [(8, 8)]
