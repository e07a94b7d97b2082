"""One training as a run: what logs it while the library trains. Whatever fails here is one line of warning.

A training logs into the run that is active, which it leaves open; without one it makes a run, and ends it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from toolkit.active import session
from toolkit.active.autolog import nesting
from toolkit.active.autolog.options import Options
from toolkit.active.session import ActiveRun
from toolkit.active.values import param_texts, scalar, tag_texts
from toolkit.data.input import recorded
from toolkit.errors import ToolkitError
from toolkit.ids import now_ms
from toolkit.recording import current
from toolkit.recording.run import RecordedRun
from toolkit.tracking.records import Metric

logger = logging.getLogger("toolkit.autolog")

AUTOLOGGING = "mlflow.autologging"
"""Tag of a run that autolog has made; its value is the flavor."""

_BATCH = 1_000  # points
_WAIT = 1.0  # seconds

_made: set[str] = set()
"""Runs that autolog has open; threads that train meanwhile do not take them for the user's."""

_making = threading.Lock()


def warn(flavor: str, what: str, error: Exception, *, silent: bool = False) -> None:
    """Say in one line what was not logged."""
    if not silent:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        logger.warning("autolog of %s: %s: %s: %s", flavor, what, type(error).__name__, text[:300])


class Training:
    """A training that is logged, for the length of a ``with`` block.

    Args:
        flavor: The library, by the name of its flavor.
        options: How it is logged.
        run: The run that it is logged to.
        made: The same run, if it was made for this training, which then ends it.
    """

    def __init__(self, flavor: str, options: Options, run: RecordedRun, made: ActiveRun | None) -> None:
        self.flavor = flavor
        self.options = options
        self.run = run
        self.delegate: str | None = None
        """Flavor whose own training, inside of this one, logs into it too."""
        self._made = made
        self._points: list[Metric] = []
        self._last_written = time.monotonic()
        self._inside = ExitStack()

    @classmethod
    def begin(cls, flavor: str, options: Options) -> Training | None:
        """Return a training to enter; ``None`` if nothing of it is to be logged, or nothing can be."""
        if nesting.inside() is not None:
            return None
        try:
            here = _active_run()
            if here is not None:
                return None if options.exclusive else cls(flavor, options, here, None)
            return cls(flavor, options, *_new_run(flavor, options))
        except Exception as error:  # noqa: BLE001 - the training must not be hurt by what watches it
            warn(flavor, "the training is not logged, for it has no run", error, silent=options.silent)
            return None

    def __enter__(self) -> Training:
        self._inside.enter_context(nesting.entered(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.attempt("the last points of metrics are not logged"):
            self.flush()
        if self._made is not None:
            with self.attempt("the run has no end"):
                self._made.__exit__(kind, error, trace)
            _made.discard(self.run.run_id)
        self._inside.close()

    @contextmanager
    def attempt(self, otherwise: str) -> Iterator[None]:
        """Do something that may fail: then there is a warning that says what is missing, and the training goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the training must not be hurt by what watches it
            warn(self.flavor, otherwise, error, silent=self.options.silent)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters. Those that cannot be logged are told, and keep none of the others from being so."""
        texts: dict[str, str] = {}
        for name, value in params.items():
            with self.attempt(f"the parameter {name} is not logged"):
                texts.update(param_texts({name: value}))
        try:
            self.run.log_params(texts)
        except ToolkitError:
            self._log_params_one_by_one(texts)

    def _log_params_one_by_one(self, texts: Mapping[str, str]) -> None:
        failed: dict[str, Exception] = {}
        for name, text in texts.items():
            try:
                self.run.log_params({name: text})
            except ToolkitError as error:
                failed[name] = error
        if failed:
            what = f"{len(failed)} of {len(texts)} parameters are not logged ({', '.join(failed)})"
            warn(self.flavor, what, next(iter(failed.values())), silent=self.options.silent)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags of the run."""
        self.run.set_tags(tag_texts(tags))

    def log_metrics(self, metrics: Mapping[str, object], step: int = 0) -> None:
        """Log a point of each metric: many are written at once, at the latest after a second's worth of them."""
        moment = now_ms()
        for name, value in metrics.items():
            with self.attempt(f"the metric {name} is not logged"):
                number = float(scalar(value))
                self._points.append(Metric(key=name, value=number, timestamp=moment, step=int(step)))
        if len(self._points) >= _BATCH or time.monotonic() - self._last_written > _WAIT:
            self.flush()

    def flush(self) -> None:
        """Write the points that wait."""
        points, self._points = self._points, []
        self._last_written = time.monotonic()
        write_points(self, points)

    def log_dataset(self, dataset: object, context: str, name: str | None = None) -> None:
        """Note data that the run uses.

        Args:
            dataset: One of `toolkit.data`.
            context: What for: ``train`` or ``eval``.
            name: Its name, if it has one.
        """
        self.run.log_inputs([recorded(dataset, context=context, tags={"name": name} if name else None)])

    @contextmanager
    def files(self) -> Iterator[Path]:
        """Return a folder; what is written to it within the block becomes artifacts at the top of the run."""
        with TemporaryDirectory(prefix="toolkit-autolog-") as folder:
            yield Path(folder)
            self.run.log_folder(Path(folder))


def write_points(training: Training, points: Sequence[Metric]) -> None:
    """Write points to a training's run; one that the store does not take keeps none of the others out."""
    if not points:
        return
    try:
        training.run.log_points(points)
    except ToolkitError:
        if len(points) == 1:
            raise
        for point in points:
            with training.attempt(f"the metric {point.key} is not logged"):
                training.run.log_points([point])


def _active_run() -> RecordedRun | None:
    """Return the run that a training goes into: the context's; on the main thread also the step's or the process's."""
    run = current.context_run()
    if run is None and threading.current_thread() is threading.main_thread():
        run = current.active_run() or session.step_run()
    return run


def _new_run(flavor: str, options: Options) -> tuple[RecordedRun, ActiveRun]:
    """Make a run; on a thread of its own it is a child of what the process has open, so that trainings do not mix."""
    with _making:
        alone = threading.current_thread() is threading.main_thread()
        parent = None if alone else session.open_run(apart_from=_made)
        made = session.start_run(
            tags={AUTOLOGGING: flavor, **options.extra_tags},
            parent_run_id=parent.run_id if parent is not None else None,
        )
        run = current.context_run()
        assert run is not None  # it has just been made so
        _made.add(run.run_id)
    return run, made
