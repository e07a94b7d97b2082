"""Choosing steps by text."""

from __future__ import annotations

import pytest

from toolkit.errors import InvalidValue
from toolkit.spec.selection import LONGEST, Choosable, choose

STEPS = Choosable(
    names=["prepare", "train", "train-big", "check", "promote", "report", "a b+c"],
    links=[
        ("prepare", "train"),
        ("prepare", "train-big"),
        ("train", "check"),
        ("check", "promote"),
        ("prepare", "report"),
        ("somewhere", "else"),
    ],
    states={"train": ["finished", "failed"], "check": ["failed"], "promote": ["skipped"], "prepare": ["cached"]},
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "prepare train train-big check promote report|a b+c"),
        ("  ", "prepare train train-big check promote report|a b+c"),
        ("train", "train"),
        ("TRAI", "train train-big"),
        ("nothing-like-it", ""),
        ("train*", "train train-big"),
        ("*r*t", "report"),
        ("t[r]ain*", ""),
        ("train+", "train check promote"),
        ("train+1", "train check"),
        ("train+0", "train"),
        ("+check", "prepare train check"),
        ("1+check", "train check"),
        ("+check+", "prepare train check promote"),
        ("1+check+1", "train check promote"),
        ("status:failed", "train check"),
        ("Status:FAILED,skipped", "train check promote"),
        ("status:running", ""),
        ("train report", "train report"),
        ("train, report", "train report"),
        ("train or report", "train report"),
        ("train+ and status:failed", "train check"),
        ("not +check", "train-big promote report|a b+c"),
        ("prepare+ and not (train+ or report)", "prepare train-big"),
        ("train and report or check", "check"),
        ("train and (report or +check)", "train"),
        ("'a b+c'", "|a b+c"),
        ('"a b+c"+', "|a b+c"),
        ("b+c", "|a b+c"),
    ],
)
def test_a_text_chooses(text: str, wanted: str) -> None:
    plain, _, odd = wanted.partition("|")
    assert list(choose(text, STEPS)) == [*plain.split(), *([odd] if odd else [])]


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        ("trian+", "there is no step 'trian': did you mean 'train'?", 0),
        ("train and", "wanted a step's name, a state or (", 9),
        ("and train", "wanted a step's name", 0),
        ("train (check", "this is not closed", 6),
        ("train) check", "')' closes nothing", 5),
        ("train 'check", "a quote is not closed", 6),
        ("status:fialed", "there is no state 'fialed': did you mean 'failed'?", 7),
        ("status:", "wanted a state", 7),
        ("train ()", "wanted a step's name", 7),
        ("not " * 200 + "train", "this is too deep", None),
        ("(" * 200, "this is too deep", None),
    ],
)
def test_what_cannot_be_read_is_shown_where(text: str, said: str, at: int | None) -> None:
    with pytest.raises(InvalidValue) as caught:
        choose(text, STEPS)
    assert said in str(caught.value)
    if at is not None:
        assert str(caught.value).splitlines()[-1] == f"  {' ' * at}^"


def test_a_choice_by_states_before_anything_has_run_is_refused() -> None:
    with pytest.raises(InvalidValue, match="nothing has run yet"):
        choose("status:failed", Choosable(names=["a"], links=[]))


def test_a_choice_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidValue, match="2,001 characters"):
        choose("a" * (LONGEST + 1), STEPS)
