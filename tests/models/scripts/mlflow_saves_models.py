"""Save models with MLflow. Arguments: the folder that they go into."""

import sys
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
TARGET = [0, 1, 0, 1]

FILE = """
import mlflow
from mlflow.models import ModelConfig, set_model

config = ModelConfig(development_config={"by": 10})

class Scaling(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [each * config.get("by") for each in model_input]

set_model(Scaling())
"""


class Shelf(mlflow.pyfunc.PythonModel):
    def __init__(self, start: int) -> None:
        self.start = start

    def load_context(self, context) -> None:
        self.words = Path(context.artifacts["words"]).read_text().split()

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - as every model of the kind
        where = [self.start + int(each) for each in model_input["at"]]
        return [self.words[each] * (params or {}).get("times", 1) for each in where]


class Shouting(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str], params=None) -> list[str]:  # noqa: ARG002 - the same
        return [each.upper() for each in model_input]


def twice(model_input):
    return [each * 2 for each in model_input]


def main(folder: Path) -> None:
    needs = {"pip_requirements": ["numpy"]}  # else MLflow would run each model in a process of its own to find them
    model = LogisticRegression().fit(FRAME, TARGET)
    signature = infer_signature(FRAME, model.predict(FRAME))
    for form in ("skops", "cloudpickle", "pickle"):
        path = folder / f"sklearn_{form}"
        mlflow.sklearn.save_model(
            model, path, serialization_format=form, signature=signature, input_example=FRAME[:1], **needs
        )
    words = folder / "words.txt"
    words.write_text("red green blue")
    mlflow.pyfunc.save_model(
        folder / "shelf",
        python_model=Shelf(1),
        artifacts={"words": str(words)},
        signature=infer_signature(pd.DataFrame({"at": [1]}), ["red"], params={"times": 1}),
        **needs,
    )
    mlflow.pyfunc.save_model(folder / "shouting", python_model=Shouting(), **needs)
    mlflow.pyfunc.save_model(folder / "twice", python_model=twice, **needs)
    file = folder / "scaling.py"
    file.write_text(FILE)
    mlflow.pyfunc.save_model(folder / "scaling", python_model=str(file), model_config={"by": 3}, **needs)


main(Path(sys.argv[1]))
