"""Releases that are to be started, for tests of targets."""

from __future__ import annotations

import json
from pathlib import Path

from toolkit.deployments.bento import BuiltBento
from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.target import Placement

EXAMPLE = {"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}


def placement(
    folder: Path, options: dict[str, str], *, release: int = 1, name: str = "wine", config: ServiceConfig | None = None
) -> Placement:
    """Return a release of version 2 + its number, whose model has an example."""
    version = release + 2
    model = folder / "model"
    model.mkdir(parents=True, exist_ok=True)
    (model / "serving_input_example.json").write_text(json.dumps(EXAMPLE), encoding="utf-8")
    bento = BuiltBento(
        tag=f"wine-quality:{version}",
        digest="ab" * 32,
        path=folder,
        model="wine-quality",
        version=version,
        run_id="0" * 32,
        model_path=model,
        made=True,
    )
    own = folder / str(release)
    own.mkdir(exist_ok=True)
    return Placement(
        deployment=name, release=release, bento=bento, config=config or ServiceConfig(), options=options, folder=own
    )
