"""Model folders: what is written, what is refused, and what comes out again."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from toolkit.artifacts.digest import file_digest
from toolkit.errors import AlreadyExists, InvalidValue, NotFound, SchemaMismatch, UntrustedModel
from toolkit.models.folder import load_model, load_native, save_model
from toolkit.models.metadata import ModelMetadata
from toolkit.models.python_model import PythonModel, PythonModelContext
from toolkit.models.trust import Trust

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
TARGET = [0, 1, 0, 1]


class Doubling(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A transformer that scikit-learn does not know."""

    def fit(self, data: Any, target: Any = None) -> Doubling:  # noqa: ANN401, ARG002 - as every estimator
        self.fitted_ = True
        return self

    def transform(self, data: Any) -> Any:  # noqa: ANN401 - the same
        return data * 2


class Words(PythonModel):
    """A model with a file and a configuration."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def load_context(self, context: PythonModelContext) -> None:
        self.words = Path(context.artifacts["words"]).read_text(encoding="utf-8").split()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401 - as `PythonModel`
        times = (params or {}).get("times", 1)
        return [(self.words[each] + self.suffix + context.model_config["end"]) * times for each in model_input]


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(FRAME, TARGET)


def bits(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- scikit-learn ------------------------------------------------------------------------------------


def test_an_estimator_is_kept_without_pickle_and_loads_without_trust(tmp_path: Path) -> None:
    model = fitted()
    save_model(model, tmp_path / "m")

    assert {"MLmodel", "model.skops", "requirements.txt", "python_env.yaml", "conda.yaml"} == set(bits(tmp_path / "m"))
    loaded = load_model(tmp_path / "m")
    assert list(loaded.predict(FRAME)) == list(model.predict(FRAME))
    assert isinstance(load_native(tmp_path / "m", "sklearn"), LogisticRegression)
    assert isinstance(loaded.unwrap_python_model(), LogisticRegression)


@pytest.mark.parametrize("form", ["pickle", "cloudpickle"])
def test_a_pickle_is_refused_in_one_line_unless_trusted(tmp_path: Path, form: str) -> None:
    save_model(fitted(), tmp_path / "m", options={"serialization_format": form})
    file = tmp_path / "m" / "model.pkl"

    with pytest.raises(UntrustedModel, match=r"model\.pkl is a pickle.*trust=True") as refused:
        load_model(tmp_path / "m")
    assert "\n" not in str(refused.value)
    with pytest.raises(UntrustedModel):
        load_native(tmp_path / "m", "sklearn")
    with pytest.raises(UntrustedModel):
        load_model(tmp_path / "m", trust=Trust(digests=frozenset({"0" * 64})))
    for trust in (Trust.all(), Trust(digests=frozenset({file_digest(file)}))):
        assert list(load_model(tmp_path / "m", trust=trust).predict(FRAME)) == list(fitted().predict(FRAME))


def test_a_pickle_that_is_refused_is_not_even_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, object]:
            return Path.write_text, (tmp_path / "exploded", "yes")

    save_model(fitted(), tmp_path / "m", options={"serialization_format": "pickle"})
    (tmp_path / "m" / "model.pkl").write_bytes(pickle.dumps(Bomb()))

    with pytest.raises(UntrustedModel):
        load_model(tmp_path / "m")
    assert not (tmp_path / "exploded").exists()


def test_types_that_skops_does_not_know_need_trust_whatever_the_model_says(tmp_path: Path) -> None:
    save_model(RandomForestClassifier(3).fit(FRAME, TARGET), tmp_path / "m")
    block = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text(encoding="utf-8"))["flavors"]["sklearn"]
    assert block["skops_trusted_types"] == ["sklearn.tree._tree.Tree"]  # for MLflow, which asks the model

    with pytest.raises(UntrustedModel, match=r"sklearn\.tree\._tree\.Tree.*trusted_types"):
        load_model(tmp_path / "m")
    digest = file_digest(tmp_path / "m" / "model.skops")
    for trust in (Trust(types=frozenset(block["skops_trusted_types"])), Trust(digests=frozenset({digest}))):
        assert len(load_model(tmp_path / "m", trust=trust).predict(FRAME)) == 4


def test_what_skops_cannot_keep_says_what_to_do(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(lambda data: data * 2), LinearRegression()).fit(FRAME, TARGET)

    with pytest.raises(InvalidValue, match='serialization_format="cloudpickle"'):
        save_model(model, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    save_model(model, tmp_path / "m", options={"serialization_format": "cloudpickle"})
    assert list(load_model(tmp_path / "m", trust=Trust.all()).predict(FRAME)) == list(model.predict(FRAME))


def test_which_function_predicts(tmp_path: Path) -> None:
    save_model(fitted(), tmp_path / "m", options={"pyfunc_predict_fn": "predict_proba"})
    assert load_model(tmp_path / "m").predict(FRAME).shape == (4, 2)

    with pytest.raises(InvalidValue, match="wanted one of predict, predict_proba"):
        save_model(fitted(), tmp_path / "other", options={"pyfunc_predict_fn": "set_params"})
    with pytest.raises(InvalidValue, match="without an argument 'serialisation'"):
        save_model(fitted(), tmp_path / "other", options={"serialisation": "skops"})


def test_an_mlmodel_cannot_have_another_function_called(tmp_path: Path) -> None:
    save_model(fitted(), tmp_path / "m")
    file = tmp_path / "m" / "MLmodel"
    file.write_text(file.read_text(encoding="utf-8").replace("predict_fn: predict", "predict_fn: __reduce__"))

    with pytest.raises(InvalidValue, match="wanted one of predict"):
        load_model(tmp_path / "m")


def test_a_transformer_has_no_pyfunc_and_says_which_flavors_there_are(tmp_path: Path) -> None:
    save_model(FunctionTransformer(np.log1p).fit(FRAME), tmp_path / "m")

    with pytest.raises(NotFound, match=r'does not have the "python_function" flavor: it has sklearn'):
        load_model(tmp_path / "m")
    assert load_native(tmp_path / "m", "sklearn").transform(FRAME).shape == (4, 2)


# -- models of one's own -----------------------------------------------------------------------------


def test_a_class_with_files_and_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("red green blue", encoding="utf-8")
    save_model(
        Words("!"), tmp_path / "m", options={"artifacts": {"words": tmp_path / "w.txt"}, "model_config": {"end": "."}}
    )
    (tmp_path / "w.txt").unlink()

    model = load_model(tmp_path / "m", trust=Trust.all())
    assert model.predict([0, 2]) == ["red!.", "blue!."]
    assert model.predict([1], {"times": 2}) == ["green!.green!."]
    assert load_model(tmp_path / "m", trust=Trust.all(), config={"end": "?"}).predict([0]) == ["red!?"]
    assert isinstance(model.unwrap_python_model(), Words)
    with pytest.raises(UntrustedModel):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("compression", ["lzma", "bzip2", "gzip"])
def test_a_compressed_function(tmp_path: Path, compression: str) -> None:
    save_model(lambda rows: [row + 1 for row in rows], tmp_path / "m", options={"compression": compression})

    assert load_model(tmp_path / "m", trust=Trust.all()).predict([1, 2]) == [2, 3]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: 1, "takes the arguments none"),
        (lambda data, other: data + other, "takes the arguments data, other"),
        (object(), "no flavor saves a builtins.object"),
        ("missing.py", "there is no file missing.py"),
    ],
    ids=["none", "two", "object", "file"],
)
def test_what_is_no_model(tmp_path: Path, model: object, message: str) -> None:
    with pytest.raises((InvalidValue, NotFound), match=message):
        save_model(model, tmp_path / "m")
    assert not (tmp_path / "m").exists()


FILE = """
import mlflow
from mlflow.models import ModelConfig, set_model

class Adding(mlflow.pyfunc.PythonModel):
    def predict(self, model_input, params=None):
        return [each + ModelConfig(development_config={"n": 1}).get("n") for each in model_input]

set_model(Adding())
"""


def test_a_file_that_was_written_for_mlflow(tmp_path: Path) -> None:
    (tmp_path / "adding.py").write_text(FILE, encoding="utf-8")
    save_model(str(tmp_path / "adding.py"), tmp_path / "m")

    with pytest.raises(UntrustedModel, match="a Python file that is run"):
        load_model(tmp_path / "m")
    assert load_model(tmp_path / "m", trust=Trust.all()).predict([1, 2]) == [2, 3]
    assert "mlflow" not in sys.modules


@pytest.mark.parametrize(
    ("text", "message"),
    [("x = 1", "names no model"), ("1 / 0", "ZeroDivisionError"), ("def (", "SyntaxError")],
    ids=["none", "error", "syntax"],
)
def test_a_file_that_makes_no_model(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text, encoding="utf-8")

    with pytest.raises(InvalidValue, match=message):
        save_model(tmp_path / "bad.py", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_code_goes_along_and_each_of_two_versions_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        source = tmp_path / f"v{number}"
        source.mkdir()
        (source / "own_steps.py").write_text(
            "import yaml\n"
            "from toolkit.models.python_model import PythonModel\n"
            "class Model(PythonModel):\n"
            f"    def predict(self, model_input, params=None): return {number}\n",
            encoding="utf-8",
        )
        monkeypatch.syspath_prepend(str(source))
        sys.modules.pop("own_steps", None)
        module = __import__("own_steps")
        save_model(module.Model(), tmp_path / f"m{number}", code_paths=[source / "own_steps.py"])
        sys.path.remove(str(source))
        sys.modules.pop("own_steps", None)

    assert "PyYAML==" in (tmp_path / "m1" / "requirements.txt").read_text(encoding="utf-8")
    pickled = file_digest(tmp_path / "m1" / "python_model.pkl")
    with pytest.raises(UntrustedModel, match="code that was saved with a model"):
        load_model(tmp_path / "m1", trust=Trust(digests=frozenset({pickled})))
    first, second = (load_model(tmp_path / f"m{number}", trust=Trust.all()) for number in (1, 2))
    assert (first.predict(0), second.predict(0)) == (1, 2)


def test_a_foreign_loader_runs_only_if_trusted(tmp_path: Path) -> None:
    (tmp_path / "my_loader.py").write_text(
        "from pathlib import Path\n"
        "class Model:\n    def __init__(self, path): self.text = Path(path).read_text()\n"
        "    def predict(self, data): return self.text * data\n"
        "def _load_pyfunc(path): return Model(path)\n",
        encoding="utf-8",
    )
    (tmp_path / "text").write_text("ab", encoding="utf-8")
    options = {"loader_module": "my_loader", "data_path": tmp_path / "text"}
    code = [tmp_path / "my_loader.py"]
    save_model(None, tmp_path / "m", flavor="python_function", options=options, code_paths=code)

    with pytest.raises(UntrustedModel, match="loaded by code from elsewhere, my_loader"):
        load_model(tmp_path / "m")
    assert load_model(tmp_path / "m", trust=Trust.all()).predict(2) == "abab"


# -- the signature and the example -------------------------------------------------------------------


def test_an_example_gives_the_signature_which_holds_at_predict(tmp_path: Path) -> None:
    metadata = save_model(fitted(), tmp_path / "m", input_example=FRAME[:2])

    assert metadata.signature is not None
    assert metadata.saved_input_example_info is not None
    model = load_model(tmp_path / "m")
    assert list(model.predict(FRAME)) == list(fitted().predict(FRAME))
    with pytest.raises(SchemaMismatch, match="'b'"):
        model.predict(FRAME[["a"]])
    assert save_model(fitted(), tmp_path / "n", input_example=FRAME[:2], signature=False).signature is None


def test_an_example_that_the_model_cannot_take_is_told_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_model(fitted(), tmp_path / "m", input_example=pd.DataFrame({"c": [1.0]}))

    assert "does not predict with its example" in caplog.text
    assert (tmp_path / "m" / "MLmodel").is_file()


# -- the folder --------------------------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine", encoding="utf-8")

    with pytest.raises(AlreadyExists, match="no empty folder"):
        save_model(fitted(), tmp_path)
    assert bits(tmp_path) == {"note": b"mine"}


def test_keys_that_are_not_known_are_kept(tmp_path: Path) -> None:
    save_model(fitted(), tmp_path / "m", metadata={"team": "red"})
    file = tmp_path / "m" / "MLmodel"
    file.write_text(file.read_text(encoding="utf-8") + "resources:\n  api: [x]\nnext_year: 1\n", encoding="utf-8")

    metadata = ModelMetadata.read(tmp_path / "m")
    metadata.write(tmp_path / "m")
    again = ModelMetadata.read(tmp_path / "m")
    assert again == metadata
    assert again.extra == {"resources": {"api": ["x"]}, "next_year": 1}
    assert again.metadata == {"team": "red"}


@pytest.mark.parametrize("name", ["../outside.skops", "/etc/passwd", "a/../../outside.skops", ""])
def test_an_mlmodel_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    save_model(fitted(), tmp_path / "m")
    (tmp_path / "outside.skops").write_bytes((tmp_path / "m" / "model.skops").read_bytes())
    file = tmp_path / "m" / "MLmodel"
    text = file.read_text(encoding="utf-8").replace("pickled_model: model.skops", f"pickled_model: '{name}'")
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidValue, match="wanted a path inside of the model's folder"):
        load_native(tmp_path / "m", "sklearn")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file MLmodel"),
        ("[1, 2]", "no keys and values"),
        ("a: [", "no YAML"),
        ("flavors: [x]", "wanted keys and values for each"),
        ("flavors: {}", "it has none"),
        ("[" * 300_000, "nested more than 100 levels"),
    ],
    ids=["missing", "list", "broken", "flavors", "empty", "endless"],
)
def test_an_mlmodel_that_cannot_be_used(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "MLmodel").write_text(text, encoding="utf-8")

    with pytest.raises((InvalidValue, NotFound), match=message):
        load_model(tmp_path)


# -- requirements ------------------------------------------------------------------------------------


def lines(folder: Path) -> list[str]:
    return (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_requirements_are_found_and_pinned_without_mlflow(tmp_path: Path) -> None:
    save_model(make_pipeline(Doubling(), LinearRegression()).fit(FRAME, TARGET), tmp_path / "m")

    names = {line.partition("==")[0] for line in lines(tmp_path / "m")}
    assert {"scikit-learn", "numpy", "skops"} <= names
    assert "mlflow" not in names
    assert all("==" in line for line in lines(tmp_path / "m"))


def test_what_a_function_imports_when_it_runs_is_found(tmp_path: Path) -> None:
    def predict(data: dict[str, list[int]]) -> object:
        import polars

        return polars.DataFrame(data)

    save_model(predict, tmp_path / "m")
    assert {"cloudpickle", "polars"} == {line.partition("==")[0] for line in lines(tmp_path / "m")}


def test_a_model_of_columns_needs_what_frames_are_made_with(tmp_path: Path) -> None:
    model = LogisticRegression().fit(FRAME.to_numpy(), TARGET)
    for name, example, needed in (("columns", FRAME, True), ("tensor", FRAME.to_numpy(), False)):
        save_model(model, tmp_path / name, input_example=example)
        assert any(line.startswith("pandas==") for line in lines(tmp_path / name)) is needed


def test_requirements_that_are_given(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("numpy>=1 # any\n-c bounds.txt\n", encoding="utf-8")
    (tmp_path / "bounds.txt").write_text("pandas<4\n", encoding="utf-8")
    (tmp_path / "all.txt").write_text("-r base.txt\nhttpx[http2]\nhttpx>=0.27\n", encoding="utf-8")

    save_model(fitted(), tmp_path / "m", pip_requirements=str(tmp_path / "all.txt"), extra_pip_requirements=["rich"])
    assert lines(tmp_path / "m") == ["numpy>=1", "httpx[http2]>=0.27", "rich", "-c constraints.txt"]
    assert (tmp_path / "m" / "constraints.txt").read_text(encoding="utf-8") == "pandas<4\n"

    save_model(fitted(), tmp_path / "n", extra_pip_requirements=["numpy<9"])
    assert "numpy<9" in lines(tmp_path / "n")
    assert not any(line.startswith("numpy==") for line in lines(tmp_path / "n"))

    conda = {"name": "mine", "dependencies": ["python=3.11", {"pip": ["numpy==2.0"]}]}
    save_model(fitted(), tmp_path / "o", conda_env=conda)
    assert lines(tmp_path / "o") == ["numpy==2.0"]
    assert yaml.safe_load((tmp_path / "o" / "conda.yaml").read_text(encoding="utf-8")) == conda


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pip_requirements": ["a==1", "a==2"]}, "pin a to 1 and to 2"),
        ({"pip_requirements": ["a"], "conda_env": {}}, "wanted one or the other"),
        ({"pip_requirements": "nowhere.txt"}, "nowhere.txt cannot be read"),
        ({"code_paths": "file.py"}, "wanted a list of paths"),
        ({"code_paths": ["nowhere.py"]}, "nowhere.py, which is not there"),
        ({"extra_files": ["nowhere.md"]}, "nowhere.md, which is no file"),
        ({"flavor": "fortran"}, "there is no flavor 'fortran'"),
    ],
    ids=["twice", "conda", "file", "text", "code", "extra", "flavor"],
)
def test_arguments_that_cannot_be_used_leave_nothing(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidValue, NotFound), match=message):
        save_model(fitted(), tmp_path / "m", **arguments)
    assert not (tmp_path / "m").exists()


def test_extra_files_are_kept_and_named(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("# A model", encoding="utf-8")

    metadata = save_model(fitted(), tmp_path / "m", extra_files=[tmp_path / "card.md"])
    assert metadata.flavors["sklearn"]["extra_files"] == [{"path": "extra_files/card.md"}]
    assert bits(tmp_path / "m")["extra_files/card.md"] == b"# A model"
