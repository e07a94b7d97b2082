"""The contract of `toolkit.registry.store.PromotionStore` as tests.

A subclass gives the fixtures ``registry``, an empty registry; ``promotions``, what guards its moves; ``models``, the
store of logged models beside it; and ``runs``, that of runs.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from toolkit.errors import AlreadyExists, ApprovalNeeded, Conflict, GateFailed, InvalidValue, NotFound
from toolkit.registry.gates import read_gate
from toolkit.registry.history import Action, Author, Change, ChangeQuery
from toolkit.registry.promotion import NewRequest, Policy, Request, RequestQuery, RequestState, Target
from toolkit.registry.records import Stage
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.testing.registry_store import new_version
from toolkit.testing.runs import START, add_run
from toolkit.tracking.logged_models import DatasetRef, LoggedModelStore, ModelMetric, NewLoggedModel
from toolkit.tracking.records import Dataset, DatasetInput, Metric, RunStatus
from toolkit.tracking.store import RunStore

PRODUCTION = Target(stage=Stage.PRODUCTION)
CHAMPION = Target(alias="champion")


def policy(target: Target, *gates: str, approvals: int = 0, approvers: Sequence[str] = ()) -> Policy:
    """Return what a target asks for."""
    return Policy(target=target, gates=tuple(map(read_gate, gates)), approvals=approvals, approvers=tuple(approvers))


def told(changes: Sequence[Change]) -> list[tuple[str, int | None, str | None, str | None, str | None]]:
    """Return what changes say, the oldest first."""
    return [(change.action.value, change.version, change.key, change.old, change.new) for change in reversed(changes)]


def measured(
    registry: RegistryStore, models: LoggedModelStore, digest: str = "d1", dataset: str = "exam", **values: float
) -> int:
    """Make a version of wine of which values were measured on data of a digest; return its number."""
    model_id = models.create_model(NewLoggedModel(experiment_id="0", name="m")).model_id
    points = [
        ModelMetric(
            metric=Metric(key=key, value=value, timestamp=1, step=0),
            model_id=model_id,
            run_id="a" * 32,
            dataset=DatasetRef(name=dataset, digest=digest),
        )
        for key, value in values.items()
    ]
    models.log_metrics(points)
    return registry.create_version(new_version(model_id=model_id)).version


def ask(promotions: PromotionStore, version: int, target: Target, user: str, **more: bool) -> Request:
    """Ask for a target for a version of wine."""
    new = NewRequest(name="wine", version=version, target=target, **more)
    return promotions.acting(Author(user=user)).request(new)


class PromotionStoreContract:
    """All of the contract."""

    @pytest.fixture
    def wine(self, registry: RegistryStore) -> RegistryStore:
        """A registry with three versions of one model."""
        registry.create_model("wine")
        for _ in range(3):
            registry.create_version(new_version())
        return registry

    # -- history -------------------------------------------------------------------------------------

    def test_each_change_is_written_down(self, registry: RegistryStore, promotions: PromotionStore) -> None:
        """Who, what, from, to, why; once each, and nothing where nothing was changed."""
        ada = registry.acting(Author(user="ada", reason="a try: ä ✓"))
        ada.create_model("wine", tags={"a": "1"})
        ada.create_version(new_version(source="s3://b/1"))
        ada.update_model("wine", description="red", tags={"a": "2", "b": None})
        ada.update_model("wine", description="red", tags={"a": "2"})
        ada.update_version("wine", 1, description="first", tags={"x": "1"})
        ada.update_version("wine", 1, tags={"x": None, "y": None})
        ada.set_stage("wine", 1, Stage.STAGING)
        ada.set_stage("wine", 1, Stage.STAGING)
        ada.set_alias("wine", "champion", 1)
        ada.set_alias("wine", "champion", 1)
        ada.delete_alias("wine", "champion")
        ada.delete_alias("wine", "champion")
        ada.update_model("wine", new_name="vin")
        page = promotions.history(ChangeQuery(name="vin"))
        assert told(page.items) == [
            ("model.created", None, None, None, "wine"),
            ("version.created", 1, None, None, "s3://b/1"),
            ("model.described", None, None, None, "red"),
            ("model.tagged", None, "a", "1", "2"),
            ("version.described", 1, None, None, "first"),
            ("version.tagged", 1, "x", None, "1"),
            ("version.tagged", 1, "x", "1", None),
            ("stage", 1, None, "None", "Staging"),
            ("alias", 1, "champion", None, "1"),
            ("alias", 1, "champion", "1", None),
            ("model.renamed", None, None, "wine", "vin"),
        ]
        assert {(change.user, change.reason, change.name) for change in page.items} == {("ada", "a try: ä ✓", "vin")}
        times = [change.time for change in page.items]
        assert times == sorted(times, reverse=True)
        with pytest.raises(NotFound):
            promotions.history(ChangeQuery(name="wine"))

    def test_what_was_deleted_is_still_told(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """Also of a model whose name another one has now."""
        wine.set_alias("wine", "champion", 2)
        wine.set_stage("wine", 2, Stage.PRODUCTION)
        wine.delete_version("wine", 2)
        changes = promotions.history(ChangeQuery(name="wine", version=2)).items
        assert told(changes)[-3:] == [
            ("alias", 2, "champion", "2", None),
            ("stage", 2, None, "Production", None),
            ("version.deleted", 2, None, "s3://b/m", None),
        ]
        assert len({change.time for change in changes[:3]}) == 1  # changed together
        wine.delete_model("wine")
        wine.create_model("wine")
        told_of = [change.action for change in promotions.history(ChangeQuery(name="wine")).items]
        assert told_of[:2] == [Action.MODEL_CREATED, Action.MODEL_DELETED]
        assert told_of.count(Action.VERSION_CREATED) == 3

    def test_searching_the_history(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """By model, version, kind, key and time, on pages."""
        for number in (1, 2, 3):
            wine.set_alias("wine", "champion", number)
        wine.set_alias("wine", "other", 1)
        wine.create_model("beer")
        moves = ChangeQuery(name="wine", actions=(Action.ALIAS,), key="champion")
        found = promotions.history(moves).items
        assert [(change.old, change.new) for change in found] == [("2", "3"), ("1", "2"), (None, "1")]
        first = promotions.history(replace(moves, limit=2))
        assert first.next_page_token is not None
        rest = promotions.history(replace(moves, limit=2, page_token=first.next_page_token))
        assert (*first.items, *rest.items) == tuple(found)
        assert rest.next_page_token is None
        since = promotions.history(replace(moves, since=found[1].time, until=found[1].time)).items
        assert since == [found[1]]
        of_one = promotions.history(ChangeQuery(name="wine", version=1, actions=(Action.ALIAS,))).items
        assert [(change.key, change.old, change.new) for change in of_one] == [
            ("other", None, "1"),
            ("champion", "1", "2"),
            ("champion", None, "1"),
        ]
        assert [change.name for change in promotions.history(ChangeQuery(limit=1)).items] == ["beer"]
        for wrong in ({"limit": 0}, {"version": 1}):
            with pytest.raises(InvalidValue):
                ChangeQuery(**wrong)  # type: ignore[arg-type]  # that is the question
        with pytest.raises(InvalidValue, match="page_token"):
            promotions.history(ChangeQuery(page_token="x"))  # noqa: S106 - a page's

    def test_who_held_what_at_a_time(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """At each moment: what was set before, and nothing of later."""
        wine.set_alias("wine", "champion", 1)
        wine.set_stage("wine", 1, Stage.PRODUCTION)
        wine.set_stage("wine", 2, Stage.PRODUCTION, archive_existing=True)
        wine.set_alias("wine", "champion", 2)
        wine.delete_alias("wine", "champion")
        changes = promotions.history(ChangeQuery(name="wine", actions=(Action.ALIAS, Action.STAGE))).items
        times = sorted({change.time for change in changes})
        assert len(times) == 5
        states = [promotions.held("wine", time) for time in (times[0] - 1, *times)]
        assert [dict(state.aliases) for state in states] == [
            {},
            {"champion": 1},
            {"champion": 1},
            {"champion": 1},
            {"champion": 2},
            {},
        ]
        assert [list(state.holders(Stage.PRODUCTION)) for state in states] == [[], [], [1], [2], [2], [2]]
        assert [list(state.holders(Stage.ARCHIVED)) for state in states] == [[], [], [], [1], [1], [1]]
        assert promotions.held("wine").holders(Stage.PRODUCTION) == [2]
        wine.delete_model("wine")
        assert promotions.held("wine").stages == {}
        assert promotions.held("wine", times[-1]).holders(Stage.PRODUCTION) == [2]
        with pytest.raises(NotFound):
            promotions.held("beer")

    # -- rollback ------------------------------------------------------------------------------------

    def test_rolling_back_an_alias(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """To what it was before, to a version that had it, and nowhere else; with a reason."""
        ada = promotions.acting(Author(user="ada", reason="it was slow"))
        with pytest.raises(Conflict, match="nothing to roll back"):
            ada.rollback("wine", CHAMPION)
        for number in (1, 2, 3):
            wine.set_alias("wine", "champion", number)
        made = ada.rollback("wine", CHAMPION)
        assert [(change.old, change.new, change.user, change.reason) for change in made] == [
            ("3", "2", "ada", "it was slow")
        ]
        assert promotions.history(ChangeQuery(name="wine", limit=1)).items == list(made)
        assert wine.find_alias("wine", "champion").version == 2
        ada.rollback("wine", CHAMPION)
        assert wine.find_alias("wine", "champion").version == 3
        ada.rollback("wine", CHAMPION, to=1)
        assert wine.find_alias("wine", "champion").version == 1
        wine.create_version(new_version())
        with pytest.raises(Conflict, match="wine/4 never had @champion"):
            ada.rollback("wine", CHAMPION, to=4)
        with pytest.raises(NotFound):
            ada.rollback("wine", CHAMPION, to=9)
        for nothing in (Author(user="ada"), Author(user="ada", reason=" ")):
            with pytest.raises(InvalidValue, match="reason"):
                promotions.acting(nothing).rollback("wine", CHAMPION)
        wine.set_alias("wine", "new", 1)
        ada.rollback("wine", Target(alias="new"))
        assert wine.get_model("wine").aliases == {"champion": 1}
        wine.set_alias("wine", "champion", 3)
        wine.delete_version("wine", 1)
        with pytest.raises(Conflict, match=r"wine/1, .* was deleted: .*--alias champion --to"):
            ada.rollback("wine", CHAMPION)

    def test_rolling_back_a_stage(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """Everybody is where they were before, archived ones too."""
        wine.set_stage("wine", 1, Stage.PRODUCTION)
        wine.set_stage("wine", 2, Stage.STAGING)
        wine.set_stage("wine", 2, Stage.PRODUCTION, archive_existing=True)
        ada = promotions.acting(Author(user="ada", reason="wrong"))
        assert len(ada.rollback("wine", PRODUCTION)) == 2
        held = promotions.held("wine").stages
        assert held == {1: Stage.PRODUCTION, 2: Stage.STAGING}
        assert wine.get_version("wine", 2).stage is Stage.STAGING
        ada.rollback("wine", PRODUCTION, to=2)
        assert promotions.held("wine").stages == {1: Stage.ARCHIVED, 2: Stage.PRODUCTION}

    # -- gates ---------------------------------------------------------------------------------------

    def test_policies(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """Set, changed, lifted; each is a change."""
        assert promotions.policies("wine") == []
        two = [policy(CHAMPION, "acc >= 0.9", approvals=2, approvers=("ä", "b", "c")), policy(PRODUCTION, "signature")]
        assert promotions.acting(Author(user="eva")).set_policies("wine", two) == two
        assert promotions.policies("wine") == two
        again = policy(CHAMPION, "rmse lower by 0.5 on some data", "tag `a b` = c d", "test drift", approvals=1)
        promotions.set_policies("wine", [again, policy(PRODUCTION)])
        assert promotions.policies("wine") == [again]
        changes = promotions.history(ChangeQuery(name="wine", actions=(Action.GATES,))).items
        assert [(change.key, change.new and change.new.splitlines()[0]) for change in changes] == [
            ("Production", None),
            ("@champion", "rmse lower by 0.5 on some data"),
            ("Production", "signature"),
            ("@champion", "acc >= 0.9"),
        ]
        assert changes[2].user == "eva"
        with pytest.raises(InvalidValue, match="twice"):
            promotions.set_policies("wine", [again, again])
        with pytest.raises(NotFound):
            promotions.set_policies("beer", [])
        with pytest.raises(InvalidValue, match="more than there can be"):
            policy(CHAMPION, approvals=3, approvers=("a", "b"))
        with pytest.raises(InvalidValue, match="'accuracy is good' is no gate: wanted such as"):
            read_gate("accuracy is good")
        wine.delete_model("wine")
        wine.create_model("wine")
        assert promotions.policies("wine") == []

    def test_a_bound_keeps_a_version_out(
        self, registry: RegistryStore, promotions: PromotionStore, models: LoggedModelStore
    ) -> None:
        """By a stage and by an alias; the message says by how much, and nothing is changed."""
        registry.create_model("wine")
        bad, good = (measured(registry, models, accuracy=value) for value in (0.87, 0.95))
        gates = ("accuracy >= 0.9", "accuracy <= 1 on exam", "tag reviewed = yes")
        promotions.set_policies("wine", [policy(CHAMPION, *gates[:1]), policy(PRODUCTION, *gates)])
        with pytest.raises(GateFailed) as failed:
            registry.set_alias("wine", "champion", bad)
        assert str(failed.value).startswith(
            "wine/1 may not take @champion: a gate fails, of 1: accuracy >= 0.9: it is 0.87 on exam, 0.03 below 0.9. "
        )
        assert "registry gates check wine/1 --alias champion" in str(failed.value)
        registry.set_alias("wine", "champion", good)
        with pytest.raises(
            GateFailed, match=r"2 gates fail, of 3: .*0\.03 below 0\.9; tag reviewed = yes: it has no such"
        ):
            registry.set_stage("wine", bad, Stage.PRODUCTION)
        registry.set_stage("wine", bad, Stage.STAGING)  # which asks for nothing
        report = promotions.check("wine", good, PRODUCTION)
        assert [(line.gate, line.passed) for line in report.lines] == [
            ("accuracy >= 0.9", True),
            ("accuracy <= 1 on exam", True),
            ("tag reviewed = yes", False),
        ]
        assert (report.passed, report.holder, report.target) == (False, None, "Production")
        registry.update_version("wine", good, tags={"reviewed": "yes"})
        assert registry.set_stage("wine", good, Stage.PRODUCTION).stage is Stage.PRODUCTION
        assert promotions.held("wine").aliases == {"champion": good}
        with pytest.raises(NotFound):
            promotions.check("wine", 9, PRODUCTION)

    def test_better_than_the_holder_on_the_same_data(
        self, registry: RegistryStore, promotions: PromotionStore, models: LoggedModelStore
    ) -> None:
        """By as much as is wanted; other data are no comparison; the first holder is compared with nobody."""
        registry.create_model("wine")
        first = measured(registry, models, accuracy=0.9, rmse=0.3)
        elsewhere = measured(registry, models, digest="d2", accuracy=0.99, rmse=0.1)
        little = measured(registry, models, accuracy=0.905, rmse=0.4)
        better = measured(registry, models, accuracy=0.91, rmse=0.3)
        promotions.set_policies("wine", [policy(CHAMPION, "accuracy higher by 0.01")])
        registry.set_alias("wine", "champion", first)
        for version, why in (
            (elsewhere, r"measured on other data than version 1 \(digests d2 and d1\)"),
            (little, r"0\.905 on exam, that of version 1 0\.9: better by 0\.005, 0\.005 short"),
        ):
            with pytest.raises(GateFailed, match=why):
                registry.set_alias("wine", "champion", version)
        registry.set_alias("wine", "champion", better)
        registry.set_alias("wine", "champion", better)
        promotions.set_policies("wine", [policy(CHAMPION, "rmse lower")])
        assert promotions.check("wine", first, CHAMPION).failures().endswith("no better")
        assert promotions.check("wine", little, CHAMPION).failures().endswith("worse by 0.1")

    def test_what_runs_say(self, registry: RegistryStore, promotions: PromotionStore, runs: RunStore) -> None:
        """A version's run tells its metrics, measured on its test data, and the tests beside it."""
        registry.create_model("wine")
        flow = add_run(runs, run_name="flow")
        for digest, accuracy in (("d1", 0.8), ("d1", 0.9)):
            run_id = add_run(runs, run_name="train", parent_run_id=flow.info.run_id).info.run_id
            runs.log_batch(run_id, metrics=[Metric(key="accuracy", value=accuracy, timestamp=START, step=0)])
            for name, digest_of, context in (("wine", "d0", "training"), ("exam", digest, "testing")):
                data = Dataset(name=name, digest=digest_of, source_type="local", source="{}")
                runs.log_inputs(run_id, [DatasetInput(dataset=data, tags={"mlflow.data.context": context})])
            registry.create_version(new_version(run_id=run_id))
        promotions.set_policies("wine", [policy(CHAMPION, "accuracy higher by 0.05 on exam", "test drift")])
        step = add_run(runs, run_name="drift", parent_run_id=flow.info.run_id).info.run_id
        assert promotions.check("wine", 1, CHAMPION).failures() == "test drift: it is RUNNING"
        runs.update_run(step, status=RunStatus.FINISHED, end_time=START + 1)
        registry.set_alias("wine", "champion", 1)
        registry.update_version("wine", 2, tags={"test.drift": "failed"})
        assert promotions.check("wine", 2, CHAMPION).failures() == "test drift: it is failed"
        registry.update_version("wine", 2, tags={"test.drift": "passed"})
        report = promotions.check("wine", 2, CHAMPION)
        assert (report.passed, report.holder) == (True, 1)
        assert report.lines[0].found == "it is 0.9 on exam, that of version 1 0.8: better by 0.1"

    # -- requests ------------------------------------------------------------------------------------

    def test_a_guarded_move_needs_a_request(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """Whoever moves it by himself is told how to ask, and nothing is changed."""
        promotions.set_policies("wine", [policy(CHAMPION, approvals=2, approvers=("ada", "bob", "cy"))])
        with pytest.raises(ApprovalNeeded) as refused:
            wine.set_alias("wine", "champion", 1)
        assert "2 of ada, bob, cy must approve" in str(refused.value)
        assert "toolkit registry request wine/1 --alias champion" in str(refused.value)
        assert wine.get_model("wine").aliases == {}
        asked = promotions.acting(Author(user="ada", reason="better")).request(
            NewRequest(name="wine", version=1, target=CHAMPION)
        )
        assert (asked.user, asked.reason, asked.state, asked.needed) == ("ada", "better", RequestState.PENDING, 2)
        assert promotions.get_request(asked.id) == asked
        for user, why in (("ada", "ada asked .* nobody decides on a request of their own"), ("dan", "dan may not")):
            for decide in ("approve", "reject"):
                with pytest.raises(Conflict, match=why):
                    getattr(promotions.acting(Author(user=user, reason="no")), decide)(asked.id)
        bob = promotions.acting(Author(user="bob", reason="fine"))
        assert bob.approve(asked.id).state is RequestState.PENDING
        assert [approval.user for approval in bob.approve(asked.id).approvals] == ["bob"]
        assert wine.get_model("wine").aliases == {}
        done = promotions.acting(Author(user="cy")).approve(asked.id)
        assert (done.state, done.closed_by) == (RequestState.DONE, "cy")
        assert [(approval.user, approval.reason) for approval in done.approvals] == [("bob", "fine"), ("cy", None)]
        assert wine.find_alias("wine", "champion").version == 1
        changes = promotions.history(ChangeQuery(name="wine", limit=4)).items
        assert [(change.action, change.user, change.reason, change.request) for change in changes] == [
            (Action.ALIAS, "cy", "better", asked.id),
            (Action.APPROVED, "cy", None, asked.id),
            (Action.APPROVED, "bob", "fine", asked.id),
            (Action.REQUESTED, "ada", "better", asked.id),
        ]
        assert promotions.acting(Author(user="cy")).approve(asked.id) == done
        with pytest.raises(Conflict, match="closed: it was done by cy"):
            bob.acting(Author(user="bob", reason="late")).reject(asked.id)

    def test_rejected_and_withdrawn(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """With a reason, by others; by who asked, and nobody else. Then it may be asked again."""
        asked = ask(promotions, 1, PRODUCTION, "ada")
        assert asked.needed == 1
        with pytest.raises(AlreadyExists, match=f"request {asked.id} asks already"):
            ask(promotions, 1, PRODUCTION, "bob")
        with pytest.raises(InvalidValue, match="without a reason"):
            promotions.acting(Author(user="bob")).reject(asked.id)
        closed = promotions.acting(Author(user="bob", reason="too early")).reject(asked.id)
        assert (closed.state, closed.closed_by, closed.closed_why) == (RequestState.REJECTED, "bob", "too early")
        assert wine.get_version("wine", 1).stage is Stage.NONE
        again = ask(promotions, 1, PRODUCTION, "ada")
        with pytest.raises(Conflict, match="ada's, not bob's"):
            promotions.acting(Author(user="bob")).withdraw(again.id)
        assert promotions.acting(Author(user="ada")).withdraw(again.id).state is RequestState.WITHDRAWN
        with pytest.raises(Conflict, match="closed"):
            promotions.acting(Author(user="bob")).approve(again.id)
        for name in ("request", "approve", "reject", "withdraw"):
            call = getattr(promotions.acting(Author(reason="x")), name)
            given = NewRequest(name="wine", version=1, target=PRODUCTION) if name == "request" else again.id
            with pytest.raises(InvalidValue, match="say who you are"):
                call(given)
        with pytest.raises(NotFound, match="there is no request 99"):
            promotions.get_request(99)
        with pytest.raises(NotFound):
            promotions.acting(Author(user="bob")).approve(99)

    def test_comments_decide_nothing_and_stay(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """Whoever says something to a request, also to one's own and to a closed one, is heard, in order."""
        asked = ask(promotions, 1, PRODUCTION, "ada")
        other = ask(promotions, 2, PRODUCTION, "ada")
        bob = promotions.acting(Author(user="bob", reason="which data was that?"))
        said = bob.comment(asked.id)
        assert (said.state, said.approvals, said.comments[0].user) == (RequestState.PENDING, (), "bob")
        promotions.acting(Author(user="ada", reason="the test set of März\nand June")).comment(asked.id)
        promotions.acting(Author(user="ada")).withdraw(asked.id)
        bob.comment(asked.id)
        texts = [each.text for each in promotions.get_request(asked.id).comments]
        assert texts == ["which data was that?", "the test set of März\nand June", "which data was that?"]
        listed = {each.id: each.comments for each in promotions.requests(RequestQuery(name="wine")).items}
        assert (len(listed[asked.id]), listed[other.id]) == (3, ())
        assert wine.get_version("wine", 1).stage is Stage.NONE
        changes = promotions.history(ChangeQuery(name="wine", actions=(Action.COMMENTED,))).items
        assert [(each.user, each.request, each.version) for each in changes][-1] == ("bob", asked.id, 1)
        with pytest.raises(InvalidValue, match="nothing is said"):
            promotions.acting(Author(user="bob", reason="  ")).comment(asked.id)
        with pytest.raises(InvalidValue, match="say who you are"):
            promotions.acting(Author(reason="x")).comment(asked.id)
        with pytest.raises(NotFound, match="there is no request 99"):
            bob.comment(99)

    def test_listing_requests(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """By model and state, on pages."""
        wine.create_model("beer")
        wine.create_version(new_version("beer"))
        numbers = [ask(promotions, number, CHAMPION, "ada").id for number in (1, 2, 3)]
        other = promotions.acting(Author(user="ada")).request(NewRequest(name="beer", version=1, target=CHAMPION)).id
        promotions.acting(Author(user="ada")).withdraw(numbers[1])
        listed = promotions.requests(RequestQuery(name="wine"))
        assert [request.id for request in listed.items] == numbers[::-1]
        pending = promotions.requests(RequestQuery(state=RequestState.PENDING, limit=2))
        assert [request.id for request in pending.items] == [other, numbers[2]]
        assert pending.next_page_token is not None
        more = RequestQuery(state=RequestState.PENDING, limit=2, page_token=pending.next_page_token)
        assert [request.id for request in promotions.requests(more).items] == [numbers[0]]
        with pytest.raises(NotFound):
            promotions.requests(RequestQuery(name="ale"))

    @pytest.mark.usefixtures("wine")
    def test_what_nobody_could_approve_is_not_asked(self, promotions: PromotionStore) -> None:
        """Where the only approver asks; and what is there already."""
        promotions.set_policies("wine", [policy(PRODUCTION, approvers=("ada",))])
        with pytest.raises(Conflict, match="somebody else than ada must ask"):
            ask(promotions, 1, PRODUCTION, "ada")
        asked = ask(promotions, 1, PRODUCTION, "bob", archive_existing=True)
        assert asked.archive_existing
        promotions.acting(Author(user="ada")).approve(asked.id)
        with pytest.raises(AlreadyExists, match="wine/1 has Production already"):
            ask(promotions, 1, PRODUCTION, "bob")
        second = ask(promotions, 2, PRODUCTION, "bob", archive_existing=True)
        promotions.acting(Author(user="ada")).approve(second.id)
        assert promotions.held("wine").stages == {1: Stage.ARCHIVED, 2: Stage.PRODUCTION}
        with pytest.raises(InvalidValue):
            NewRequest(name="wine", version=1, target=CHAMPION, archive_existing=True)

    def test_gates_count_when_the_last_yes_is_said(
        self, registry: RegistryStore, promotions: PromotionStore, models: LoggedModelStore
    ) -> None:
        """What was fine when it was asked for may be so no more; then the yes is not taken either."""
        registry.create_model("wine")
        old, new = (measured(registry, models, accuracy=value) for value in (0.9, 0.8))
        promotions.set_policies("wine", [policy(CHAMPION, "accuracy higher", "accuracy > 0.7", approvals=1)])
        promotions.set_policies("wine", [policy(CHAMPION, "accuracy > 0.95", approvals=1)])
        with pytest.raises(GateFailed):
            ask(promotions, old, CHAMPION, "ada")
        promotions.set_policies("wine", [policy(CHAMPION, "accuracy higher", "accuracy > 0.7", approvals=1)])
        first, second = ask(promotions, new, CHAMPION, "ada"), ask(promotions, old, CHAMPION, "ada")
        bob = promotions.acting(Author(user="bob"))
        bob.approve(second.id)
        with pytest.raises(GateFailed, match=r"0\.8 on exam, that of version 1 0\.9: worse by 0\.1"):
            bob.approve(first.id)
        left = promotions.get_request(first.id)
        assert (left.state, list(left.approvals)) == (RequestState.PENDING, [])
        assert registry.find_alias("wine", "champion").version == old

    def test_a_deleted_version_waits_for_nothing(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """Its request is closed with it."""
        asked = ask(promotions, 1, CHAMPION, "ada")
        wine.acting(Author(user="eva")).delete_version("wine", 1)
        closed = promotions.get_request(asked.id)
        assert (closed.state, closed.closed_by) == (RequestState.WITHDRAWN, "eva")
        assert closed.closed_why == "the version was deleted"
        other = ask(promotions, 2, CHAMPION, "ada")
        wine.delete_model("wine")
        assert promotions.get_request(other.id).state is RequestState.WITHDRAWN

    # -- many at once ----------------------------------------------------------------------------------

    def test_moves_are_whole_whoever_looks(self, wine: RegistryStore, promotions: PromotionStore) -> None:
        """There is one in production at every moment, and each change follows on the one before it."""
        wine.set_stage("wine", 1, Stage.PRODUCTION)
        wine.set_alias("wine", "champion", 1)
        failed: list[BaseException] = []
        done = threading.Event()

        def move(first: int) -> None:
            try:
                for step in range(6):
                    number = 1 + (first + step) % 3
                    wine.set_stage("wine", number, Stage.PRODUCTION, archive_existing=True)
                    wine.set_alias("wine", "champion", number)
            except BaseException as error:  # noqa: BLE001 - the test says what it was
                failed.append(error)

        def look() -> None:
            try:
                while not done.is_set():
                    found = wine.get_model("wine")
                    active = [each for each in found.latest_versions if each.stage is Stage.PRODUCTION]
                    assert len(active) == 1
                    assert "champion" in found.aliases
            except BaseException as error:  # noqa: BLE001 - the same
                failed.append(error)

        movers = [threading.Thread(target=move, args=(first,)) for first in range(4)]
        looker = threading.Thread(target=look)
        for thread in (*movers, looker):
            thread.start()
        for thread in movers:
            thread.join()
        done.set()
        looker.join()
        assert failed == []
        moves = ChangeQuery(name="wine", actions=(Action.ALIAS,), limit=1_000)
        chain = [(change.old, change.new) for change in reversed(promotions.history(moves).items)]
        assert [old for old, _ in chain[1:]] == [new for _, new in chain[:-1]]
        held = promotions.held("wine")
        assert held.aliases == wine.get_model("wine").aliases
        assert len(held.holders(Stage.PRODUCTION)) == 1

    @pytest.mark.usefixtures("wine")
    def test_one_of_many_last_yeses_moves_it(self, promotions: PromotionStore) -> None:
        """It is done once, and everybody hears so."""
        asked = ask(promotions, 1, CHAMPION, "ada")
        answers: list[object] = []

        def approve(user: str) -> None:
            try:
                answers.append(promotions.acting(Author(user=user)).approve(asked.id).state)
            except Conflict as error:
                answers.append(str(error))

        threads = [threading.Thread(target=approve, args=(f"user{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers.count(RequestState.DONE) == 1
        assert sum("it was done by" in str(answer) for answer in answers) == 5
        moves = promotions.history(ChangeQuery(name="wine", actions=(Action.ALIAS,))).items
        assert len(moves) == 1
