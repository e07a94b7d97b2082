"""Find factors of users and movies by alternating least squares."""

import argparse
import tempfile
from pathlib import Path

import mlflow
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--ratings-data", required=True)
parser.add_argument("--max-iter", type=int, required=True)
parser.add_argument("--reg-param", type=float, required=True)
parser.add_argument("--rank", type=int, required=True)
options = parser.parse_args()

data = np.load(Path(options.ratings_data, "ratings.npz"))
user, movie, rating = data["user"].astype(int), data["movie"].astype(int), data["rating"]
random = np.random.default_rng(7)
test = random.random(len(rating)) < 0.2
factors = {"user": random.normal(size=(user.max() + 1, options.rank))}
factors["movie"] = random.normal(size=(movie.max() + 1, options.rank))


def solve(mine: np.ndarray, others: np.ndarray, theirs: np.ndarray, count: int) -> np.ndarray:
    """Return the factors that explain the ratings best while the others' stay as they are."""
    found = np.zeros((count, options.rank))
    for one in range(count):
        rows = ~test & (mine == one)
        known = theirs[others[rows]]
        weights = known.T @ known + options.reg_param * max(rows.sum(), 1) * np.eye(options.rank)
        found[one] = np.linalg.solve(weights, known.T @ (rating[rows] - 3))
    return found


# No `start_run`: the first metric goes to the run that `mlflow.run` has made for this entry point.
for step in range(options.max_iter):
    factors["user"] = solve(user, movie, factors["movie"], user.max() + 1)
    factors["movie"] = solve(movie, user, factors["user"], movie.max() + 1)
    error = (factors["user"][user] * factors["movie"][movie]).sum(axis=1) + 3 - rating
    mlflow.log_metrics(
        {
            "train_rmse": float(np.sqrt((error[~test] ** 2).mean())),
            "test_rmse": float(np.sqrt((error[test] ** 2).mean())),
        },
        step=step,
    )
with tempfile.TemporaryDirectory() as folder:
    np.savez(Path(folder, "factors.npz"), **factors)
    mlflow.log_artifacts(folder, "als-model")
