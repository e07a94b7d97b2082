"""Load models with MLflow, and print what it predicts with each. Arguments: the folder that they are in."""

import json
import sys
from importlib import import_module
from pathlib import Path

import mlflow.pyfunc
import zoo


def main(folder: Path) -> None:
    found = {}
    for path in sorted(folder.iterdir()):
        data = zoo.asked(path.name)
        native = import_module(f"mlflow.{path.name.partition('.')[0]}").load_model(str(path))
        found[path.name] = {
            "class": type(native).__name__,
            "predictions": zoo.answered(mlflow.pyfunc.load_model(str(path)).predict(data)),
        }
    print(json.dumps(found))


main(Path(sys.argv[1]))
