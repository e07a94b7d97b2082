"""scikit-learn's models and models of one's own go both ways between MLflow and us: with the real package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import peer
import pytest
import server
import yaml
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import toolkit
from toolkit.errors import SchemaMismatch, UntrustedModel
from toolkit.models.folder import load_model, load_native, save_model
from toolkit.models.infer import infer_signature
from toolkit.models.metadata import ModelMetadata
from toolkit.models.trust import Trust

SCRIPTS = Path(__file__).parent / "scripts"
FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
TARGET = [0, 1, 0, 1]
pytestmark = pytest.mark.skipif(peer.mlflow_python() is None, reason=peer.NO_MLFLOW)

OURS = """
import sys
from pathlib import Path
import pandas as pd
from toolkit.models.folder import save_model
from toolkit.models.infer import infer_signature
from toolkit.models.python_model import PythonModel

class Shelf(PythonModel):
    def __init__(self, start):
        self.start = start
    def load_context(self, context):
        self.words = Path(context.artifacts["words"]).read_text().split()
    def predict(self, context, model_input, params=None):
        where = [self.start + int(each) for each in model_input["at"]]
        return [self.words[each] * (params or {}).get("times", 1) for each in where]

folder = Path(sys.argv[1])
words = folder / "words.txt"
words.write_text("red green blue")
signature = infer_signature(pd.DataFrame({"at": [1]}), ["red"], params={"times": 1})
save_model(Shelf(1), folder / "shelf", signature=signature, options={"artifacts": {"words": words}})
save_model(lambda rows: [row * 2 for row in rows], folder / "twice", options={"compression": "lzma"})
"""

FILE = """
from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc import PythonModel

config = ModelConfig(development_config={"by": 10})

class Scaling(PythonModel):
    def predict(self, model_input, params=None):
        return [each * config.get("by") for each in model_input]

set_model(Scaling())
"""


def run(python: str, script: Path | str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    command = [python, str(script), str(folder)] if isinstance(script, Path) else [python, "-c", script, str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that MLflow saved."""
    folder = tmp_path_factory.mktemp("theirs")
    run(str(peer.mlflow_python()), SCRIPTS / "mlflow_saves_models.py", folder)
    return folder


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What MLflow makes of models that were saved here."""
    folder = tmp_path_factory.mktemp("ours")
    run(sys.executable, OURS, folder)
    for form in ("skops", "cloudpickle", "pickle"):
        save_model(
            LogisticRegression().fit(FRAME, TARGET),
            folder / f"sklearn_{form}",
            input_example=FRAME[:2],
            options={"serialization_format": form},
        )
    forest = RandomForestClassifier(3, random_state=0).fit(FRAME, TARGET)
    save_model(forest, folder / "sklearn_forest", options={"pyfunc_predict_fn": "predict_proba"})
    file = folder / "scaling.py"
    file.write_text(FILE, encoding="utf-8")
    save_model(file, folder / "scaling", options={"model_config": {"by": 3}})
    found: dict[str, Any] = json.loads(
        run(str(peer.mlflow_python()), SCRIPTS / "mlflow_loads_models.py", folder).splitlines()[-1]
    )
    return found


@pytest.mark.parametrize("form", ["skops", "cloudpickle", "pickle"])
def test_estimators_that_mlflow_saved(theirs: Path, form: str) -> None:
    folder = theirs / f"sklearn_{form}"
    trust = None if form == "skops" else Trust.all()
    if form != "skops":
        with pytest.raises(UntrustedModel):
            load_model(folder)

    model = load_model(folder, trust=trust)
    assert list(model.predict(FRAME)) == list(LogisticRegression().fit(FRAME, TARGET).predict(FRAME))
    with pytest.raises(SchemaMismatch):
        model.predict(FRAME[["b"]])
    assert isinstance(load_native(folder, "sklearn", trust=trust), LogisticRegression)


def test_models_of_ones_own_that_mlflow_saved(theirs: Path) -> None:
    models = {name: load_model(theirs / name, trust=Trust.all()) for name in ("shelf", "shouting", "twice", "scaling")}

    assert models["shelf"].predict(pd.DataFrame({"at": [0, 1]}), {"times": 2}) == ["greengreen", "blueblue"]
    assert models["shouting"].predict(["a", "b"]) == ["A", "B"]
    assert models["twice"].predict([1, 2]) == [2, 4]
    assert models["scaling"].predict([1, 2]) == [3, 6]
    assert not [name for name in sys.modules if name.partition(".")[0] == "mlflow"]


@pytest.mark.parametrize("name", ["sklearn_skops", "shelf", "shouting", "scaling"])
def test_what_mlflow_says_in_its_mlmodel_is_kept_when_it_is_written_again(
    theirs: Path, tmp_path: Path, name: str
) -> None:
    ModelMetadata.read(theirs / name).write(tmp_path)

    before = yaml.safe_load((theirs / name / "MLmodel").read_text(encoding="utf-8"))
    after = yaml.safe_load((tmp_path / "MLmodel").read_text(encoding="utf-8"))
    if before.get("signature"):
        before["signature"] = {part: json.loads(text) if text else None for part, text in before["signature"].items()}
        after["signature"] = {part: json.loads(text) if text else None for part, text in after["signature"].items()}
    assert {key: value for key, value in after.items() if value is not None} == {
        key: value for key, value in before.items() if value is not None
    }


def test_what_is_saved_here_predicts_in_mlflow(said: dict[str, Any]) -> None:
    labels = LogisticRegression().fit(FRAME, TARGET).predict(FRAME).tolist()

    assert [said[f"sklearn_{form}"] for form in ("skops", "cloudpickle", "pickle")] == [labels] * 3
    assert said["sklearn_skops natively"] == "LogisticRegression"
    assert said["sklearn_skops served"] == labels[:2]
    assert said["sklearn_forest natively"] == "RandomForestClassifier"
    assert said["shelf"] == ["greengreen", "blueblue"]
    assert said["twice"] == [2, 4]
    assert said["scaling"] == [3, 6]


def test_mlflow_reads_our_signatures_as_we_do(said: dict[str, Any]) -> None:
    ours = infer_signature(FRAME, LogisticRegression().fit(FRAME, TARGET).predict(FRAME)).to_dict()

    for part, text in said["sklearn_skops signature"].items():
        assert json.loads(text or "null") == json.loads(ours[part] or "null")


def test_both_clients_log_to_one_server_and_load_what_the_other_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = LogisticRegression().fit(FRAME, TARGET).predict(FRAME).tolist()
    with server.serving(tmp_path / "home") as team:
        monkeypatch.setenv("TOOLKIT_TRACKING_URI", team.url)
        with toolkit.start_run():
            model = LogisticRegression().fit(FRAME, TARGET)
            toolkit.log_model(model, name="ours", registered_model_name="ours", input_example=FRAME[:1])
        toolkit.flush()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOOLKIT_")},
            "MLFLOW_TRACKING_URI": team.url,
            "PYTHONWARNINGS": "ignore",
        }
        command = [str(peer.mlflow_python()), str(SCRIPTS / "mlflow_client_logs_models.py"), "models:/ours/1"]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])

        assert (said["predictions"], said["native"]) == (labels, "LogisticRegression")
        for uri in (said["uri"], said["run"], "models:/theirs/1"):  # a pickle, which the server recorded as it came
            assert toolkit.load_model(uri).predict(FRAME).tolist() == labels, uri
        toolkit.end_run()
