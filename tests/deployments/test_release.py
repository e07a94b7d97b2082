"""Releases: what serves after each thing that may go wrong, and what the rows say."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from shelf import DIES, Shelf, releases_on

from toolkit.deployments import steps
from toolkit.deployments.alone import alone
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.deployments.release import Change, Releases, Wanted
from toolkit.deployments.sql import SqlDeploymentStore
from toolkit.deployments.starter import interrupted
from toolkit.errors import (
    AlreadyExists,
    Conflict,
    InvalidValue,
    MissingTool,
    NotFound,
    ReleaseRefused,
    TargetFailed,
    ToolkitError,
)

_DIES = """
import sys
from pathlib import Path
from shelf import releases_on
from toolkit.deployments.release import Change, Wanted
releases, store = releases_on(Path(sys.argv[1]))
if sys.argv[2] == "create":
    releases.create(Wanted(name="wine", model="wine/2", target="shelf"))
else:
    releases.update("wine", Change(model="wine/2"))
"""


@dataclass
class Place:
    """A shelf, and what is remembered of it."""

    folder: Path
    releases: Releases
    store: SqlDeploymentStore
    aliases: dict[str, int]

    @property
    def shelf(self) -> Shelf:
        return Shelf(folder=self.folder, options={})

    def create(self, model: str = "wine/1", **options: str) -> Deployment:
        return self.releases.create(Wanted(name="wine", model=model, target="shelf", options=options))

    def rows(self) -> list[Release]:
        return list(self.store.releases(self.store.get("wine").id))

    def states(self) -> list[tuple[int, int, str]]:
        """Number, version and state of each release, the oldest first."""
        return [(each.number, each.version, each.state.value) for each in reversed(self.rows())]

    def dies(self, verb: str, where: str) -> None:
        """Let a process be killed at some point of its work."""
        command = [sys.executable, "-c", _DIES, str(self.folder), verb]
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), DIES: where}
        done = subprocess.run(command, env=variables, capture_output=True, timeout=300, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    aliases = {"champion": 1}
    releases, store = releases_on(tmp_path, aliases=aliases)
    yield Place(folder=tmp_path, releases=releases, store=store, aliases=aliases)
    store.close()


def test_what_is_created_serves_and_is_remembered(place: Place) -> None:
    made = place.create(colour="red")
    assert (made.state, made.address, made.release) == (DeploymentState.SERVING, "shelf://public", 1)
    assert (made.created_by, made.message, made.options) == ("ann", "", {"colour": "red"})
    assert place.shelf.on_it == {"wine-1"}
    assert place.shelf.traffic == "wine-1"
    (release,) = place.rows()
    assert (release.model, release.version, release.bento) == ("wine", 1, "wine:1")
    assert (release.state, release.ended_at) == (ReleaseState.SERVING, None)


def test_each_step_of_a_release_is_written_down(place: Place) -> None:
    place.create()
    with pytest.raises(ReleaseRefused):
        place.releases.update("wine", Change(model="wine/2", options={"fails": "switch"}))
    refused, served = (steps.read(each.instance) for each in place.rows())
    assert [each.name for each in served] == ["build", "start", "check", "switch"]
    assert all(each.ended is not None and each.ended >= each.began for each in (*served, *refused))
    assert served[2].said
    assert [(each.name, each.failed) for each in refused][2:] == [("check", False), ("switch", True)]
    assert refused[-1].said == "the switch failed"
    place.releases.create(Wanted(name="papers", model="wine/1", target="paper"))
    (written,) = place.store.releases(place.store.get("papers").id)
    assert [each.name for each in steps.read(written.instance)] == ["build", "start"]


def test_a_target_that_writes_files_is_written_and_not_checked(place: Place) -> None:
    made = place.releases.create(Wanted(name="wine", model="wine/7", target="paper"))
    assert (made.state, made.address, made.release) == (DeploymentState.WRITTEN, None, 1)
    place.releases.update("wine", Change(model="wine/2"))
    assert place.states() == [(1, 7, "replaced"), (2, 2, "written")]
    with pytest.raises(InvalidValue, match="no address"):
        place.releases.ask("wine", b"{}")


@pytest.mark.parametrize(
    ("wanted", "error", "told"),
    [
        (Wanted(name="Wine!", model="wine/1", target="shelf"), InvalidValue, "Wine!"),
        (Wanted(name="wine", model="wine/x", target="shelf"), InvalidValue, "wine/x"),
        (Wanted(name="wine", model="wine/9", target="shelf"), InvalidValue, "requirements"),
        (Wanted(name="wine", model="wine/1", target="shelf", follow_alias="best"), NotFound, "wine@best"),
        (Wanted(name="wine", model="wine/1", target="shelf", options={"fails": "require"}), MissingTool, "carpenter"),
    ],
    ids=["name", "version", "build", "alias", "tool"],
)
def test_what_cannot_be_released_changes_nothing(
    place: Place, wanted: Wanted, error: type[ToolkitError], told: str
) -> None:
    with pytest.raises(error, match=told):
        place.releases.create(wanted)
    assert not place.store.list(deleted=True)
    assert not place.shelf.on_it


@pytest.mark.parametrize("where", ["start", "health", "end", "switch"])
def test_a_first_release_that_fails_serves_nothing_and_says_why(place: Place, where: str) -> None:
    with pytest.raises(ReleaseRefused, match="nothing serves"):
        place.create(fails=where)
    there = place.store.get("wine")
    assert (there.state, there.address, there.release) == (DeploymentState.FAILED, None, None)
    assert "release 1 (wine/1) was refused" in there.message
    assert place.states() == [(1, 1, "refused")]
    assert not place.shelf.on_it
    assert place.releases.update("wine", Change(options={"fails": ""})).state is DeploymentState.SERVING


@pytest.mark.parametrize("where", ["start", "health", "end", "switch"])
def test_an_update_that_fails_leaves_the_old_one_serving(place: Place, where: str) -> None:
    place.create()
    with pytest.raises(ReleaseRefused, match=r"release 1 \(wine/1\) still serves"):
        place.releases.update("wine", Change(model="wine/2", options={"fails": where}))
    there = place.store.get("wine")
    assert (there.state, there.address, there.release) == (DeploymentState.SERVING, "shelf://public", 1)
    assert there.options == {}
    assert "wine/2" in there.message
    assert place.states() == [(1, 1, "serving"), (2, 2, "refused")]
    assert place.shelf.on_it == {"wine-1"}
    assert place.shelf.traffic == "wine-1"


def test_what_ends_at_once_is_refused_with_its_last_words(place: Place) -> None:
    with pytest.raises(ReleaseRefused, match="it ended before it was ready: it broke"):
        place.create(fails="end")


def test_a_version_that_answers_wrongly_never_takes_traffic(place: Place) -> None:
    place.create()
    with pytest.raises(ReleaseRefused, match="answers 8 where the model says 7"):
        place.releases.update("wine", Change(model="wine/7"))
    assert place.shelf.traffic == "wine-1"
    assert place.shelf.on_it == {"wine-1"}
    assert place.rows()[0].message == "it answers 8 where the model says 7"


def test_an_interrupted_update_is_taken_back_at_once(place: Place) -> None:
    place.create()
    with pytest.raises(KeyboardInterrupt):
        place.releases.update("wine", Change(model="wine/2", options={"stops": "health"}))
    assert place.store.get("wine").state is DeploymentState.SERVING
    assert place.states() == [(1, 1, "serving"), (2, 2, "refused")]
    assert place.shelf.on_it == {"wine-1"}


def test_an_update_replaces_and_a_rollback_goes_back(place: Place) -> None:
    place.create()
    updated = place.releases.update("wine", Change(model="wine/2", config={"workers": 3}, why="better"))
    assert (updated.release, updated.config["workers"]) == (2, 3)
    assert place.shelf.on_it == {"wine-2"}
    back = place.releases.rollback("wine", why="worse after all")
    assert (back.release, back.config["workers"]) == (3, 1)
    assert place.states() == [(1, 1, "replaced"), (2, 2, "replaced"), (3, 1, "serving")]
    assert [each.why for each in place.rows()] == ["rollback to release 1: worse after all", "better", ""]
    assert place.releases.rollback("wine", to=2).release == 4
    assert place.states()[-1] == (4, 2, "serving")


def test_a_rollback_wants_what_has_served(place: Place) -> None:
    place.create()
    with pytest.raises(NotFound, match="nothing to go back to"):
        place.releases.rollback("wine")
    with pytest.raises(NotFound, match="no release 5"):
        place.releases.rollback("wine", to=5)
    with pytest.raises(InvalidValue, match="the one that serves"):
        place.releases.rollback("wine", to=1)
    with pytest.raises(ReleaseRefused):
        place.releases.update("wine", Change(model="wine/7"))
    with pytest.raises(InvalidValue, match="never served"):
        place.releases.rollback("wine", to=2)


def test_a_rollback_for_people_elsewhere_runs_only_what_this_machine_knows(place: Place) -> None:
    place.create()
    place.releases.update("wine", Change(model="wine/2"))
    back = place.releases.rollback("wine", as_served=True)
    assert place.states()[-1] == (3, 1, "serving")
    first = place.rows()[-1]
    changed = {**first.instance, "config": {"workers": 64}}  # the rows are anybody's who may call the API
    place.store.change_release(back.id, 1, instance=changed)
    with pytest.raises(InvalidValue, match="release 1 of wine is not known to have served"):
        place.releases.rollback("wine", to=1, as_served=True)
    place.store.change(back.id, options={"colour": "red"})
    with pytest.raises(InvalidValue, match="release 2 of wine is not known to have served"):
        place.releases.rollback("wine", to=2, as_served=True)
    assert place.states()[-1] == (3, 1, "serving")
    assert place.releases.rollback("wine", to=2).release == 4


def test_what_is_deleted_ends_and_its_name_is_free(place: Place) -> None:
    first = place.create()
    gone = place.releases.delete("wine")
    assert (gone.state, gone.address) == (DeploymentState.DELETED, None)
    assert not place.shelf.on_it
    assert [each.state for each in place.store.releases(first.id)] == [ReleaseState.STOPPED]
    with pytest.raises(NotFound):
        place.releases.delete("wine")
    assert place.create("wine/2").id != first.id


def test_what_cannot_be_ended_stays_unless_it_is_forced(place: Place) -> None:
    made = place.create(fails="stop")
    with pytest.raises(TargetFailed):
        place.releases.delete("wine")
    assert place.store.get("wine").state is DeploymentState.SERVING
    assert place.releases.delete("wine", force=True).id == made.id


def test_a_second_one_of_a_name_is_refused(place: Place) -> None:
    place.create()
    with pytest.raises(AlreadyExists, match="toolkit deployments update"):
        place.create("wine/2")
    assert place.states() == [(1, 1, "serving")]


def _creates(folder: str, begin: threading.Barrier, told: multiprocessing.Queue[str]) -> None:
    releases, _ = releases_on(Path(folder))
    begin.wait()
    try:
        releases.create(Wanted(name="wine", model="wine/1", target="shelf"))
        told.put("made")
    except (AlreadyExists, Conflict) as error:
        told.put(type(error).__name__)


def test_of_several_at_once_one_is_made(place: Place) -> None:
    context = multiprocessing.get_context("spawn")
    begin, told = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_creates, args=(str(place.folder), begin, told)) for _ in range(3)]
    for each in processes:
        each.start()
    answers = [told.get(timeout=300) for _ in processes]
    for each in processes:
        each.join(300)
    assert answers.count("made") == 1, answers
    assert place.states() == [(1, 1, "serving")]
    assert place.shelf.on_it == {"wine-1"}


@pytest.mark.parametrize("where", ["start", "started", "health", "switch"])
def test_a_killed_update_is_seen_and_mended_by_the_next_command(place: Place, where: str) -> None:
    place.create()
    place.dies("update", where)
    there = place.store.get("wine")
    assert there.state is DeploymentState.UPDATING
    assert interrupted(there, place.rows())
    assert place.shelf.traffic == "wine-1"
    updated = place.releases.update("wine", Change(model="wine/3"))
    assert (updated.state, updated.release) == (DeploymentState.SERVING, 3)
    assert place.shelf.traffic == "wine-3"
    assert place.shelf.on_it == {"wine-3"}


@pytest.mark.parametrize("where", ["switched", "stop"])
def test_a_killed_update_that_had_moved_traffic_is_brought_to_its_end(place: Place, where: str) -> None:
    place.create()
    place.dies("update", where)
    assert place.shelf.traffic == "wine-2"
    mended = place.releases._changeover.mended(place.store.get("wine"))
    assert (mended.state, mended.release, mended.message) == (DeploymentState.SERVING, 2, "")
    back = place.releases.rollback("wine")
    assert place.states() == [(1, 1, "replaced"), (2, 2, "replaced"), (3, 1, "serving")]
    assert place.shelf.on_it == {"wine-3"}
    assert back.state is DeploymentState.SERVING


@pytest.mark.parametrize("where", ["start", "started", "health", "switch", "switched"])
def test_a_killed_create_can_be_deleted(place: Place, where: str) -> None:
    place.dies("create", where)
    assert interrupted(place.store.get("wine"), place.rows())
    with pytest.raises(AlreadyExists):
        place.create()
    place.releases.delete("wine")
    assert not place.shelf.on_it
    assert place.create().state is DeploymentState.SERVING


def test_one_that_is_being_changed_is_left_alone(place: Place) -> None:
    place.create()
    with alone(place.folder / "deployments", "wine"), pytest.raises(Conflict, match="at this moment"):
        place.releases.delete("wine")


def test_what_runs_on_another_machine_is_changed_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.deployments.release.ON_A_MACHINE", ("shelf",))
    place.create()
    monkeypatch.setattr("toolkit.deployments.starter.host_name", lambda: "elsewhere")
    with pytest.raises(Conflict, match="change it there"):
        place.releases.update("wine", Change(model="wine/2"))
    with pytest.raises(Conflict, match="change it there"):
        place.releases.delete("wine")
    assert place.shelf.on_it == {"wine-1"}


def test_an_alias_is_followed_and_a_refused_version_is_tried_once(tmp_path: Path) -> None:
    aliases = {"champion": 1}
    releases, store = releases_on(tmp_path, aliases=aliases)
    made = releases.create(Wanted(name="wine", model="wine/3", target="shelf", follow_alias="champion"))
    assert made.follow_alias == "wine@champion"
    assert store.releases(made.id)[0].version == 1  # the alias says which
    assert releases.follow("wine") is None
    aliases["champion"] = 2
    moved = releases.follow("wine")
    assert moved is not None
    assert moved.release == 2
    assert store.releases(made.id)[0].why == "alias champion moved"
    aliases["champion"] = 7
    assert releases.follow_all() != []
    assert releases.follow_all() == []
    assert len(store.releases(made.id)) == 3
    aliases["champion"] = 2
    assert releases.follow_all() == []
    assert store.get("wine").release == 2
    aliases["champion"] = 3
    assert releases.follow_all() == []
    assert store.releases(made.id)[0].version == 3
    store.close()


def test_a_rollback_ends_the_following(tmp_path: Path) -> None:
    aliases = {"champion": 1}
    releases, store = releases_on(tmp_path, aliases=aliases)
    releases.create(Wanted(name="wine", model="wine@champion", target="shelf", follow_alias="champion"))
    aliases["champion"] = 2
    releases.follow("wine")
    assert releases.rollback("wine").follow_alias is None
    assert releases.follow("wine") is None
    store.close()


def test_a_deployment_is_asked_and_its_output_read(place: Place) -> None:
    place.create("wine/4")
    assert place.releases.ask("wine", b"{}").body == b'{"predictions": [4]}'
    assert list(place.releases.logs("wine", lines=1)) == ["it broke"]
    with pytest.raises(NotFound, match="no release 3"):
        place.releases.logs("wine", release=3)


def test_a_configuration_that_does_not_fit_changes_nothing(place: Place) -> None:
    place.create()
    with pytest.raises(InvalidValue, match="workers"):
        place.releases.update("wine", Change(config={"workers": 0}))
    assert ServiceConfig.from_dict(place.store.get("wine").config) == ServiceConfig()
    assert place.states() == [(1, 1, "serving")]


def test_what_serves_just_so_is_left_alone(tmp_path: Path) -> None:
    releases, store = releases_on(tmp_path, aliases={"champion": 1})
    wanted = Wanted(name="wine", model="wine/1", target="shelf", options={"colour": "red"})
    change = Change(model="wine/1", options={"colour": "red"})
    made = releases.ensure(wanted, change)
    assert releases.ensure(wanted, change) == made
    assert releases.update("wine", Change(follow_alias="champion")).follow_alias == "wine@champion"
    assert len(store.releases(made.id)) == 1
    assert releases.ensure(wanted, Change(model="wine/1", options={"colour": "blue"})).release == 2
    assert releases.ensure(wanted, Change(model="wine/2")).options == {"colour": "blue"}
    with pytest.raises(Conflict, match="on shelf, not on paper"):
        releases.ensure(Wanted(name="wine", model="wine/2", target="paper"), Change())
    assert releases.update("wine", Change(follow_alias="")).follow_alias is None
    store.close()
