"""The verbs of models: logged, loaded by every kind of URI, refused where they were changed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pytest
import server
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import toolkit
import toolkit.pyfunc
import toolkit.sklearn
from toolkit.active.models import ModelInfo
from toolkit.data.source import local_path
from toolkit.entities import LoggedModelOutput
from toolkit.errors import (
    ArtifactCorrupt,
    ArtifactError,
    Conflict,
    InvalidValue,
    NotFound,
    SchemaMismatch,
    UntrustedModel,
)
from toolkit.recording import current
from toolkit.registry.catalog import Catalog, catalog_of
from toolkit.tracking.logged_models import LoggedModelQuery, ModelStatus

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
TARGET = [0, 1, 0, 1]


class Adding(toolkit.pyfunc.PythonModel):
    def __init__(self, n: int) -> None:
        self.n = n

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401, ARG002 - as `PythonModel`
        return [each + self.n for each in model_input]


@pytest.fixture(scope="module")
def team_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    with server.serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(params=["sqlite", "server"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where models are recorded: in a file, or by a server that artifacts go through."""
    if request.param == "server":
        monkeypatch.setenv("TOOLKIT_TRACKING_URI", request.getfixturevalue("team_server").url)
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_open_run() -> Iterator[None]:
    """End the run that a verb opened."""
    yield
    toolkit.end_run()


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(FRAME, TARGET)


def labels() -> list[int]:
    return [int(each) for each in fitted().predict(FRAME)]


def catalog() -> Catalog:
    return catalog_of(current.stores())


def folder_of(info: ModelInfo) -> Path:
    return local_path(info.artifact_path)


# -- both stores -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("where")
def test_a_model_is_logged_registered_and_loaded_by_every_uri(tmp_path: Path) -> None:
    with toolkit.start_run() as run:
        toolkit.log_params({"c": 1})
        toolkit.log_metric("accuracy", 0.75)
        info = toolkit.log_model(
            fitted(),
            name="wine",
            registered_model_name="wine",
            input_example=FRAME[:2],
            params={"depth": 3},
            tags={"t": 1},
        )
    assert (info.run_id, info.name, info.model_uri) == (run.info.run_id, "wine", f"models:/{info.model_id}")
    for told in (run, toolkit.get_run(run.info.run_id)):
        assert told.outputs.model_outputs == [LoggedModelOutput(str(info.model_id), 0)]
    assert info.model_uuid == info.model_id
    assert info.params == {"c": "1", "depth": "3"}
    assert info.tags["t"] == "1"
    assert [(each.key, each.value) for each in info.metrics] == [("accuracy", 0.75)]
    version = info.registered_model_version
    assert version is not None
    catalog().registered.set_alias("wine", "champion", version)

    for uri in (
        info.model_uri,
        f"models:/wine/{version}",
        "models:/wine@champion",
        "models:/wine/latest",
        f"runs:/{run.info.run_id}/wine",
    ):
        model = toolkit.load_model(uri)
        assert [int(each) for each in model.predict(FRAME)] == labels(), uri
        assert model.metadata.model_id == info.model_id
    copy = Path(toolkit.artifacts.download_artifacts(f"models:/wine/{version}", dst_path=tmp_path / "copy"))
    assert (copy / "registered_model_meta").read_text(encoding="utf-8").split() == [
        "model_name:",
        "wine",
        "model_version:",
        f"'{version}'",
    ]
    listed = {each.path for each in toolkit.artifacts.list_artifacts(f"models:/wine/{version}")}
    assert {"MLmodel", "model.skops", "requirements.txt"} <= listed
    assert toolkit.load_model(copy).metadata.model_id == info.model_id
    with pytest.raises(SchemaMismatch, match="'b'"):
        model.predict(FRAME[["a"]])
    assert isinstance(toolkit.sklearn.load_model(info.model_uri), LogisticRegression)
    made = catalog().logged.models_of([run.info.run_id])[run.info.run_id].outputs
    assert [each.model_id for each in made] == [info.model_id]


@pytest.mark.usefixtures("where")
def test_a_pickle_loads_because_this_store_recorded_it_and_only_from_here(tmp_path: Path) -> None:
    info = toolkit.pyfunc.log_model(name="adding", python_model=Adding(2))

    assert toolkit.load_model(info.model_uri).predict([1]) == [3]
    assert toolkit.load_model(info.model_uri, tmp_path / "copy").predict([1]) == [3]
    with pytest.raises(UntrustedModel, match=r"a pickle.*has not recorded it.*trust=True"):
        toolkit.load_model(tmp_path / "copy")
    assert toolkit.load_model(tmp_path / "copy", trust=True).predict([1]) == [3]
    recorded = {each.path for each in catalog().logged.files_of(str(info.model_id))}
    assert recorded == {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.*")} | {
        "MLmodel"
    }


@pytest.mark.parametrize("change", ["another", "added bytes", "gone", "mlmodel"])
def test_a_model_whose_files_were_changed_is_refused(change: str, where: str, request: pytest.FixtureRequest) -> None:
    info = toolkit.log_model(fitted(), name="wine")
    if where == "server":
        home = request.getfixturevalue("team_server").home
        folder = next(home.glob(f"artifacts/*/models/{info.model_id}/artifacts"))
    else:
        folder = folder_of(info)
    file = folder / ("MLmodel" if change == "mlmodel" else "model.skops")
    if change == "gone":
        file.unlink()
    elif change == "added bytes":
        with file.open("ab") as end:
            end.write(b" ")
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    with pytest.raises(ArtifactCorrupt) as refused:
        toolkit.load_model(info.model_uri, trust=True)
    assert "\n" not in str(refused.value)
    assert file.name in str(refused.value)


@pytest.mark.usefixtures("where")
def test_a_model_that_cannot_be_saved_is_failed_and_says_why() -> None:
    model = make_pipeline(FunctionTransformer(lambda data: data), LogisticRegression()).fit(FRAME, TARGET)
    with toolkit.start_run() as run, pytest.raises(InvalidValue, match="cloudpickle"):
        toolkit.log_model(model, name="failing")

    found = catalog().logged.search_models(LoggedModelQuery(filter="name = 'failing'"))
    mine = [each for each in found.items if each.source_run_id == run.info.run_id]
    assert [each.status for each in mine] == [ModelStatus.FAILED]
    assert "skops cannot keep" in str(mine[0].status_message)
    with pytest.raises(Conflict, match="was not logged: InvalidValue: skops cannot keep"):
        toolkit.load_model(f"models:/{mine[0].model_id}")


# -- files -------------------------------------------------------------------------------------------


def test_models_of_before_as_artifacts_of_a_run(tmp_path: Path) -> None:
    toolkit.save_model(fitted(), tmp_path / "m", serialization_format="pickle")
    with toolkit.start_run() as run:
        toolkit.log_artifacts(tmp_path / "m", "model")

    model = toolkit.load_model(f"runs:/{run.info.run_id}/model")
    assert [int(each) for each in model.predict(FRAME)] == labels()
    assert toolkit.load_model(f"{run.info.artifact_uri}/model").metadata.flavors
    version = toolkit.register_model(f"runs:/{run.info.run_id}/model", "older")
    assert toolkit.load_model(f"models:/older/{version.version}").native.n_features_in_ == 2


def test_a_folder_that_was_moved_away_from_its_store_is_not_trusted(tmp_path: Path) -> None:
    info = toolkit.log_model(fitted(), serialization_format="cloudpickle")
    shutil.copytree(folder_of(info), tmp_path / "m")

    with pytest.raises(UntrustedModel):
        toolkit.load_model(tmp_path / "m")


def test_code_that_somebody_put_beside_a_recorded_model_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("x = 1", encoding="utf-8")
    info = toolkit.log_model(fitted(), code_paths=[tmp_path / "steps.py"])
    (folder_of(info) / "code" / "sklearn.py").write_text("1 / 0", encoding="utf-8")

    with pytest.raises(UntrustedModel, match="code that was saved with a model"):
        toolkit.load_model(info.model_uri)


def test_loading_leaves_nothing_beside_a_model_and_runs_no_bytecode_from_there(tmp_path: Path) -> None:
    import py_compile

    (tmp_path / "own_scaling.py").write_text("def scaled(rows): return [row * 2 for row in rows]", encoding="utf-8")
    (tmp_path / "model.py").write_text(
        "import toolkit, own_scaling\ntoolkit.models.set_model(own_scaling.scaled)", encoding="utf-8"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        info = toolkit.log_model(tmp_path / "model.py", code_paths=[tmp_path / "own_scaling.py"])
    finally:
        sys.path.remove(str(tmp_path))
    folder = folder_of(info)
    before = sorted(folder.rglob("*"))
    for _ in range(2):
        assert toolkit.load_model(info.model_uri).predict([1]) == [2]
        assert sorted(folder.rglob("*")) == before

    evil = tmp_path / "evil.py"
    evil.write_text("raise SystemExit('evil')", encoding="utf-8")
    for name in ("model.py", "code/own_scaling.py"):
        cached = Path(importlib.util.cache_from_source(str(folder / name)))
        cached.parent.mkdir(parents=True)
        py_compile.compile(
            str(evil), cfile=str(cached), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
    with pytest.raises(UntrustedModel, match="code that was saved with a model"):
        toolkit.load_model(info.model_uri)
    shutil.rmtree(folder / "code" / "__pycache__")
    assert toolkit.load_model(info.model_uri).predict([1]) == [2]


def test_settings_can_refuse_even_recorded_pickles_and_trust_types(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.tree import DecisionTreeClassifier

    pickled = toolkit.log_model(fitted(), serialization_format="pickle")
    tree = toolkit.log_model(DecisionTreeClassifier().fit(FRAME, TARGET))
    assert toolkit.load_model(tree.model_uri).predict(FRAME) is not None

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with pytest.raises(UntrustedModel):
        toolkit.load_model(pickled.model_uri)
    with pytest.raises(UntrustedModel, match="Tree"):
        toolkit.load_model(tree.model_uri)
    monkeypatch.setenv("TOOLKIT_TRUSTED_TYPES", "sklearn.tree._tree.Tree, other.Type")
    assert toolkit.load_model(tree.model_uri).predict(FRAME) is not None


def test_a_model_that_was_made_before_its_files(tmp_path: Path) -> None:
    from toolkit.tracking.logged_models import NewLoggedModel

    made = catalog().logged.create_model(NewLoggedModel(experiment_id="0", name="early"))
    info = toolkit.log_model(fitted(), model_id=made.model_id)

    assert info.model_id == made.model_id
    assert catalog().logged.get_model(made.model_id).status is ModelStatus.READY


@pytest.mark.parametrize(
    ("uri", "kind", "message"),
    [
        ("models:/nobody/1", NotFound, "nobody"),
        ("models:/wine", InvalidValue, "models:/ URI"),
        ("models:/m-00000000000000000000000000000000", NotFound, "m-0000"),
        ("runs:/00000000000000000000000000000000/model", NotFound, "0000"),
        ("models:/m-nobody", NotFound, "Logged model with ID 'm-nobody' not found"),
        ("nowhere", NotFound, "there is no such folder"),
        ("wine/1", NotFound, "a registered version is models:/wine/1"),
        ("wine@champion", NotFound, "a registered version is models:/wine@champion"),
        ("", InvalidValue, "names no model"),
        ("s3://no-such-bucket-of-anybody", ArtifactError, "no-such-bucket"),
    ],
    ids=["version", "name", "logged", "run", "no-id", "folder", "number", "alias", "empty", "bucket"],
)
def test_what_there_is_not(
    uri: str,
    kind: type[Exception],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOOLKIT_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TOOLKIT_ARTIFACT_TIMEOUT", "1")
    with pytest.raises(kind, match=message):
        toolkit.load_model(uri)


# -- MLflow's names ----------------------------------------------------------------------------------


def test_flavors_under_mlflows_names(tmp_path: Path) -> None:
    import toolkit.xgboost

    toolkit.sklearn.save_model(sk_model=fitted(), path=tmp_path / "m", pyfunc_predict_fn="predict_proba")
    assert toolkit.pyfunc.load_model(str(tmp_path / "m")).predict(FRAME).shape == (4, 2)
    assert toolkit.sklearn.log_model(fitted(), "older").name == "older"
    assert callable(toolkit.xgboost.log_model)
    with pytest.raises(InvalidValue, match="they are one thing"):
        toolkit.sklearn.log_model(fitted(), "older", name="newer")
    with pytest.raises(InvalidValue, match="was given no models"):
        toolkit.sklearn.log_model(name="none")
    with pytest.raises(NotFound, match=r'"xgboost" flavor: it has python_function, sklearn'):
        toolkit.xgboost.load_model(tmp_path / "m")
    with pytest.raises(InvalidValue, match="'colour'"):
        toolkit.log_model(fitted(), colour="red")


def test_a_file_as_a_model_with_files_of_another_run(tmp_path: Path) -> None:
    with toolkit.start_run() as run:
        toolkit.log_text("red green", "words.txt")
    (tmp_path / "model.py").write_text(
        "import toolkit\n"
        "class Shelf(toolkit.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input):\n"
        "        words = open(context.artifacts['words'])\n"
        "        with words:\n"
        "            return [words.read().split()[each] for each in model_input]\n"
        "toolkit.models.set_model(Shelf())\n",
        encoding="utf-8",
    )
    info = toolkit.pyfunc.log_model(
        name="shelf",
        python_model=str(tmp_path / "model.py"),
        artifacts={"words": f"runs:/{run.info.run_id}/words.txt"},
    )
    assert toolkit.load_model(info.model_uri).predict([1]) == ["green"]


# -- what functions return ---------------------------------------------------------------------------


def test_a_fitted_model_that_a_tracked_function_returns_is_a_model() -> None:
    @toolkit.track
    def train() -> tuple[Annotated[LogisticRegression, "wine"], float]:
        return fitted(), 0.5

    @toolkit.track
    def plan() -> LogisticRegression:
        return LogisticRegression(C=2)

    @toolkit.track
    def custom() -> Any:  # noqa: ANN401 - a pipeline, which skops cannot keep
        return make_pipeline(FunctionTransformer(lambda data: data), LogisticRegression()).fit(FRAME, TARGET)

    train()
    plan()
    custom()

    found = catalog().logged.search_models(LoggedModelQuery()).items
    assert sorted((each.name, each.status) for each in found) == [
        ("custom", ModelStatus.READY),
        ("wine", ModelStatus.READY),
    ]
    by_name = {each.name: each for each in found}
    assert [int(each) for each in toolkit.load_model(f"models:/{by_name['wine'].model_id}").predict(FRAME)] == labels()
    assert toolkit.load_model(f"models:/{by_name['custom'].model_id}").predict(FRAME) is not None
    unfitted = next(run for run in toolkit.search_runs(output_format="list") if run.info.run_name == "plan")
    assert [each.path for each in toolkit.Client().list_artifacts(unfitted.info.run_id)] == ["plan.estimator.json"]


# -- what it costs to load ---------------------------------------------------------------------------

PREDICT = """
import json, sys
import pandas as pd
import toolkit
model = toolkit.load_model(sys.argv[1])
predictions = [int(each) for each in model.predict(pd.DataFrame({"a": [0.0, 1.0], "b": [1.0, 0.0]}))]
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"predictions": predictions, "loaded": loaded}))
"""


def test_predicting_loads_neither_prefect_nor_bentoml_nor_fastapi() -> None:
    info = toolkit.log_model(fitted())
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, info.model_uri], capture_output=True, text=True, check=True, timeout=120
    )
    said = json.loads(done.stdout)

    assert said["predictions"] == labels()[:2]
    assert not {"prefect", "bentoml", "fastapi", "starlette", "mlflow", "docker", "alembic"} & set(said["loaded"])


def test_to_ask_for_the_flavors_of_a_model_loads_no_library() -> None:
    code = (
        "import sys, toolkit.models.lookup as l\n"
        "for name in l.BUILT_IN: assert not l.flavor_named(name).takes(object())\n"
        "print(sorted({n.partition('.')[0] for n in sys.modules} & set(sys.argv[1].split())))"
    )
    heavy = (
        "sklearn xgboost lightgbm catboost torch tensorflow keras onnx statsmodels pyspark transformers pandas numpy"
    )
    done = subprocess.run([sys.executable, "-c", code, heavy], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
