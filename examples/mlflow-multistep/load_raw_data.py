"""Leave ratings of movies as a CSV file: made up, with tastes in them that can be found again."""

import csv
import tempfile
from pathlib import Path

import mlflow
import numpy as np

USERS, MOVIES, TASTES = 60, 40, 3

random = np.random.default_rng(7)
likes = random.normal(size=(USERS, TASTES)) @ random.normal(size=(TASTES, MOVIES))
ratings = np.clip(np.round(3 + likes), 1, 5)

with mlflow.start_run(), tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "ratings.csv")
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["user", "movie", "rating"])
        for user, movie in np.argwhere(random.random((USERS, MOVIES)) < 0.5):
            rows.writerow([user, movie, ratings[user, movie]])
    mlflow.log_artifact(str(file), "ratings-csv-dir")
