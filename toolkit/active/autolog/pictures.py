"""Pictures of a training, drawn on figures of their own, not by pyplot: no window, and no state that others share."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 150
_MOST_BARS = 100
_MOST_NUMBERS = 20
"""A confusion matrix of more classes has colours only: its numbers could not be read."""


def can_draw() -> bool:
    """Tell whether Matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_confusion(path: Path, shares: Any, labels: Sequence[object]) -> None:  # noqa: ANN401 - an array of NumPy
    """Draw a confusion matrix.

    Args:
        path: Where to.
        shares: Of each true class (a row), which part was predicted as which class (a column).
        labels: The classes.
    """
    axes = _axes(max(5.0, min(12.0, 2.0 + 0.4 * len(labels))))
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.figure.colorbar(image, ax=axes)
    if len(labels) <= _MOST_NUMBERS:
        names = [str(label) for label in labels]
        axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 5 else 0)
        axes.set_yticks(range(len(names)), names)
        for row in range(len(names)):
            for column in range(len(names)):
                share = float(shares[row][column])
                axes.text(
                    column, row, f"{share:.2f}", ha="center", va="center", color="white" if share > 0.5 else "black"
                )
    axes.set_xlabel("Predicted label")
    axes.set_ylabel("True label")
    _save(axes, "Normalized confusion matrix", path)


def draw_curve(path: Path, x: Any, y: Any, *, title: str, x_label: str, y_label: str, legend: str) -> None:  # noqa: ANN401 - arrays of NumPy
    """Draw a curve between 0 and 1, such as a ROC curve."""
    axes = _axes(5.0)
    axes.plot(x, y, label=legend)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(loc="lower right")
    _save(axes, title, path)


def draw_importance(path: Path, importance: Mapping[str, Any], kind: str) -> None:
    """Draw how much each feature matters, the most important ones at the top; of very many only those.

    Args:
        path: Where to.
        importance: By feature; a list has one number a class.
        kind: What is meant by importance, such as ``gain``.
    """
    rows = {name: list(value) if isinstance(value, list | tuple) else [value] for name, value in importance.items()}
    names = sorted(rows, key=lambda name: sum(abs(part) for part in rows[name]))[-_MOST_BARS:]
    classes = max(len(rows[name]) for name in names)
    axes = _axes(4.8 + max(0, len(names) - 10) * 0.15)
    height = 0.8 / classes
    for number in range(classes):
        places = [place + (number - (classes - 1) / 2) * height for place in range(len(names))]
        values = [rows[name][number] if number < len(rows[name]) else 0.0 for name in names]
        axes.barh(places, values, height=height, label=f"Class {number}")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Importance")
    if classes > 1:
        axes.legend()
    _save(axes, f"Feature Importance ({kind})", path)


def _axes(height: float) -> Axes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - where there is a picture to draw
    from matplotlib.figure import Figure  # noqa: PLC0415 - the same

    figure = Figure(figsize=(max(6.4, height), height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def _save(axes: Axes, title: str, path: Path) -> None:
    axes.set_title(title)
    axes.figure.canvas.print_figure(path, dpi=_DPI, format="png")
