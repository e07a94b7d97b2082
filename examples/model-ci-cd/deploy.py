"""Fetch a version of a model, see that it answers, and write down what would serve it."""

import argparse
import json
from pathlib import Path

from sklearn.datasets import load_wine

import toolkit

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("version")
parser.add_argument("--reason", default="")
options = parser.parse_args()

uri = f"models:/{options.model}/{options.version}"
model = toolkit.load_model(uri)
answers = model.predict(load_wine(as_frame=True).data.head(3))
serving = {"model": uri, "answers": [int(answer) for answer in answers], "reason": options.reason}
Path("serving.json").write_text(json.dumps(serving))
print(f"{uri} would serve; it says {serving['answers']}")
