"""Runs that a script opens: start, resume, end; and how they end when the script does."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from toolkit.active.values import tag_texts
from toolkit.entities import Run, RunData, RunInfo, RunInputs, RunOutputs
from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.recording import current
from toolkit.recording.context import NOTE, script_tags
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import catalog_of
from toolkit.settings import load
from toolkit.tracking.journal import Leftovers
from toolkit.tracking.records import RunStatus

if TYPE_CHECKING:
    from toolkit.active.system_metrics import SystemMetrics

logger = logging.getLogger(__name__)

_LEFTOVERS_TIMEOUT = 10.0  # seconds

_step_taken = False
_open_runs: list[RecordedRun] = []
_before: WeakKeyDictionary[RecordedRun, RecordedRun | None] = WeakKeyDictionary()
_watched: WeakKeyDictionary[RecordedRun, SystemMetrics] = WeakKeyDictionary()
_last: ContextVar[RecordedRun | None] = ContextVar("toolkit_last_run", default=None)
_hooks_pid: int | None = None
_failure: RunStatus | None = None


class ActiveRun:
    """A run to be used with ``with``: it ends with the block.

    FINISHED if the block ends well, KILLED on Ctrl-C, FAILED on any other exception. A step's run, which a script only
    takes part in, is left to the step.
    """

    def __init__(self, recorded: RecordedRun, previous: RecordedRun | None) -> None:
        self._recorded = recorded
        self._previous = previous

    @property
    def info(self) -> RunInfo:
        """What the run is."""
        return RunInfo.of(self._recorded.info)

    @property
    def data(self) -> RunData:
        """What it has logged so far, read from the store."""
        return RunData.of(self._recorded.read().data)

    @property
    def inputs(self) -> RunInputs:
        """What it has used so far, read from the store."""
        return self._now().inputs

    @property
    def outputs(self) -> RunOutputs:
        """Which models it has made so far, read from the store."""
        return self._now().outputs

    def to_dictionary(self) -> dict[str, object]:
        """Return the run as the store has it now, down to plain values."""
        return self._now().to_dictionary()

    def _now(self) -> Run:
        found = self._recorded.read()
        logged = catalog_of(self._recorded.stores).logged
        return Run.of(found, logged.models_of([self._recorded.run_id]).get(self._recorded.run_id))

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            _end(self._recorded, _status_of(error), reason=_reason_of(error))
        except ToolkitError as failure:
            if error is None:
                raise
            logger.warning("run %s has no end: %s", self._recorded.run_id, failure)  # the block's own error is told
        finally:
            _before.pop(self._recorded, None)
            current.set_context_run(self._previous)

    def __repr__(self) -> str:
        return f"<ActiveRun {self.info.run_id[:8]} {self.info.run_name}>"


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, object] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
    *,
    strict: bool = False,
) -> ActiveRun:
    """Start a run, or resume one, and make it the active one.

    In a step of ``toolkit run`` the first call resumes the step's own run; further ones make children of it.

    Args:
        run_id: Resume this run instead of making one.
        experiment_id: Experiment of a new run; default: `set_experiment`'s, else the settings', else ``Default``.
        run_name: Name of a new run; default: a random one.
        nested: Allow a run inside the active one, as its child.
        parent_run_id: Run that the new one is a part of.
        tags: Tags to set.
        description: Text for the tag ``mlflow.note.content``.
        log_system_metrics: Log the machine's load too; default: as the settings say.
        strict: Write straight to the store: verbs wait for it, and raise its failures. Default: the settings'.

    Raises:
        InvalidValue: A run is active and ``nested`` is not set.
        NotFound: There is no run ``run_id``, or no experiment ``experiment_id``.
    """
    global _step_taken
    previous = current.context_run()
    if previous is not None and not nested:
        raise InvalidValue(
            f"run {previous.run_id} is active already: end it with toolkit.end_run(), or start a child of it "
            "with start_run(nested=True)"
        )
    _install_hooks()
    own_tags = tag_texts({**(tags or {}), **({NOTE: description} if description else {})})
    if run_id is not None:
        recorded = _resume(run_id, strict=strict)
        if own_tags:
            recorded.set_tags(own_tags)
    elif not _is_child(previous, nested, parent_run_id) and not _step_taken and (step := step_run()) is not None:
        recorded, _step_taken = step, True
    else:
        parent = parent_run_id or (previous.run_id if previous else current.parent_run_id())
        recorded = RecordedRun.start(
            current.stores(),
            current.leases(),
            experiment_id=_experiment_of(experiment_id, previous),
            name=run_name,
            parent_run_id=parent,
            tags={**script_tags(), **own_tags},
            strict=strict,
        )
        _open_runs.append(recorded)
    current.set_context_run(recorded)
    _last.set(recorded)
    _before[recorded] = previous
    _watch_load(recorded, log_system_metrics)
    return ActiveRun(recorded, previous)


def end_run(status: str = "FINISHED") -> None:
    """End the active run; nothing happens if there is none.

    Raises:
        InvalidValue: The status is none of FINISHED, FAILED, KILLED.
    """
    try:
        final = RunStatus(status)
    except ValueError:
        final = RunStatus.RUNNING
    if not final.terminal:
        raise InvalidValue(f"{status!r} is not a final status: FINISHED, FAILED or KILLED")
    run = current.active_run()
    if run is not None:
        _end(run, final)
        current.set_context_run(_before.pop(run, None))


def active_run() -> ActiveRun | None:
    """Return the active run, or ``None``."""
    run = current.active_run()
    return ActiveRun(run, current.context_run()) if run else None


def last_active_run() -> Run | None:
    """Return the run that this thread or task has started last, ended or not; ``None`` if it has started none."""
    run = current.active_run() or _last.get()
    return Run.of(run.read()) if run else None


def run_to_log_to(run_id: str | None = None) -> RecordedRun:
    """Return the active run; the step's if this process is a step; else start one. Or return the run of an id.

    Raises:
        NotFound: There is no run ``run_id``.
    """
    if run_id is not None:
        return _named(run_id)
    run = open_run()
    if run is None:
        start_run()
        run = current.context_run()
        current.set_process_run(run)
        assert run is not None
    return run


def open_run(apart_from: Collection[str] = ()) -> RecordedRun | None:
    """Return the run that code which is in none writes to, if there is one: the process's, the step's, the open one.

    Args:
        apart_from: Ids of runs that are not meant.
    """
    return current.active_run() or step_run() or _only_open_run(apart_from)


def _named(run_id: str) -> RecordedRun:
    """Return the run of an id: an open one of this process, or one that this process has read before."""
    here = current.active_run()
    if here is not None and here.run_id == run_id:
        return here
    known = current.named_runs()
    if run_id not in known:
        stores = current.stores()
        known[run_id] = RecordedRun(stores, stores.runs.get_run(run_id))
    return known[run_id]


def _only_open_run(apart_from: Collection[str]) -> RecordedRun | None:
    """Return the run that this process has open, if it is the only one: a thread that is in none writes to it."""
    meant = [run for run in list(_open_runs) if run.run_id not in apart_from]
    return meant[0] if len(meant) == 1 and _hooks_pid == os.getpid() else None


def step_run() -> RecordedRun | None:
    """Return the run that this process is a step of, where it is one. Its owner decides how it ends."""
    run_id = load().run_id
    if run_id is None:
        return None
    here = current.active_run()
    if here is not None:
        return here if here.run_id == run_id else None
    stores = current.stores()
    try:
        run = stores.runs.get_run(run_id)
    except NotFound:
        raise NotFound(
            f"TOOLKIT_RUN_ID or MLFLOW_RUN_ID names run {run_id}, which is not in {stores.place}: "
            "unset the variable, or set TOOLKIT_TRACKING_URI to the store that has it"
        ) from None
    recorded = RecordedRun(stores, run)
    current.set_process_run(recorded)
    return recorded


def _experiment_of(experiment_id: str | None, previous: RecordedRun | None) -> str:
    """Return where a new run belongs: as given, else where the run around it does, else where the settings say."""
    if experiment_id:
        return str(experiment_id)  # scripts give numbers too
    here = previous is not None and previous.stores is current.stores()  # ids are another's in another store
    return previous.info.experiment_id if previous is not None and here else current.experiment_id()


def _is_child(previous: RecordedRun | None, nested: bool, parent_run_id: str | None) -> bool:
    """Tell whether a new run is a part of another one, and so cannot be the step's own."""
    return previous is not None or parent_run_id is not None or (nested and current.active_run() is not None)


def _resume(run_id: str, *, strict: bool) -> RecordedRun:
    """Take up a run again. One that has ended runs again, and this process answers for it."""
    stores = current.stores()
    _bring_leftovers(stores)
    run = stores.runs.get_run(run_id)
    if not run.info.status.terminal:
        return RecordedRun(stores, run, strict=strict)
    run = replace(run, info=stores.runs.update_run(run_id, status=RunStatus.RUNNING))
    current.leases().take_over(run_id)
    recorded = RecordedRun(stores, run, current.leases(), strict=strict)
    _open_runs.append(recorded)
    return recorded


def _bring_leftovers(stores: Stores) -> None:
    """Send what processes that are gone have left: the end of a run that comes late must not end it once it goes on."""
    if stores.journal is None:
        return
    deadline = time.monotonic() + _LEFTOVERS_TIMEOUT
    leftovers = Leftovers(load().journal_root, stores.runs, stores.place)
    try:
        while leftovers.step() and time.monotonic() < deadline:
            pass
    except ToolkitError as error:  # whoever asks for the run is told what is wrong with the store
        logger.warning("what earlier processes have left for %s is not sent: %s", stores.place, error)
    finally:
        leftovers.close()


def _watch_load(run: RecordedRun, wanted: bool | None) -> None:
    """Begin to log the machine's load with a run, if that is wanted."""
    settings = load()
    if (settings.enable_system_metrics_logging if wanted is None else wanted) and run not in _watched:
        from toolkit.active.system_metrics import SystemMetrics  # noqa: PLC0415 - for runs that want it

        _watched[run] = SystemMetrics.of(run, settings)
        _watched[run].start()


def _end(run: RecordedRun, status: RunStatus, *, reason: str | None = None) -> None:
    if watching := _watched.pop(run, None):
        watching.stop()
    run.end(status, reason)
    if run in _open_runs:
        _open_runs.remove(run)
    if current.active_run() is run:
        current.set_process_run(None)


def _status_of(error: BaseException | None) -> RunStatus:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return RunStatus.FINISHED
    killed = isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code == _TERMINATED)
    return RunStatus.KILLED if killed else RunStatus.FAILED


def _reason_of(error: BaseException | None) -> str | None:
    if error is None or isinstance(error, SystemExit):
        return None
    try:
        return f"{type(error).__name__}: {error}"[:1000]
    except Exception:  # noqa: BLE001 - a class of the user's whose text cannot be made
        return type(error).__name__


# -- the end of the process ------------------------------------------------------------------------

_TERMINATED = 128 + signal.SIGTERM


def _install_hooks() -> None:
    """See to it, once in a process, that open runs end when the process does."""
    global _hooks_pid
    if _hooks_pid == os.getpid():
        return
    if _hooks_pid is not None:
        _open_runs.clear()  # the parent's, after a fork
    else:
        previous = sys.excepthook

        def note_failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            global _failure
            _failure = _status_of(error)
            previous(kind, error, trace)

        sys.excepthook = note_failure
    _hooks_pid = os.getpid()
    current.at_exit(_end_open_runs)
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the form of a signal handler
    global _failure
    _failure = RunStatus.KILLED
    raise SystemExit(_TERMINATED)


def _end_open_runs() -> None:
    if _hooks_pid != os.getpid():
        return
    for watching in list(_watched.values()):
        try:
            watching.stop()
        except Exception as error:  # noqa: BLE001 - see below
            logger.warning("what logs the machine's load was not stopped: %s", error)
    for run in reversed(_open_runs):
        try:
            run.end(_failure or RunStatus.FINISHED)
        except Exception as error:  # noqa: BLE001 - one that cannot end keeps no other from ending
            logger.warning("run %s has no end: %s", run.run_id, error)
    _open_runs.clear()
