"""New projects for ``toolkit init``: a folder each, copied as it stands but for the project's name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.resources import files

TEMPLATES: Mapping[str, str] = {
    "single": "One step: a script with parameters and metrics.",
    "workflow": "Prepare, train with several values at the same time, evaluate the best.",
    "python": "The same in Python: a flow and tasks by decorators.",
}
"""Each template, and what it is."""

NAME = "@@name@@"
"""What stands for the project's name."""

PYTHON = "@@python@@"
"""What stands for the version of the Python that runs this, which is there already."""


def template_files(template: str, name: str) -> dict[str, str]:
    """Return the texts of a template's files, by name.

    Args:
        template: One of `TEMPLATES`.
        name: The project's name.
    """
    folder = files(__name__).joinpath(template)
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.is_file()}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        file.removesuffix(".txt"): text.replace(NAME, name).replace(PYTHON, python)
        for file, text in sorted(texts.items())
    }
