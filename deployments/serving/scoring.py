"""What a service holds: the loaded model, the thread that asks it, and what is counted."""

from __future__ import annotations

import gc
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.serving.metrics import Metrics
from toolkit.deployments.serving.quick_skops import quick_skops
from toolkit.deployments.serving.sampling import Sampler
from toolkit.deployments.serving.scorer import Asked, Scorer, typed_form
from toolkit.deployments.serving.worker import Worker
from toolkit.errors import InvalidValue
from toolkit.models.json_values import plain
from toolkit.models.loading import load_model
from toolkit.models.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

DESCRIPTION = "model.json"
"""Beside ``service.py``: which model it is, how it is served, and which of its files are trusted."""

EXAMPLE = "serving_input_example.json"
"""In the model's folder: a request that its author gave."""


class Scoring:
    """A loaded model that answers requests.

    Args:
        path: The model's folder.
        description: What ``model.json`` says.
    """

    def __init__(self, path: Path, description: Mapping[str, Any]) -> None:
        self.config = ServiceConfig.from_dict(description.get("config", {}))
        self.description = description
        self.metrics = Metrics()
        trust = Trust(
            digests=frozenset(description.get("trusted", ())), types=frozenset(description.get("trusted_types", ()))
        )
        with quick_skops(path, trust):
            self.model = load_model(path, trust=trust)
        self._sampler = Sampler.of(self.config, self.model) if self.config.sample_rate else None
        self.scorer = Scorer(
            self.model,
            most_rows=self.config.max_batch_rows,
            sampler=self._sampler,
            count=self.metrics.batch,
        )
        self.worker = Worker(self.scorer, timeout=self.config.timeout, patience=self.config.max_latency_ms / 1_000)
        self.version = str(description.get("built_with", "")).encode()
        self.example = self._warm(path / EXAMPLE)
        gc.freeze()  # what was imported stays: looking through it for garbage would take 0.1 s each time

    def plain(self, data: Any, params: Any = None) -> Any:  # noqa: ANN401 - of any model
        """Return what the model says of what ``/predict`` is given, as JSON would hold it.

        Args:
            data: Rows, as objects of pydantic or as dicts, or what the model takes otherwise.
            params: What it is told beside them.

        Raises:
            InvalidValue: The data are not what the model wants.
        """
        asked = {typed_form(self.model)[0]: plain(_named(data)), "params": plain(_named(params))}
        (_, answer), *_ = self.scorer.answers([Asked(json.dumps(asked).encode(), typed=True)])
        document = json.loads(answer.body)
        if answer.status != 200:
            raise InvalidValue(document["message"])
        return document["predictions"]

    def close(self) -> None:
        """Let the thread end, and write what waits to be written."""
        self.worker.close()
        if self._sampler is not None:
            self._sampler.close()

    def _warm(self, example: Path) -> dict[str, Any] | None:
        """Ask the model once, by its own example: what it imports then, no client waits for. Returns the example."""
        if not example.exists():
            return None
        body = example.read_bytes()
        for _, answer in Scorer(self.model).answers([Asked(body)]):
            if answer.status != 200:
                logger.warning("the model does not answer its own example: %s", answer.body[:500].decode())
                return None
        read: dict[str, Any] = json.loads(body)
        return read


def _named(given: Any) -> Any:  # noqa: ANN401 - what the generated service was given
    """Return objects of pydantic as dicts, by the names that the model knows."""
    if isinstance(given, list):
        return [_named(each) for each in given]
    return given.model_dump(by_alias=True, mode="json") if hasattr(given, "model_dump") else given


def described(service_file: str) -> dict[str, Any]:
    """Return what ``model.json`` beside a service file says."""
    read: dict[str, Any] = json.loads(Path(service_file).with_name(DESCRIPTION).read_bytes())
    return read
