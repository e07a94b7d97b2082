"""What Bentos are called: BentoML takes it, and two models never share it."""

from __future__ import annotations

import bentoml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.deployments.bento_tag import BentoTag, bento_name

NAMES = st.text(min_size=1, max_size=200).filter(lambda name: "/" not in name and ":" not in name)


@pytest.mark.parametrize("name", ["wine-quality", "a", "model_1.2", "0x", "a" * 63])
def test_a_name_that_bentoml_takes_is_kept(name: str) -> None:
    assert str(BentoTag.of(name, 3)) == f"{name}:3"


@given(NAMES)
def test_bentoml_takes_every_tag_as_it_stands(name: str) -> None:
    for tag in (BentoTag.of(name, 12), BentoTag.of(name, 12).variant("ab" * 32)):
        assert str(bentoml.Tag.from_str(str(tag))) == str(tag)


@given(st.lists(NAMES, unique=True, min_size=2, max_size=20))
def test_different_models_have_different_names(names: list[str]) -> None:
    assert len({bento_name(name) for name in names}) == len(names)


@pytest.mark.parametrize(("one", "other"), [("Wine", "wine"), ("größe", "grösse"), ("a b", "a-b"), ("wine.", "wine")])
def test_names_that_look_alike_are_told_apart(one: str, other: str) -> None:
    assert bento_name(one) != bento_name(other)
