"""The stores, opened for one command; and how a run or an experiment is named on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.cli.render import say
from toolkit.errors import ArtifactError, InvalidValue, NotFound, StoreError
from toolkit.recording.stores import Stores
from toolkit.settings import Settings, load
from toolkit.tracking.records import Experiment, Run, RunQuery
from toolkit.wiring.opened import open_stores
from toolkit.wiring.upkeep import send_leftovers, sweep

_SHORTEST_PREFIX = 4


@contextmanager
def opened() -> Iterator[Stores]:
    """Open the stores for a block; mark first what was lost."""
    settings = load()
    stores = open_stores(settings)
    try:
        _add_leftovers(stores, settings)
        for run in sweep(stores, settings):
            say(f"run {run.info.run_name} ({run.info.run_id}) was lost: {run.info.reason}")
        yield stores
    finally:
        stores.close()


def _add_leftovers(stores: Stores, settings: Settings) -> None:
    try:
        sent = send_leftovers(stores, settings)
    except (ArtifactError, StoreError) as error:  # what is there can be read all the same
        say(f"what earlier processes had logged cannot be added now: {error}")
    else:
        if sent.entries or sent.files:
            say(f"added: {sent.entries} entries and {sent.files} files that earlier processes had logged and not sent")


def find_run(stores: Stores, text: str) -> Run:
    """Return the run that a text names: an id, the beginning of one (at least 4 characters), a name, or ``@last``.

    Raises:
        NotFound: There is none.
        InvalidValue: There are several.
    """
    runs = stores.runs
    if text == "@last":
        latest = runs.list_runs(RunQuery(top_level=True, limit=1)).items
        if latest:
            return latest[0]
        raise NotFound("there is no run yet: start one with toolkit run")
    found = list(runs.list_runs(RunQuery(run_id_prefix=text, limit=2)).items) if len(text) >= _SHORTEST_PREFIX else []
    found = [run for run in found if run.info.run_id == text] or found
    found = found or list(runs.list_runs(RunQuery(run_name=text, limit=2)).items)
    if not found:
        raise NotFound(f"there is no run {text!r}: wanted an id, at least 4 characters of one, a run's name, or @last")
    if len(found) > 1:
        ids = " and ".join(run.info.run_id for run in found)
        raise InvalidValue(f"{text!r} names several runs, such as {ids}: give more of the id")
    return found[0]


def find_experiment(stores: Stores, text: str) -> Experiment:
    """Return the experiment of this name or id.

    Raises:
        NotFound: There is none.
    """
    named = stores.runs.find_experiment(text)
    if named is not None:
        return named
    try:
        return stores.runs.get_experiment(text)
    except (NotFound, InvalidValue):
        known = ", ".join(experiment.name for experiment in stores.runs.list_experiments(limit=10).items)
        raise NotFound(f"there is no experiment {text!r}, by name or id; there are: {known}") from None
