"""The data, and a fit of it."""

from __future__ import annotations

from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split


def fit(alpha: float, l1_ratio: float) -> tuple[ElasticNet, dict[str, float]]:
    """Return a fitted model and how well it does on data that it has not seen."""
    features, target = load_diabetes(return_X_y=True)
    train, test, train_target, test_target = train_test_split(features, target, random_state=7)
    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=7).fit(train, train_target)
    guess = model.predict(test)
    return model, {
        "rmse": float(root_mean_squared_error(test_target, guess)),
        "mae": float(mean_absolute_error(test_target, guess)),
        "r2": float(r2_score(test_target, guess)),
    }
