"""Pictures of how good a model is, drawn by Matplotlib: no window, no global state, safe in threads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.models.evaluation.curve import Curve, picked
from toolkit.models.evaluation.metric import confusion
from toolkit.models.evaluation.outcome import Classes, Numbers, numpy, plain_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_MOST_CELLS = 25


def curves_plot(
    curves: Mapping[str, Curve],
    *,
    title: str,
    x: str,
    y: str,
    area: str = "",
    line: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> Figure:
    """Return a picture of curves.

    Args:
        curves: By name.
        title: What they are.
        x: What is across.
        y: What is up.
        area: What their area is called, as ``AUC``; empty: it is not told.
        line: Two points of a dashed line to compare with.
    """
    figure, axes = _figure()
    for name, curve in curves.items():
        told = f"{name} ({area} = {curve.area:.3f})" if area else name
        axes.plot(*picked(curve.x, curve.y), label=told.strip(), marker="." if len(curve.x) < 20 else "")
    if line is not None:
        axes.plot(*zip(*line, strict=True), color="gray", linestyle="dashed", linewidth=1)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def confusion_plot(outcome: Classes) -> Figure:
    """Return a picture of the confusion matrix, each row as shares of its class."""
    np = numpy()
    counts = confusion(outcome)
    there = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, there, out=np.zeros_like(counts), where=there != 0)
    names = [str(name) for name in plain_labels(outcome.labels)]
    count = len(names)
    figure, axes = _figure(size=min(16.0, max(5.0, 1.5 + 0.45 * count)))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, fraction=0.046)
    step = math.ceil(count / 50)
    places = list(range(0, count, step))
    axes.set_xticks(places, names[::step], rotation=45 if max(map(len, names)) > 3 else 0, ha="right")
    axes.set_yticks(places, names[::step])
    if count <= _MOST_CELLS:
        for row in range(count):
            for column in range(count):
                share = shares[row, column]
                colour = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{share:.2g}", ha="center", va="center", color=colour, fontsize=8)
    axes.set(title="Normalized confusion matrix", xlabel="Predicted label", ylabel="True label")
    return figure


def predicted_plot(outcome: Numbers) -> Figure:
    """Return a picture of what was predicted over what is true."""
    figure, axes = _figure()
    truth, predicted = picked(outcome.truth, outcome.predicted)
    axes.scatter(truth, predicted, s=8, alpha=0.5, linewidths=0)
    ends = [float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))]
    axes.plot(ends, ends, color="gray", linestyle="dashed", linewidth=1)
    axes.set(title="Predicted and actual values", xlabel="Actual", ylabel="Predicted")
    axes.grid(alpha=0.3)
    return figure


def residuals_plot(outcome: Numbers) -> Figure:
    """Return a picture of the errors: over what was predicted, and how they are distributed."""
    figure, (cloud, bars) = _figures()
    error = outcome.truth - outcome.predicted
    cloud.scatter(*picked(outcome.predicted, error), s=8, alpha=0.5, linewidths=0)
    cloud.axhline(0, color="gray", linestyle="dashed", linewidth=1)
    cloud.set(title="Residuals", xlabel="Predicted", ylabel="Actual − predicted")
    cloud.grid(alpha=0.3)
    bars.hist(error, bins=30, weights=outcome.weights)
    bars.set(title="Distribution", xlabel="Actual − predicted", ylabel="Rows")
    return figure


def _figure(size: float = 5.0) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and not everybody has it

    figure = Figure(figsize=(size * 1.2, size), dpi=120, layout="constrained")
    return figure, figure.subplots()


def _figures() -> tuple[Figure, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and not everybody has it

    figure = Figure(figsize=(10, 4.5), dpi=120, layout="constrained")
    return figure, figure.subplots(1, 2)
