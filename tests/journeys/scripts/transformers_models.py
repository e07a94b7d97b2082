"""Pipelines of transformers, to and fro between toolkit and MLflow. Runs where all of them are installed."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

import toolkit  # noqa: E402
from toolkit.errors import InvalidValue, UntrustedModel  # noqa: E402

ROOM = Path(sys.argv[1])
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a good bad wine red white".split()
(ROOM / "vocab.txt").write_text("\n".join(WORDS))
TOKENS = transformers.BertTokenizer(str(ROOM / "vocab.txt"))
CONFIG = transformers.BertConfig(
    vocab_size=len(WORDS),
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    num_labels=2,
)
TEXTS = ["a good wine", "bad"]


def pipeline(task: str, made: type) -> transformers.Pipeline:
    torch.manual_seed(7)
    return transformers.pipeline(task, model=made(CONFIG).eval(), tokenizer=TOKENS)


def refused(kind: type[Exception], call: object, *words: str) -> None:
    try:
        call()
    except kind as error:
        text = str(error)
        assert "\n" not in text, text
        assert all(word in text for word in words), text
    else:
        raise AssertionError(f"it was not refused: wanted {kind.__name__} with {words}")


def labels() -> None:
    model = pipeline("text-classification", transformers.BertForSequenceClassification)
    expected = pd.DataFrame(model(TEXTS))
    logged = toolkit.log_model(model, name="labels", input_example=TEXTS)
    assert "transformers" in logged.flavors
    ours = toolkit.load_model(logged.model_uri)
    for data in (TEXTS, pd.DataFrame({"text": TEXTS})):
        pd.testing.assert_frame_equal(pd.DataFrame(ours.predict(data)), expected, rtol=1e-4)

    toolkit.transformers.save_model(transformers_model=model, path=ROOM / "ours")
    assert [each.name for each in (ROOM / "ours/model").glob("*.safetensors")] == ["model.safetensors"]
    theirs = mlflow.pyfunc.load_model(str(ROOM / "ours")).predict(TEXTS)
    pd.testing.assert_frame_equal(theirs, expected, rtol=1e-4)
    assert mlflow.transformers.load_model(str(ROOM / "ours"))(TEXTS[0])[0]["label"] == expected["label"][0]

    mlflow.transformers.save_model(model, str(ROOM / "theirs"), pip_requirements=["transformers"])
    pd.testing.assert_frame_equal(pd.DataFrame(toolkit.load_model(ROOM / "theirs").predict(TEXTS)), expected, rtol=1e-4)
    assert toolkit.transformers.load_model(ROOM / "theirs").task == "text-classification"


def other_tasks() -> None:
    for task, made, data in (
        ("fill-mask", transformers.BertForMaskedLM, ["a [MASK] wine", "red [MASK]"]),
        ("token-classification", transformers.BertForTokenClassification, TEXTS),
        ("feature-extraction", transformers.BertModel, TEXTS),
    ):
        toolkit.save_model(pipeline(task, made), ROOM / task)
        answer = toolkit.load_model(ROOM / task).predict(data)
        theirs = mlflow.pyfunc.load_model(str(ROOM / task)).predict(data)
        if task == "feature-extraction":
            assert np.asarray(answer).shape == (2, 16)
        else:
            assert list(answer) == list(theirs), (task, answer, theirs)
    parts = {"model": transformers.BertModel(CONFIG), "tokenizer": TOKENS}
    toolkit.transformers.save_model(parts, ROOM / "parts", task="feature-extraction")
    assert toolkit.transformers.load_model(ROOM / "parts").task == "feature-extraction"
    refused(InvalidValue, lambda: toolkit.save_model(parts["model"], ROOM / "no"), "BertModel", "transformers.pipeline")
    refused(InvalidValue, lambda: toolkit.transformers.save_model(parts, ROOM / "no"), "task")
    refused(
        InvalidValue,
        lambda: toolkit.transformers.save_model(parts, ROOM / "no", task="feature-extraction", save_pretrained=False),
        "save_pretrained",
    )


def code_in_files() -> None:
    kept = ROOM / "ours/model/model.safetensors"
    weights = transformers.BertForSequenceClassification(CONFIG).state_dict()
    kept.unlink()
    torch.save(weights, ROOM / "ours/model/pytorch_model.bin")
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "ours"), "pickle", "trust")
    toolkit.load_model(ROOM / "ours", trust=True)
    said = (ROOM / "theirs/MLmodel").read_text()
    (ROOM / "theirs/MLmodel").write_text(said.replace("BertForSequenceClassification", "SomebodyElsesModel"))
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "theirs"), "SomebodyElsesModel", "trust")


for part in (labels, other_tasks, code_in_files):
    part()
    print(json.dumps({"done": part.__name__}), flush=True)
