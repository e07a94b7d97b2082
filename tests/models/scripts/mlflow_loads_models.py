"""Load models with MLflow, and print what it says. Arguments: the folder that they are in."""

import json
import sys
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import Model, validate_serving_input

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})


def main(folder: Path) -> None:
    found = {}
    for path in sorted(each for each in folder.iterdir() if each.is_dir()):
        model = mlflow.pyfunc.load_model(str(path))
        if path.name.startswith("sklearn"):
            said = model.predict(FRAME).tolist()
            found[f"{path.name} natively"] = type(mlflow.sklearn.load_model(str(path))).__name__
        elif path.name == "shelf":
            said = model.predict(pd.DataFrame({"at": [0, 1]}), params={"times": 2})
        else:
            said = model.predict([1, 2])
        found[path.name] = said
        info = Model.load(str(path))
        if info.saved_input_example_info:
            request = Path(path, "serving_input_example.json").read_text()
            found[f"{path.name} served"] = pd.Series(validate_serving_input(str(path), request)).tolist()
        found[f"{path.name} signature"] = info.signature.to_dict() if info.signature else None
    print(json.dumps(found))


main(Path(sys.argv[1]))
