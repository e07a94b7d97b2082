"""`toolkit envs`: what is kept, by whom it was used, and what may go."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from calls import Cli

from toolkit.flows.environments.store import Hold, Place, Stored


@pytest.fixture
def envs(toolkit_home: Path) -> Path:
    """A home with two environments that were built, and one that was not finished; all unused for long."""
    for key, project in (("a" * 16, "/projects/one"), ("b" * 16, "/projects/two")):
        place = Place(toolkit_home, key)

        def build(place: Place = place) -> Stored:
            directory = place.start()
            (directory / "bin").mkdir(parents=True)
            (directory / "bin" / "python").write_text("x" * 5_000)
            stored = Stored(directory=directory, python="3.11.9", lock="six==1.17.0\n")
            place.finish(stored)
            return stored

        _, reused, release = place.obtain(build, report=print, project=Path(project))
        release()
        assert not reused
    (toolkit_home / "envs" / ("c" * 16) / "half").mkdir(parents=True)
    for folder, below, names in os.walk(toolkit_home / "envs"):
        for name in (*below, *names):
            os.utime(Path(folder, name), (time.time() - 40 * 86_400,) * 2)
    return toolkit_home


def test_nothing_is_there(cli: Cli) -> None:
    assert cli("envs", "list").out.startswith("there are no environments in ")
    assert cli("envs", "list", "--json").json == {"schema": 1, "environments": []}


def test_the_list_says_what_is_kept_and_for_whom(cli: Cli, envs: Path) -> None:
    answer = cli("envs", "list")
    assert answer.code == 0
    for word in ("a" * 16, "b" * 16, "half-built", "3.11.9", "/projects/one", "/projects/two"):
        assert word in answer.out
    listed = {item["key"][0]: item for item in cli("envs", "list", "--json").json["environments"]}
    assert (listed["a"]["kind"], listed["a"]["projects"], listed["a"]["in_use"]) == ("uv", ["/projects/one"], False)
    assert listed["a"]["size"] > 5_000
    assert listed["c"]["kind"] == ""


def test_what_is_old_goes_and_what_is_used_stays(cli: Cli, envs: Path) -> None:
    hold = Hold(envs / "envs" / ("b" * 16))
    try:
        shown = cli("envs", "prune", "--dry-run")
        assert "2 environments" in shown.out
        assert "would be removed" in shown.out
        assert len(list((envs / "envs").glob("*/"))) == 3
        removed = cli("envs", "prune", "--json").json
        assert (removed["removed"], sorted(item["key"][0] for item in removed["environments"])) == (True, ["a", "c"])
        assert [folder.name[0] for folder in (envs / "envs").glob("*/")] == ["b"]
        assert f"environment {'b' * 16} is in use" in cli("envs", "prune", "--older-than", "1d").err
    finally:
        hold.release()
    assert "1 environment" in cli("envs", "prune").out
    assert list((envs / "envs").glob("*/")) == []


def test_what_was_used_lately_stays(cli: Cli, envs: Path) -> None:
    Place(envs, "a" * 16).obtain(lambda: pytest.fail("it is there"), report=print, project=Path("/projects/new"))[2]()
    removed = cli("envs", "prune", "--older-than", "12h", "--json").json["environments"]
    assert sorted(item["key"][0] for item in removed) == ["b", "c"]
    (kept,) = cli("envs", "list", "--json").json["environments"]
    assert kept["projects"] == ["/projects/new", "/projects/one"]


def test_an_age_that_cannot_be_read_is_one_clear_line(cli: Cli, envs: Path) -> None:
    answer = cli("envs", "prune", "--older-than", "soon")
    assert answer.is_one_clear_error(), answer
    assert "soon" in answer.err
    assert json.loads(cli("envs", "list", "--json").out)["environments"]
