"""The largest libraries, where they are not installed: what is said, and what is found without them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import toolkit
from toolkit.errors import InvalidValue, UntrustedModel
from toolkit.models.folder import load_model, load_native
from toolkit.models.lookup import flavor_named, flavor_of

INSTALLED = {"pytorch": "torch", "spark": "pyspark"}
LARGE = ["pytorch", "keras", "tensorflow", "transformers", "spark"]
CLASSES = {
    "pytorch": ("torch.nn.modules.module", "lightning.pytorch.core.module"),
    "keras": ("keras.src.models.model",),
    "tensorflow": ("tensorflow.python.module.module",),
    "transformers": ("transformers.pipelines.base",),
    "spark": ("pyspark.ml.pipeline",),
}


def saved(folder: Path, flavor: str, **block: object) -> Path:
    """Write the MLmodel that MLflow writes for a model of a flavor."""
    pyfunc = {"loader_module": f"mlflow.{flavor}", "python_version": "3.11.7"}
    (folder / "data").mkdir()
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": pyfunc, flavor: block}}))
    return folder


@pytest.mark.parametrize("flavor", LARGE)
def test_a_missing_library_is_named_with_what_installs_it(tmp_path: Path, flavor: str) -> None:
    package = INSTALLED.get(flavor, flavor)
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed here: nothing is missing")
    blocks = {"tensorflow": {"saved_model_dir": "data"}, "keras": {"data": "data"}}
    folder = saved(tmp_path, flavor, **blocks.get(flavor, {"model_data": "data"}))
    (folder / "data" / "model.keras").touch()
    (folder / "data" / "saved_model.pb").touch()
    for load in (lambda: load_model(folder), lambda: load_native(folder, flavor)):
        with pytest.raises(InvalidValue) as caught:
            load()
        assert "\n" not in str(caught.value)
        assert f"needs {package}, which is not installed: pip install 'toolkit[{flavor}]'" in str(caught.value)


def test_spark_udf_names_it_too(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyspark") is not None:
        pytest.skip("pyspark is installed here: nothing is missing")
    with pytest.raises(InvalidValue, match=r"needs pyspark.*pip install 'toolkit\[spark\]'"):
        toolkit.models.spark_udf(None, saved(tmp_path, "sklearn"))


@pytest.mark.parametrize(("flavor", "module"), [(name, module) for name in LARGE for module in CLASSES[name]])
def test_a_model_is_known_by_its_class(flavor: str, module: str) -> None:
    base = type("Base", (), {"__module__": module})
    model = type("Mine", (base,), {"__module__": "my.code"})()
    assert flavor_of(model) is flavor_named(flavor)


def test_a_keras_model_on_torch_is_one_of_keras() -> None:
    torch = type("Module", (), {"__module__": "torch.nn.modules.module"})
    keras = type("Model", (torch,), {"__module__": "keras.src.models.model"})
    assert flavor_of(keras()) is flavor_named("keras")


def test_nothing_large_is_imported_for_a_flavor() -> None:
    script = "import sys\nfrom toolkit.models.lookup import flavor_named\nimport toolkit.models.spark\n"
    script += f"[flavor_named(name).takes(object()) for name in {LARGE}]\n"
    script += "large = {'torch', 'keras', 'tensorflow', 'transformers', 'pyspark', 'pandas', 'numpy', 'safetensors'}\n"
    script += "print(sorted(large & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_custom_objects_of_mlflow_are_not_unpickled(tmp_path: Path) -> None:
    folder = saved(tmp_path, "tensorflow", data="data", model_type="keras", save_format="tf")
    (folder / "data" / "custom_objects.cloudpickle").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UntrustedModel, match=r"custom_objects\.cloudpickle is a pickle"):
        load_model(folder)
