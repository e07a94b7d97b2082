"""Fit a line by stochastic gradient descent, and log how well it does after each epoch."""

import argparse

import mlflow
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("training_data")
parser.add_argument("--batch-size", type=int, required=True)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--momentum", type=float, required=True)
options = parser.parse_args()

rows = np.loadtxt(options.training_data, delimiter=";", skiprows=1)
rows = np.random.default_rng(7).permutation(np.column_stack([rows[:, :-1], np.ones(len(rows)), rows[:, -1]]))
parts = dict(zip(("train", "val", "test"), np.split(rows, [len(rows) // 2, len(rows) * 3 // 4]), strict=True))


def log_errors(weights: np.ndarray, step: int) -> None:
    for name, part in parts.items():
        error = part[:, :-1] @ weights - part[:, -1]
        mlflow.log_metric(f"{name}_rmse", float(np.sqrt((error**2).mean())), step=step)


with mlflow.start_run():
    train = parts["train"]
    weights = np.zeros(train.shape[1] - 1)
    if options.epochs == 0:  # what any model has to do better than: the mean
        weights[-1] = train[:, -1].mean()
        log_errors(weights, 0)
    change = np.zeros_like(weights)
    for epoch in range(options.epochs):
        for batch in np.array_split(train, max(1, len(train) // options.batch_size)):
            slope = 2 * batch[:, :-1].T @ (batch[:, :-1] @ weights - batch[:, -1]) / len(batch)
            change = options.momentum * change - options.learning_rate * slope
            weights = weights + change
        log_errors(weights, epoch)
