"""The key of a step: any change of what it is made of changes it, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from toolkit.errors import InvalidValue
from toolkit.flows.step_key import Change, Components, Ingredients, changes, value_text
from toolkit.spec.expression import OutputRef

TEXT = st.text(max_size=8)
NAMED = st.dictionaries(TEXT, TEXT, max_size=4)
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "command": TEXT,
    "strict": st.booleans(),
    "parameters": NAMED,
    "code": TEXT,
    "environment": TEXT,
    "inputs": NAMED,
    "outputs": NAMED,
    "metrics": st.lists(TEXT, max_size=3).map(tuple),
    "before": st.dictionaries(TEXT, st.lists(TEXT, max_size=3, unique=True).map(tuple), max_size=3),
}
COMPONENTS = st.builds(Components, **VALUES)
SETTINGS = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def test_every_component_is_tried() -> None:
    assert {field.name for field in fields(Components)} == set(VALUES)


@SETTINGS
@given(COMPONENTS, st.sampled_from(sorted(VALUES)), st.data())
def test_any_change_of_a_component_changes_the_key(made: Components, name: str, data: st.DataObject) -> None:
    other = replace(made, **{name: data.draw(VALUES[name])})
    same = {step: sorted(keys) for step, keys in made.before.items()} == {
        step: sorted(keys) for step, keys in other.before.items()
    }
    assume(getattr(made, name) != getattr(other, name) and not (name == "before" and same))
    assert made.key != other.key
    assert changes(made, other)


@SETTINGS
@given(COMPONENTS, COMPONENTS)
def test_two_keys_are_equal_only_for_equal_components(one: Components, other: Components) -> None:
    assert (one.key == other.key) == (not changes(one, other))


@SETTINGS
@given(COMPONENTS, st.integers())
def test_the_order_of_mappings_does_not_matter(made: Components, seed: int) -> None:
    chance = random.Random(seed)
    mixed: dict[str, Any] = {}
    for name in ("parameters", "inputs", "outputs", "before"):
        items = list(getattr(made, name).items())
        chance.shuffle(items)
        mixed[name] = dict(items)
    mixed["before"] = {step: tuple(chance.sample(keys, len(keys))) for step, keys in mixed["before"].items()}
    assert replace(made, **mixed).key == made.key


@SETTINGS
@given(COMPONENTS, st.dictionaries(TEXT, st.tuples(TEXT, TEXT), max_size=3))
def test_what_is_kept_comes_back(made: Components, outputs: dict[str, tuple[str, str]]) -> None:
    """All but characters that no database takes; what is equal stays equal."""
    text = Ingredients(components=made, outputs=outputs).as_text()
    text.encode()
    assert "\0" not in text
    back = Ingredients.of_text(text)
    assert back.outputs == outputs
    assert changes(back.components, Ingredients.of_text(text).components) == []
    assert changes(back.components, replace(back.components, code=made.code + "x"))


def test_long_values_are_kept_short_and_stay_different() -> None:
    one, other = (Components(command="x" * 100_000 + end, parameters={"p": "y" * 100_000 + end}) for end in "ab")
    texts = [Ingredients(components=each).as_text() for each in (one, other)]
    assert all(len(text) < 10_000 for text in texts)
    kept = [Ingredients.of_text(text).components for text in texts]
    assert [change.kind for change in changes(*kept)] == ["parameter"]


def test_the_keys_of_many_runs_before_are_kept_short() -> None:
    many = {"train": tuple(f"{number:064d}" for number in range(10_000))}
    text = Ingredients(components=Components(command="x", before=many)).as_text()
    assert len(text) < 1_000
    assert "10000 keys" in text


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"components": {"command": 1}}', '{"components": 3, "outputs": {}}'])
def test_what_another_version_kept_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="another version"):
        Ingredients.of_text(text)


def test_a_parameter_explains_a_command_that_it_stands_in() -> None:
    before = Components(command="train 0.1", parameters={"alpha": "0.1"})
    after = Components(command="train 0.5", parameters={"alpha": "0.5"})
    assert [str(change) for change in changes(before, after)] == ["parameter alpha: '0.1' -> '0.5'"]
    other = Components(command="python train 0.1", parameters={"alpha": "0.1"})
    assert changes(before, other) == [Change(kind="command", old="train 0.1", new="python train 0.1")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.5, "0.5"),
        (True, "True"),
        ({"b": 1, "a": [1, None]}, '{"a": [1, null], "b": 1}'),
        (OutputRef(run_id="a" * 32, path="out/data.csv"), "data.csv"),
        ([OutputRef(run_id="a" * 32, path="m1"), OutputRef(run_id="b" * 32, path="m2")], '["m1", "m2"]'),
    ],
    ids=["nothing", "number", "flag", "mapping", "output", "outputs"],
)
def test_values_as_text(value: object, text: str) -> None:
    """Where an artifact lies is not in it."""
    assert value_text(value) == text
