"""The contract of `toolkit.tracking.logged_models.LoggedModelStore` as tests.

A subclass gives the fixtures ``runs``, an empty run store, and ``models``, the store of models that is made after it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.testing.runs import new_run
from toolkit.tracking.logged_models import (
    DatasetRef,
    LoggedModel,
    LoggedModelQuery,
    LoggedModelStore,
    ModelMetric,
    ModelOrder,
    ModelOutput,
    ModelStatus,
    NewLoggedModel,
    RunModels,
    new_model_id,
)
from toolkit.tracking.records import ArtifactEntry, Lifecycle, Metric
from toolkit.tracking.store import RunStore


def point(model: LoggedModel, value: float, *, key: str = "rmse", time: int = 1, data: str = "") -> ModelMetric:
    """Return a point of a model, on the data of this name."""
    metric = Metric(key=key, value=value, timestamp=time, step=0)
    dataset = DatasetRef(name=data, digest=f"{data}-1") if data else None
    return ModelMetric(metric=metric, model_id=model.model_id, run_id="r", dataset=dataset)


def found(models: LoggedModelStore, query: LoggedModelQuery) -> list[str]:
    """Return the names that a query finds, page by page."""
    names: list[str] = []
    while True:
        page = models.search_models(query)
        names += [model.name for model in page.items]
        if page.next_page_token is None:
            return names
        query = replace(query, page_token=page.next_page_token)


class LoggedModelStoreContract:
    """All of the contract."""

    def test_a_model_is_what_was_said(self, runs: RunStore, models: LoggedModelStore) -> None:
        """Made pending, with its place below its experiment's."""
        place = runs.get_experiment("0").artifact_location
        new = NewLoggedModel(
            experiment_id="0", name="m", model_type="agent", source_run_id="a" * 32, params={"p": "1"}, tags={"t": "x"}
        )
        made = models.create_model(new)
        assert made.status is ModelStatus.PENDING
        assert made.artifact_uri == f"{place}/models/{new.model_id}/artifacts"
        assert (made.params, made.tags) == ({"p": "1"}, {"t": "x"})
        assert (made.model_type, made.source_run_id) == ("agent", "a" * 32)
        assert models.get_model(new.model_id) == made
        assert models.create_model(new) == made
        done = models.finish_model(new.model_id, ModelStatus.READY)
        assert done.status is ModelStatus.READY
        assert done.last_update_time >= made.creation_time

    def test_what_cannot_be_made(self, runs: RunStore, models: LoggedModelStore) -> None:
        """Names as MLflow forbids them; experiments that are not there."""
        for name in ("", "a/b", "a:b", "a.b", "50%", "it's"):
            with pytest.raises(InvalidValue):
                models.create_model(NewLoggedModel(experiment_id="0", name=name))
        with pytest.raises(InvalidValue):
            models.create_model(NewLoggedModel(experiment_id="0", name="m", model_id="m-1"))
        with pytest.raises(NotFound):
            models.create_model(NewLoggedModel(experiment_id="77", name="m"))
        experiment = runs.create_experiment("gone")
        runs.update_experiment(experiment.experiment_id, lifecycle=Lifecycle.DELETED)
        with pytest.raises(Conflict):
            models.create_model(NewLoggedModel(experiment_id=experiment.experiment_id, name="m"))

    def test_tags_and_params(self, models: LoggedModelStore) -> None:
        """Tags are set and removed; parameters stay as they are."""
        model_id = models.create_model(NewLoggedModel(experiment_id="0", name="m", tags={"a": "1"})).model_id
        models.tag_model(model_id, {"a": None, "b": "2"})
        assert models.get_model(model_id).tags == {"b": "2"}
        with pytest.raises(NotFound, match="No tag with key 'a'"):
            models.tag_model(model_id, {"a": None})
        models.log_params(model_id, {"p": "1", "q": ""})
        models.log_params(model_id, {"p": "1"})
        with pytest.raises(Conflict, match="p"):
            models.log_params(model_id, {"r": "3", "p": "2"})
        assert models.get_model(model_id).params == {"p": "1", "q": ""}

    def test_versions_are_listed_once(self, models: LoggedModelStore) -> None:
        """A client adds the version with its number as text to the one that is there."""
        model_id = models.create_model(NewLoggedModel(experiment_id="0", name="m")).model_id
        twice = '[{"name": "rm", "version": 1}, {"name": "rm", "version": "1"}, {"name": "rm", "version": 2}]'
        models.tag_model(model_id, {"mlflow.modelVersions": twice})
        told = models.get_model(model_id).tags["mlflow.modelVersions"]
        assert told == '[{"name": "rm", "version": 1}, {"name": "rm", "version": 2}]'
        models.tag_model(model_id, {"mlflow.modelVersions": "other"})
        assert models.get_model(model_id).tags["mlflow.modelVersions"] == "other"

    def test_metrics(self, models: LoggedModelStore) -> None:
        """Every number there is, on data or not; again is not twice."""
        model = models.create_model(NewLoggedModel(experiment_id="0", name="m"))
        points = [point(model, 0.5), point(model, -0.0, data="d"), point(model, math.inf, time=2)]
        models.log_metrics(points)
        models.log_metrics([*points, point(model, math.nan, key="nan")])
        told = models.get_model(model.model_id).metrics
        assert len(told) == 4
        assert set(points) <= set(told)
        assert math.isnan(next(each.metric.value for each in told if each.metric.key == "nan"))
        with pytest.raises(NotFound):
            models.log_metrics([ModelMetric(metric=points[0].metric, model_id=new_model_id(), run_id="r")])

    def test_files_have_their_digests(self, models: LoggedModelStore) -> None:
        """Files are listed with their digests, by path; a path has one entry, and it can be taken off the list."""
        model = models.create_model(NewLoggedModel(experiment_id="0", name="wine"))
        assert list(models.files_of(model.model_id)) == []
        first = ArtifactEntry(path="MLmodel", size=3, sha256="a" * 64, created=1)
        data = ArtifactEntry(path="data/model.skops", size=2**40, sha256="b" * 64, created=2)
        models.record_files(model.model_id, [data, first])
        assert list(models.files_of(model.model_id)) == [first, data]
        again = ArtifactEntry(path="MLmodel", size=4, sha256="c" * 64, created=3)
        models.record_files(model.model_id, [again])
        models.forget_files(model.model_id, ["data/model.skops", "nothing"])
        assert list(models.files_of(model.model_id)) == [again]
        models.record_files(model.model_id, [])
        with pytest.raises(InvalidValue):
            models.record_files(model.model_id, [ArtifactEntry(path="../MLmodel", size=1, sha256="d" * 64)])
        for unknown in (
            lambda: models.files_of(f"m-{'0' * 32}"),
            lambda: models.record_files(f"m-{'0' * 32}", [first]),
        ):
            with pytest.raises(NotFound):
                unknown()

    def test_deleting(self, models: LoggedModelStore) -> None:
        """A deleted model is there for who insists; then it can be removed for good."""
        model_id = models.create_model(NewLoggedModel(experiment_id="0", name="m")).model_id
        assert models.purge([model_id]) == []
        models.delete_model(model_id)
        for refused in (models.get_model, models.delete_model):
            with pytest.raises(NotFound, match=f"Logged model with ID '{model_id}' not found."):
                refused(model_id)
        assert models.get_model(model_id, allow_deleted=True).lifecycle_stage is Lifecycle.DELETED
        assert found(models, LoggedModelQuery()) == []
        assert found(models, LoggedModelQuery(lifecycle=Lifecycle.DELETED)) == ["m"]
        assert models.purge([model_id, "nonsense"]) == [model_id]
        with pytest.raises(NotFound):
            models.get_model(model_id, allow_deleted=True)

    def test_an_experiment_with_models_stays(self, runs: RunStore, models: LoggedModelStore) -> None:
        """Its models are removed before it is."""
        experiment_id = runs.create_experiment("e").experiment_id
        model_id = models.create_model(NewLoggedModel(experiment_id=experiment_id, name="m")).model_id
        runs.update_experiment(experiment_id, lifecycle=Lifecycle.DELETED)
        assert runs.purge(experiment_ids=[experiment_id]) == []
        assert models.purge([model_id]) == [model_id]
        assert runs.purge(experiment_ids=[experiment_id]) == [experiment_id]

    def test_what_runs_use_and_make(self, runs: RunStore, models: LoggedModelStore) -> None:
        """Once each, in the order of the models."""
        run = new_run()
        runs.create_run(run)
        first, second = (models.create_model(NewLoggedModel(experiment_id="0", name=name)).model_id for name in "ab")
        for _ in range(2):
            models.log_outputs(run.run_id, [ModelOutput(model_id=second, step=3), ModelOutput(model_id=first)])
            models.log_inputs(run.run_id, [second, second])
        models.log_inputs(run.run_id, [])
        wanted = RunModels(
            inputs=(second,), outputs=(ModelOutput(model_id=first), ModelOutput(model_id=second, step=3))
        )
        assert models.models_of([run.run_id, "f" * 32]) == {run.run_id: wanted}
        with pytest.raises(NotFound):
            models.log_outputs("f" * 32, [])
        with pytest.raises(NotFound):
            models.log_inputs(run.run_id, [new_model_id()])
        runs.update_run(run.run_id, lifecycle=Lifecycle.DELETED)
        with pytest.raises(Conflict):
            models.log_inputs(run.run_id, [first])
        runs.purge(run_ids=[run.run_id])
        assert models.models_of([run.run_id]) == {}
        assert models.get_model(first).name == "a"

    def test_search(self, runs: RunStore, models: LoggedModelStore) -> None:
        """By each kind of field."""
        other = runs.create_experiment("other").experiment_id
        a, b, c = (models.create_model(_named(name)) for name in "abc")
        models.create_model(NewLoggedModel(experiment_id=other, name="d", model_type="agent", source_run_id="q" * 32))
        models.finish_model(b.model_id, ModelStatus.READY)
        models.log_metrics(
            [point(a, 1.0, data="x"), point(b, 2.0, data="y"), point(b, 9.0, time=0), point(c, math.nan)]
        )
        for text, wanted in (
            ("", "abcd"),
            ("name = 'a'", "a"),
            ("name IN ('a', 'd')", "ad"),
            ("name LIKE 'A'", ""),
            ("name ILIKE 'A'", "a"),
            ("name REGEXP '[ab]'", "ab"),
            ("status = 'READY'", "b"),
            ("model_type = 'agent'", "d"),
            ("source_run_id IS NULL", "abc"),
            (f"model_id = '{c.model_id}'", "c"),
            ("tags.n = 'b'", "b"),
            ("tags.n != 'b'", "ac"),
            ("tags.n IS NULL", "d"),
            ("params.P ILIKE 'B'", ""),
            ("params.p ILIKE 'B'", "b"),
            ("metrics.rmse > 0", "ab"),
            ("metrics.rmse > 1.5 AND name = 'b'", "b"),
            ("metrics.rmse != 1", "bc"),
            ("metrics.rmse IS NULL", "d"),
            ("creation_timestamp > 0 AND last_updated_time > 0", "abcd"),
        ):
            assert sorted(found(models, LoggedModelQuery(filter=text))) == list(wanted), text
        assert found(models, LoggedModelQuery(experiment_ids=[other])) == ["d"]
        on_x, on_y = LoggedModelQuery(datasets=[DatasetRef(name="x")]), DatasetRef(name="y", digest="y-1")
        assert found(models, on_x) == ["a"]
        assert found(models, LoggedModelQuery(datasets=[on_y], filter="metrics.rmse > 0")) == ["b"]
        assert found(models, LoggedModelQuery(datasets=[DatasetRef(name="y", digest="z")])) == []
        with pytest.raises(InvalidValue, match="unknown attribute"):
            found(models, LoggedModelQuery(filter="nmae = 'a'"))

    def test_orders_and_pages(self, models: LoggedModelStore) -> None:
        """By the latest value, on the data that is wanted; what has none is last both ways."""
        a, b, c, d = (models.create_model(_named(name)) for name in "abcd")
        models.log_metrics(
            [point(a, 1.0, time=5, data="x"), point(a, 9.0), point(b, 2.0, data="x"), point(b, 0.0, time=3)]
        )
        models.log_metrics([point(c, math.nan)])

        def ordered(field: str, descending: bool = False, data: str | None = None) -> str:
            key = ModelOrder(field=field, descending=descending, dataset=DatasetRef(name=data) if data else None)
            return "".join(found(models, LoggedModelQuery(order_by=[key], limit=1)))

        assert d.name == "d"
        assert ordered("name") == "abcd"
        assert ordered("name", descending=True) == "dcba"
        assert ordered("metrics.rmse") == "bacd"
        assert ordered("metrics.rmse", descending=True) == "abcd"
        assert ordered("metrics.rmse", descending=True, data="x")[:2] == "ba"
        assert ordered("params.p", descending=True) == "dcba"
        assert sorted(ordered("creation_timestamp")) == list("abcd")
        for field in ("nothing", "metrics.", "a b"):
            with pytest.raises(InvalidValue):
                ordered(field)
        with pytest.raises(InvalidValue):
            ordered("name", data="x")
        token = models.search_models(LoggedModelQuery(limit=1)).next_page_token
        with pytest.raises(InvalidValue, match="page_token"):
            models.search_models(LoggedModelQuery(limit=1, filter="name = 'a'", page_token=token))


def _named(name: str) -> NewLoggedModel:
    return NewLoggedModel(experiment_id="0", name=name, tags={"n": name}, params={"p": name})
