"""The colours of runs: stable, and different where they are shown together."""

from __future__ import annotations

import uuid

import pytest

from toolkit.server.pages import colours

IDS = [uuid.UUID(int=number * 7919, version=4).hex for number in range(40)]


def test_a_run_has_the_same_colour_everywhere() -> None:
    # Written down: pages of another version must draw a run in the same colour.
    assert [colours.slot(text) for text in ("3f2a91bc", "a", "")] == [0, 3, 0]
    assert {colours.slot(run_id) for run_id in IDS} == set(range(8))


@pytest.mark.parametrize("first", [0, 3, 17])
def test_each_eight_that_are_shown_together_differ(first: int) -> None:
    found = colours.slots(IDS[first : first + 16])
    places = list(found.values())
    assert len(set(places[:8])) == 8
    assert len(set(places[8:])) == 8
    assert found == colours.slots(IDS[first : first + 16])


def test_who_can_keep_the_own_colour_keeps_it() -> None:
    found = colours.slots(IDS[:3])
    kept = [run_id for run_id in IDS[:3] if found[run_id] == colours.slot(run_id)]
    assert len(kept) == len({colours.slot(run_id) for run_id in IDS[:3]})


def test_a_chosen_colour_is_never_changed() -> None:
    wanted = {IDS[5]: 2, IDS[6]: 2}
    found = colours.slots(IDS[:8], wanted)
    assert (found[IDS[5]], found[IDS[6]]) == (2, 2)
    assert 2 not in [place for run_id, place in found.items() if run_id not in wanted]


@pytest.mark.parametrize(("text", "place"), [("1", 0), ("8", 7), ("", None), ("9", None), ("12", None), ("red", None)])
def test_what_a_tag_chooses(text: str, place: int | None) -> None:
    assert colours.chosen({colours.TAG: text}) == place
