"""The contract of `toolkit.deployments.store.DeploymentStore` as tests.

A subclass gives the fixtures ``deployments``, an empty store; ``registry``, the registry beside it; ``promotions``,
what was done to that; and ``events``, which gives the events of a registered model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from toolkit.deployments.records import Bento, Deployment, DeploymentState, Release, ReleaseState
from toolkit.deployments.store import DeploymentStore
from toolkit.errors import AlreadyExists, Conflict, InvalidValue, NotFound
from toolkit.registry.events import Event
from toolkit.registry.history import Author, ChangeQuery
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.testing.registry_store import new_version

Events = Callable[[str], Sequence[Event]]


def new_deployment(name: str = "prod", **more: object) -> Deployment:
    """Return a deployment that is to be made."""
    values: dict[str, object] = {"id": "", "target": "local", "state": DeploymentState.CREATING, **more}
    return Deployment(name=name, **values)  # type: ignore[arg-type]  # what a test gives is right


def new_release(deployment: Deployment, version: int = 1, **more: object) -> Release:
    """Return a release of the model wine that is to be begun."""
    values: dict[str, object] = {
        "model": "wine",
        "run_id": f"{version}" * 32,
        "bento": f"wine:{version}",
        "bento_digest": f"{version}" * 64,
        **more,
    }
    return Release(deployment_id=deployment.id, number=0, version=version, **values)  # type: ignore[arg-type]


def serve(deployments: DeploymentStore, deployment: Deployment, version: int, **more: object) -> Release:
    """Let a version be released, as a release does it; what served before is replaced."""
    before = deployments.get(deployment.name).release
    number = deployments.begin_release(new_release(deployment, version, **more)).number
    deployments.change(deployment.id, state=DeploymentState.SERVING, release=number)
    if before is not None:
        deployments.change_release(deployment.id, before, state=ReleaseState.REPLACED)
    return deployments.change_release(deployment.id, number, state=ReleaseState.SERVING)


class DeploymentStoreContract:
    """All of the contract."""

    @pytest.fixture
    def wine(self, registry: RegistryStore) -> RegistryStore:
        """A registry with three versions of one model."""
        registry.create_model("wine")
        for _ in range(3):
            registry.create_version(new_version())
        return registry

    # -- deployments ---------------------------------------------------------------------------------

    def test_what_is_remembered_is_found(self, deployments: DeploymentStore) -> None:
        """All of it, letter by letter."""
        new = new_deployment(
            "prod-1",
            id="ab" * 16,
            target="docker",
            message="wäit ✓",
            address="http://127.0.0.1:5000",
            follow_alias="wine@champion",
            config={"workers": 2, "timeout": 1.5, "cpu": ""},
            options={"port": "5000", "ä": ""},
            host="box",
            created_at=1_700_000_000_000,
            created_by="ada",
        )
        made = deployments.create(new)
        assert made == replace(new, updated_at=made.updated_at)
        assert made.updated_at > new.created_at
        assert deployments.get("prod-1") == made
        assert deployments.list() == [made]
        assert deployments.releases(made.id) == []

    def test_what_is_not_given_is_filled_in(self, deployments: DeploymentStore) -> None:
        """An id of 32 digits, the time, and who acts."""
        made = deployments.acting(Author(user="ada")).create(new_deployment())
        assert len(made.id) == 32
        assert set(made.id) <= set("0123456789abcdef")
        assert made.created_by == "ada"
        assert made.created_at > 1_700_000_000_000
        assert (made.address, made.release, made.follow_alias, made.message) == (None, None, None, "")

    def test_a_name_is_taken_once(self, deployments: DeploymentStore) -> None:
        """By one that is not deleted; who asks again with the same id is answered with what there is."""
        first = deployments.create(new_deployment(id="1" * 32))
        assert deployments.create(new_deployment(id="1" * 32)) == first
        with pytest.raises(AlreadyExists, match="there is a deployment prod already"):
            deployments.create(new_deployment())
        with pytest.raises(AlreadyExists):
            deployments.create(new_deployment("other", id="1" * 32))
        deployments.change(first.id, state=DeploymentState.DELETED)
        second = deployments.create(new_deployment())
        assert second.id != first.id
        assert [each.id for each in deployments.list()] == [second.id]
        assert [each.id for each in deployments.list(deleted=True)] == [first.id, second.id]
        assert deployments.get("prod").id == second.id

    def test_of_many_at_once_one_makes_it(self, deployments: DeploymentStore) -> None:
        """The others are told that it is there."""
        made: list[str] = []
        refused: list[Exception] = []

        def create() -> None:
            try:
                made.append(deployments.create(new_deployment()).id)
            except AlreadyExists as error:
                refused.append(error)

        _at_once(create, 6)
        assert (len(made), len(refused)) == (1, 5)
        assert [each.id for each in deployments.list()] == made

    @pytest.mark.parametrize("name", ["", "a/b", "-a", "a-", "a b", "ä", "a" * 64, "a\n", ".."])
    def test_a_name_is_checked(self, deployments: DeploymentStore, name: str) -> None:
        """Before anything is done, also where one is asked for."""
        with pytest.raises(InvalidValue, match="wanted a name of 1 to 63"):
            deployments.create(new_deployment(name))
        with pytest.raises(InvalidValue, match="wanted a name of 1 to 63"):
            deployments.get(name)
        assert deployments.list() == []

    def test_what_no_store_can_keep_is_refused(self, deployments: DeploymentStore) -> None:
        """Said by the field."""
        for bad in (
            new_deployment(config={"x": float("nan")}),
            new_deployment(config={"x": object()}),
            new_deployment(options={"x": "y" * 70_000}),
            new_deployment(address="a\0b"),
            new_deployment(host="a\0b"),
            new_deployment(message="\ud800"),
            new_deployment(id="abc"),
        ):
            with pytest.raises(InvalidValue, match=r"config|options|address|host|message|deployment id"):
                deployments.create(bad)
        made = deployments.create(new_deployment())
        with pytest.raises(InvalidValue, match="config"):
            deployments.change(made.id, config={"x": float("inf")})
        with pytest.raises(InvalidValue, match="instance"):
            deployments.begin_release(new_release(made, instance={"x": float("nan")}))
        with pytest.raises(InvalidValue, match="version 0"):
            deployments.begin_release(new_release(made, 0))
        assert deployments.get("prod") == made

    def test_none_of_this_name(self, deployments: DeploymentStore) -> None:
        """Nor of this id."""
        with pytest.raises(NotFound, match="no deployment prod"):
            deployments.get("prod")
        for unknown in ("0" * 32, "x", "../runs", ""):
            with pytest.raises(NotFound):
                deployments.change(unknown, state=DeploymentState.SERVING)
            with pytest.raises(NotFound):
                deployments.releases(unknown)
            with pytest.raises(NotFound):
                deployments.change_release(unknown, 1, state=ReleaseState.SERVING)
            with pytest.raises(NotFound):
                deployments.begin_release(new_release(new_deployment(id=unknown)))

    def test_a_change_changes_what_is_given(self, deployments: DeploymentStore) -> None:
        """What is None stays, an empty text takes away."""
        made = deployments.create(new_deployment(options={"a": "1"}, follow_alias="wine@champion"))
        changed = deployments.change(made.id, address="http://a", message="two\n lines")
        assert changed == replace(made, address="http://a", message="two lines", updated_at=changed.updated_at)
        changed = deployments.change(
            made.id, state=DeploymentState.STOPPED, address="", follow_alias="", message="", config={"workers": 3}
        )
        assert (changed.state, changed.address, changed.follow_alias) == (DeploymentState.STOPPED, None, None)
        assert (changed.message, changed.config, changed.options) == ("", {"workers": 3}, {"a": "1"})
        assert deployments.change(made.id, options={}).options == {}
        assert deployments.change(made.id, message="x" * 5_000).message == "x" * 1_999 + "…"

    def test_a_state_is_expected(self, deployments: DeploymentStore) -> None:
        """Of two who would go on from one state, one does."""
        made = deployments.create(new_deployment())
        serving, updating = DeploymentState.SERVING, DeploymentState.UPDATING
        with pytest.raises(Conflict, match="prod is creating, not serving or failed"):
            deployments.change(made.id, expected=[serving, DeploymentState.FAILED], state=updating)
        assert deployments.get("prod") == made
        deployments.change(made.id, expected=[DeploymentState.CREATING], state=serving)
        won: list[bool] = []

        def update() -> None:
            try:
                deployments.change(made.id, expected=[serving], state=updating)
            except Conflict:
                won.append(False)
            else:
                won.append(True)

        _at_once(update, 5)
        assert sorted(won) == [False] * 4 + [True]

    # -- releases ------------------------------------------------------------------------------------

    def test_a_release_is_remembered(self, deployments: DeploymentStore) -> None:
        """All of it; its number is given out."""
        made = deployments.create(new_deployment())
        new = new_release(
            made,
            image="r/wine:1",
            image_digest="sha256:1",
            instance={"id": "1", "detail": {"port": 3}},
            message="m",
            created_at=5,
            created_by="ada",
            why="a try",
        )
        begun = deployments.begin_release(replace(new, number=77))
        assert begun == replace(new, number=1)
        assert deployments.releases(made.id) == [begun]
        assert deployments.get("prod").release is None

    def test_numbers_are_dense(self, deployments: DeploymentStore) -> None:
        """However many begin one at the same time; each deployment has its own."""
        made, other = deployments.create(new_deployment()), deployments.create(new_deployment("other"))
        given: list[int] = []
        _at_once(lambda: given.append(deployments.begin_release(new_release(made)).number), 6)
        assert sorted(given) == [1, 2, 3, 4, 5, 6]
        assert deployments.begin_release(new_release(other)).number == 1
        assert [each.number for each in deployments.releases(made.id)] == [6, 5, 4, 3, 2, 1]

    def test_a_release_comes_to_an_end(self, deployments: DeploymentStore) -> None:
        """At a time that stays; one that serves again has none."""
        made = deployments.create(new_deployment())
        begun = deployments.begin_release(new_release(made, bento="", bento_digest=""))
        assert begun.ended_at is None
        deployments.change_release(made.id, 1, instance={"id": "7"}, message="up", image="i", image_digest="d")
        changed = deployments.change_release(made.id, 1, bento="wine:1", bento_digest="x")
        told = replace(begun, instance={"id": "7"}, message="up", image="i", image_digest="d")
        assert changed == replace(told, bento="wine:1", bento_digest="x")
        refused = deployments.change_release(made.id, 1, state=ReleaseState.REFUSED, message="no\nhealth")
        assert refused.ended_at is not None
        assert refused.message == "no health"
        assert deployments.change_release(made.id, 1, state=ReleaseState.STOPPED).ended_at == refused.ended_at
        assert deployments.change_release(made.id, 1, state=ReleaseState.SERVING).ended_at is None
        assert deployments.change_release(made.id, 1).state is ReleaseState.SERVING
        for unknown in (2, 0, -1, 2**63):
            with pytest.raises(NotFound, match="has no release"):
                deployments.change_release(made.id, unknown, state=ReleaseState.SERVING)
            with pytest.raises(NotFound, match="has no release"):
                deployments.change(made.id, release=unknown or 7)

    def test_who_serves_a_model(self, deployments: DeploymentStore, wine: RegistryStore) -> None:
        """Those that serve it now; with the deleted ones, those that ever did. Its name is what it is called now."""
        one, two, three = (deployments.create(new_deployment(name)) for name in ("b", "a", "c"))
        serve(deployments, one, 1)
        serve(deployments, two, 2)
        serve(deployments, three, 1, model="other")
        deployments.begin_release(new_release(three, 3))  # it is only being started
        assert [each.name for each in deployments.list(model="wine")] == ["a", "b"]
        assert [each.name for each in deployments.list(model="other")] == ["c"]
        assert [each.name for each in deployments.list()] == ["a", "b", "c"]
        wine.update_model("wine", new_name="vin")
        assert [each.name for each in deployments.list(model="vin")] == ["a", "b"]
        assert deployments.list(model="wine") == []
        assert deployments.releases(one.id)[0].model == "vin"
        serve(deployments, one, 1, model="other")
        deployments.change(two.id, state=DeploymentState.DELETED)
        assert deployments.list(model="vin") == []
        assert [each.name for each in deployments.list(model="vin", deleted=True)] == ["a", "b"]
        deployments.change(three.id, release=0)
        assert [each.name for each in deployments.list(model="other")] == ["b"]

    def test_what_serves_now(self, deployments: DeploymentStore) -> None:
        """One release of each: of those of which none serves the last, which says why."""
        serves, fails, gone = (deployments.create(new_deployment(name)) for name in ("b", "a", "c"))
        deployments.create(new_deployment("d"))
        serve(deployments, serves, 1)
        deployments.begin_release(new_release(serves, 2))
        deployments.begin_release(new_release(fails, 1))
        deployments.begin_release(new_release(fails, 3))
        serve(deployments, gone, 1)
        deployments.change(gone.id, state=DeploymentState.DELETED)
        found = deployments.current()
        assert [(each.deployment_id, each.number, each.version) for each in found] == [
            (fails.id, 2, 3),
            (serves.id, 1, 1),
        ]

    def test_what_is_deleted_stays_so(self, deployments: DeploymentStore) -> None:
        """Its releases have ended; to delete it again is no error."""
        made = deployments.create(new_deployment())
        serve(deployments, made, 1)
        deployments.begin_release(new_release(made, 2))
        gone = deployments.change(made.id, state=DeploymentState.DELETED)
        assert gone.state is DeploymentState.DELETED
        assert deployments.change(made.id, state=DeploymentState.DELETED) == gone
        starting, served = deployments.releases(made.id)
        assert (starting.state, starting.message) == (ReleaseState.REFUSED, "the deployment was deleted")
        assert served.state is ReleaseState.STOPPED
        assert None not in (starting.ended_at, served.ended_at)
        with pytest.raises(Conflict, match="prod is deleted"):
            deployments.change(made.id, state=DeploymentState.SERVING)
        with pytest.raises(Conflict, match="prod is deleted"):
            deployments.begin_release(new_release(made))
        with pytest.raises(NotFound):
            deployments.get("prod")

    # -- what was built ------------------------------------------------------------------------------

    def test_what_was_built_is_known_once(self, deployments: DeploymentStore, wine: RegistryStore) -> None:
        """By whoever told of it first; a release tells of it, too."""
        new = Bento(tag="wine:1", digest="1" * 64, model="wine", version=1, run_id="1" * 32, created_by="ada")
        built = deployments.remember_bento(new)
        assert built == replace(new, created_at=built.created_at)
        assert deployments.remember_bento(replace(new, created_by="bob", created_at=9)) == built
        made = deployments.create(new_deployment())
        deployments.begin_release(new_release(made, 1))
        deployments.begin_release(new_release(made, 2, created_by="cy"))
        assert [(each.tag, each.created_by) for each in deployments.bentos()] == [("wine:2", "cy"), ("wine:1", "ada")]
        deployments.remember_bento(replace(new, digest="other"))
        wine.update_model("wine", new_name="vin")
        assert [each.tag for each in deployments.bentos(model="vin")] == ["wine:1", "wine:2", "wine:1"]
        assert deployments.bentos(model="wine") == []
        with pytest.raises(InvalidValue, match="without a tag"):
            deployments.remember_bento(replace(new, tag=""))

    # -- history and events --------------------------------------------------------------------------

    @pytest.mark.usefixtures("wine")
    def test_the_history_of_the_model_tells_of_it(
        self, deployments: DeploymentStore, promotions: PromotionStore
    ) -> None:
        """Who let which version serve where, instead of which, and why; what changes nothing is not told."""
        ada = deployments.acting(Author(user="ada", reason="a try"))
        made = ada.create(new_deployment())
        serve(ada, made, 1)
        ada.change(made.id, release=1, address="http://a")
        serve(ada, made, 3, created_by="bob", why="alias champion moved")
        ada.change_release(made.id, ada.begin_release(new_release(made, 2)).number, state=ReleaseState.REFUSED)
        serve(ada, made, 1, created_by="bob", why="rollback: it was slow")
        ada.change(made.id, release=2)
        ada.change(made.id, state=DeploymentState.DELETED)
        ada.change(made.id, state=DeploymentState.DELETED)
        changes = promotions.history(ChangeQuery(name="wine", key="prod")).items
        assert [(e.action.value, e.version, e.old, e.new, e.user, e.reason) for e in reversed(changes)] == [
            ("deployment.created", 1, None, "1", "ada", "a try"),
            ("deployment.released", 1, None, "1", "ada", "a try"),
            ("deployment.released", 3, "1", "3", "bob", "alias champion moved"),
            ("deployment.rolled_back", 1, "3", "1", "bob", "rollback: it was slow"),
            ("deployment.rolled_back", 3, "1", "3", "bob", "alias champion moved"),
            ("deployment.deleted", 3, "3", None, "ada", "a try"),
        ]

    @pytest.mark.usefixtures("wine")
    def test_events_tell_where_it_serves(self, deployments: DeploymentStore, events: Events) -> None:
        """With all that somebody needs who would go there."""
        made = deployments.create(new_deployment())
        number = deployments.begin_release(new_release(made, 2, image="i", image_digest="sha256:2")).number
        deployments.change(made.id, address="http://127.0.0.1:5000", release=number)
        told = [each for each in events("wine") if each.event.startswith("deployment.")]
        assert [each.event for each in told] == ["deployment.created", "deployment.released"]
        assert told[1].version == 2
        assert {key: value for key, value in told[1].data.items() if key != "user"} == {
            "name": "wine",
            "version": "2",
            "deployment": "prod",
            "to": "2",
            "deployment_id": made.id,
            "target": "local",
            "release": 1,
            "run_id": "2" * 32,
            "bento": "wine:2",
            "bento_digest": "2" * 64,
            "image": "i",
            "image_digest": "sha256:2",
            "address": "http://127.0.0.1:5000",
        }

    def test_a_model_that_nobody_registered(self, deployments: DeploymentStore, registry: RegistryStore) -> None:
        """Or that was deleted since: what serves goes on, and is told by the name that it had."""
        made = deployments.create(new_deployment())
        serve(deployments, made, 1)
        assert deployments.releases(made.id)[0].model == "wine"
        registry.create_model("wine")
        registry.create_version(new_version())
        other = deployments.create(new_deployment("other"))
        serve(deployments, other, 1)
        registry.delete_model("wine")
        serve(deployments, other, 2)
        deployments.change(other.id, state=DeploymentState.DELETED)
        assert {each.model for each in deployments.releases(other.id)} == {"wine"}
        assert [each.name for each in deployments.list(model="wine")] == ["prod"]


def _at_once(work: Callable[[], object], count: int) -> None:
    """Let some threads do it at the same time.

    Raises:
        ExceptionGroup: What the work raised.
    """
    start = threading.Barrier(count)
    failed: list[Exception] = []

    def run() -> None:
        try:
            start.wait(300)
            work()
        except Exception as error:  # noqa: BLE001 - raised below, where the test is
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise ExceptionGroup("work failed", failed)
