"""Save models with MLflow, and print what it predicts with each. Arguments: the folder that they go into."""

import json
import sys
from importlib import import_module
from pathlib import Path

import mlflow.pyfunc
import zoo
from mlflow.models import infer_signature


def main(folder: Path) -> None:
    found = {}
    for name, make in zoo.ANIMALS.items():
        flavor, data = import_module(f"mlflow.{name.partition('.')[0]}"), zoo.asked(name)
        options = {"skops_trusted_types": ["lightgbm.sklearn.LGBMRanker"]} if name == "lightgbm.ranker" else {}
        # without requirements it would look for them by running each model in a process of its own
        flavor.save_model(make(), folder / name, signature=infer_signature(data), pip_requirements=["numpy"], **options)
        found[name] = zoo.answered(mlflow.pyfunc.load_model(str(folder / name)).predict(data))
    print(json.dumps(found))


main(Path(sys.argv[1]))
