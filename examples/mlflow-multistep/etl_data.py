"""Turn the CSV file into columns, of which no more are kept than is wanted."""

import argparse
import tempfile
from pathlib import Path

import mlflow
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--ratings-csv", required=True)
parser.add_argument("--max-row-limit", type=int, required=True)
options = parser.parse_args()

with mlflow.start_run(), tempfile.TemporaryDirectory() as folder:
    rows = np.loadtxt(Path(options.ratings_csv, "ratings.csv"), delimiter=",", skiprows=1)[: options.max_row_limit]
    np.savez(Path(folder, "ratings.npz"), user=rows[:, 0], movie=rows[:, 1], rating=rows[:, 2])
    mlflow.log_metric("rows", len(rows))
    mlflow.log_artifacts(folder, "ratings-parquet-dir")
