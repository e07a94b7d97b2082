"""Figures as artifacts: Matplotlib's and Plotly's, told by their type without importing either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from toolkit.active.files import log_saved
from toolkit.errors import InvalidValue
from toolkit.recording.run import RecordedRun

_PICTURES = (".png", ".jpeg", ".jpg", ".webp", ".svg", ".pdf")


def save_figure(run: RecordedRun, figure: Any, path: str, options: Mapping[str, object]) -> None:  # noqa: ANN401 - of two libraries
    """Store a figure in the format that the path's ending says.

    Raises:
        InvalidValue: It is no figure, or Plotly cannot save this kind of file.
    """
    library = {kind.__module__.partition(".")[0] for kind in type(figure).__mro__}
    if "matplotlib" in library and hasattr(figure, "savefig"):
        log_saved(run, path, lambda target: figure.savefig(target, **options))
    elif "plotly" in library and hasattr(figure, "write_html"):
        suffix = PurePosixPath(path).suffix.lower()
        if suffix == ".html":
            defaults = {"include_plotlyjs": "cdn", "auto_open": False}
            log_saved(run, path, lambda target: figure.write_html(target, **{**defaults, **options}))
        elif suffix in _PICTURES:
            log_saved(run, path, lambda target: figure.write_image(target, **options))
        else:
            raise InvalidValue(f"Plotly cannot save {path!r}: wanted a name that ends in .html, {', '.join(_PICTURES)}")
    else:
        raise InvalidValue(f"Unsupported figure object type: '{type(figure)}': wanted a figure of Matplotlib or Plotly")
