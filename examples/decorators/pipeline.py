"""The wine pipeline as plain Python functions: Prefect's flow and tasks, tracked. Run it with: python pipeline.py"""

from typing import Annotated

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import toolkit


@toolkit.task
def prepare(test_size: float, seed: int) -> list[np.ndarray]:
    wines = load_wine()
    return train_test_split(wines.data, wines.target, test_size=test_size, random_state=seed, stratify=wines.target)


@toolkit.task
def train(
    rows: np.ndarray, cultivars: np.ndarray, regularization: float
) -> tuple[Pipeline, Annotated[float, "validation_accuracy"]]:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / regularization, max_iter=1000))
    score = cross_val_score(model, rows, cultivars, cv=5).mean()
    return model.fit(rows, cultivars), float(score)


@toolkit.task
def evaluate(model: Pipeline, rows: np.ndarray, cultivars: np.ndarray) -> Annotated[float, "accuracy"]:
    return float(accuracy_score(cultivars, model.predict(rows)))


@toolkit.flow(name="wine-decorators")
def pipeline(regularizations: list[float], test_size: float = 0.25, seed: int = 7) -> Annotated[float, "accuracy"]:
    train_rows, test_rows, train_cultivars, test_cultivars = prepare(test_size, seed)
    futures = [train.submit(train_rows, train_cultivars, strength) for strength in regularizations]
    best, _ = max((future.result() for future in futures), key=lambda result: result[1])
    return evaluate(best, test_rows, test_cultivars)


if __name__ == "__main__":
    print(f"accuracy {pipeline([0.01, 0.1, 1.0]):.4f} on wines that the model has not seen")
