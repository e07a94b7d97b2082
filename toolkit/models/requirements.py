"""What it takes to load a model: distributions, pinned with the versions that are installed here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

REQUIREMENTS = "requirements.txt"
PYTHON_ENV = "python_env.yaml"
CONDA = "conda.yaml"


def pinned(names: Iterable[str]) -> list[str]:
    """Return distributions with the versions that are installed, such as ``numpy==2.3.1``; sorted."""
    return sorted(f"{name}=={metadata.version(name)}" for name in set(names))


def write_environment(folder: Path, lines: Sequence[str], conda_env: Mapping[str, Any] | None = None) -> None:
    """Write the three files that say what a model needs: for pip, for a virtual environment, for conda."""
    version = ".".join(map(str, sys.version_info[:3]))
    (folder / REQUIREMENTS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    python_env = {"python": version, "build_dependencies": ["pip", "setuptools", "wheel"]}
    conda = conda_env or {
        "channels": ["conda-forge"],
        "dependencies": [f"python={version}", "pip", {"pip": list(lines)}],
        "name": "mlflow-env",
    }
    for name, value in ((PYTHON_ENV, {**python_env, "dependencies": [f"-r {REQUIREMENTS}"]}), (CONDA, conda)):
        (folder / name).write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
