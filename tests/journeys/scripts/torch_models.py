"""Models of torch, to and fro between toolkit and MLflow. Runs where torch, MLflow and toolkit are installed."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

import toolkit  # noqa: E402
from toolkit.errors import InvalidValue, UntrustedModel  # noqa: E402

ROOM = Path(sys.argv[1])
ROWS = np.random.default_rng(7).normal(size=(5, 4)).astype("float32")


class Net(torch.nn.Module):
    """It drops values while it trains, and takes any number of rows."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, hidden)
        self.norm = torch.nn.BatchNorm1d(hidden)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(hidden, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(torch.relu(self.norm(self.first(rows)))))


class Evil:
    """What a pickle can do."""

    def __reduce__(self) -> object:
        return os.mkdir, (str(ROOM / "ran"),)


def said(model: torch.nn.Module) -> np.ndarray:
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(ROWS)).numpy()


def same(answer: object, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(answer), expected, rtol=1e-4, atol=1e-5)


def refused(kind: type[Exception], call: object, *words: str) -> None:
    try:
        call()
    except kind as error:
        text = str(error)
        assert "\n" not in text, text
        assert all(word in text for word in words), text
    else:
        raise AssertionError(f"it was not refused: wanted {kind.__name__} with {words}")


def graphs() -> None:
    import mlflow

    model = Net(8)
    expected = said(model)
    model.train()
    toolkit.pytorch.save_model(pytorch_model=model, path=ROOM / "graph", input_example=ROWS[:1])
    assert [model.training, model.drop.training] == [True, True], "the model was left in evaluation"
    assert (ROOM / "graph/data/model.pt2").exists()
    ours = toolkit.load_model(ROOM / "graph")
    same(ours.predict(ROWS), expected)  # five rows, though the example has one; and nothing is dropped
    same(mlflow.pyfunc.load_model(str(ROOM / "graph")).predict(ROWS), expected)
    same(mlflow.pytorch.load_model(str(ROOM / "graph"))(torch.from_numpy(ROWS)).detach(), expected)

    table = pd.DataFrame(ROWS, columns=list("wxyz"), index=list("abcde")).astype("float64")
    toolkit.pytorch.save_model(model, ROOM / "table", input_example=table)
    answer = toolkit.load_model(ROOM / "table").predict(table[list("zyxw")])  # by name, in any order
    assert list(answer.index) == list("abcde")
    same(answer, expected)
    same(mlflow.pyfunc.load_model(str(ROOM / "table")).predict(table), expected)

    mlflow.pytorch.save_model(model.eval(), str(ROOM / "theirs"), input_example=ROWS, pip_requirements=["torch"])
    same(toolkit.load_model(ROOM / "theirs").predict(ROWS), expected)
    same(toolkit.pytorch.load_model(ROOM / "theirs")(torch.from_numpy(ROWS)).detach(), expected)


def forged_graphs() -> None:
    """Graphs that would run code are refused by what is in them, and nothing of it runs."""
    good = torch._C.PyTorchFileReader(str(ROOM / "graph/data/model.pt2"))
    pickled = io.BytesIO()
    torch.save(Evil(), pickled)
    relu = b"torch.ops.aten.relu.default"
    changes = {
        "os.mkdir": ("models/", relu, b"torch.serialization.os.mkdir"),
        "from_file": ("models/", relu, b"torch.ops.aten.from_file"),
        "__import__": ("models/", b"\"Symbol('s", b"\"__import__('os').mkdir('ran')+Symbol('s"),
        "sample_inputs": ("data/sample_inputs/", None, pickled.getvalue()),
        "weight_0": ("data/weights/", b'"use_pickle": false', b'"use_pickle": true'),
    }
    path = ROOM / "graph/data/model.pt2"
    kept = path.read_bytes()
    for word, (place, old, new) in changes.items():
        path.unlink()
        writer = torch._C.PyTorchFileWriter(str(path))
        for name in good.get_all_records():
            if name not in ("byteorder", "version") and not name.startswith(".data"):
                text = good.get_record(name)
                if name.startswith(place):
                    text = new if old is None else text.replace(old, new)
                writer.write_record(name, text, len(text))
        writer.write_end_of_file()
        refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "graph"), word)
    path.write_bytes(b"no archive")
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "graph"), "model.pt2")
    path.write_bytes(kept)
    toolkit.load_model(ROOM / "graph")
    assert not (ROOM / "ran").exists()


def weights() -> None:
    model = Net(6)
    expected = said(model)
    save = {"serialization_format": "safetensors", "model_kwargs": {"hidden": 6}}
    toolkit.pytorch.save_model(model, ROOM / "weights", **save)
    assert not list((ROOM / "weights").rglob("*.pth"))
    same(toolkit.load_model(ROOM / "weights").predict(ROWS), expected)
    refused(
        InvalidValue,
        lambda: toolkit.pytorch.save_model(model, ROOM / "no", **(save | {"model_kwargs": {"hidden": 7}})),
        "other weights",
    )
    refused(InvalidValue, lambda: toolkit.save_model(model, ROOM / "no"), "input_example", "safetensors", "pickle")
    assert not (ROOM / "no").exists()
    text = (ROOM / "weights/MLmodel").read_text()
    (ROOM / "weights/MLmodel").write_text(text.replace("__main__.Net", "antigravity.Net"))
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "weights"), "antigravity.Net")
    (ROOM / "weights/MLmodel").write_text(text.replace("__main__.Net", "os.mkdir"))
    refused(InvalidValue, lambda: toolkit.load_model(ROOM / "weights"), "os.mkdir", "no torch.nn.Module")


def pickles() -> None:
    import mlflow

    model = Net(5)
    expected = said(model)
    toolkit.pytorch.save_model(model, ROOM / "pickle", serialization_format="pickle")
    mlflow.pytorch.save_model(
        model, str(ROOM / "their-pickle"), serialization_format="pickle", pip_requirements=["torch"]
    )
    for name in ("pickle", "their-pickle"):
        refused(UntrustedModel, lambda name=name: toolkit.load_model(ROOM / name), "model.pth", "pickle", "trust")
        same(toolkit.load_model(ROOM / name, trust=True).predict(ROWS), expected)
        same(mlflow.pyfunc.load_model(str(ROOM / name)).predict(ROWS), expected)
    torch.save(Evil(), ROOM / "pickle/data/model.pth")
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "pickle"), "model.pth")
    assert not (ROOM / "ran").exists()

    logged = toolkit.log_model(model, name="net", serialization_format="pickle", input_example=ROWS)
    same(toolkit.load_model(logged.model_uri).predict(ROWS), expected)  # this store recorded its digest
    script = torch.jit.script(model)
    toolkit.pytorch.save_model(script, ROOM / "script", serialization_format="pickle")
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "script"), "model.pth")
    same(toolkit.load_model(ROOM / "script", trust=True).predict(ROWS), expected)


def lightning() -> None:
    from lightning import LightningModule

    class Lit(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = Net(3)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.net(rows)

    model = Lit()
    logged = toolkit.log_model(model, name="lit", input_example=ROWS)
    assert "pytorch" in logged.flavors
    same(toolkit.load_model(logged.model_uri).predict(ROWS), said(model))


for part in (graphs, forged_graphs, weights, pickles, lightning):
    part()
    print(json.dumps({"done": part.__name__}), flush=True)
