"""Where the experiments of a source go: which one of the target, or a new one, and under which id."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.errors import NotFound
from toolkit.tracking import limits
from toolkit.tracking.records import Experiment, Lifecycle
from toolkit.tracking.store import RunStore
from toolkit.transfer.fitting import fitted

SOURCE_ID = "toolkit.import.experiment_id"
"""Tag of an imported experiment that could not keep its id: the id that it had."""


class Placement:
    """Finds or makes the target's experiment for each of a source's.

    An active experiment goes to the active one of its name; else it is made, with its own id if that is free, else with
    a new one and the tag `SOURCE_ID`. A deleted one is made under a name of its own, so that its runs can be written,
    and takes its real name when it is deleted, at the end.

    Args:
        runs: The target.
    """

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs
        self._deleted = self._deleted_before()

    def find(self, experiment: Experiment) -> Experiment | None:
        """Return the experiment of the target that an experiment goes to; ``None`` if there is none yet."""
        if experiment.lifecycle_stage is Lifecycle.ACTIVE:
            return self._active(experiment.name)
        before = self._deleted.get((experiment.name, experiment.experiment_id))
        return before or self._active(meanwhile(experiment))

    def make(self, experiment: Experiment) -> Experiment:
        """Return the experiment of the target that an experiment goes to; make it if there is none."""
        found = self.find(experiment)
        if found is not None:
            new = {key: value for key, value in fitted_tags(experiment).items() if key not in found.tags}
            if new and found.lifecycle_stage is Lifecycle.ACTIVE:
                return self._runs.update_experiment(found.experiment_id, tags=new)
            return found
        own = self.free(experiment.experiment_id)
        tags = fitted_tags(experiment)
        if not own:
            tags[SOURCE_ID] = experiment.experiment_id
        active = experiment.lifecycle_stage is Lifecycle.ACTIVE
        return self._runs.create_experiment(
            experiment.name if active else meanwhile(experiment),
            tags=tags,
            experiment_id=experiment.experiment_id if own else None,
            creation_time=experiment.creation_time or None,
        )

    def finish(self, experiment: Experiment, target: Experiment) -> None:
        """Delete an experiment that was deleted in the source, under its real name, with all its runs."""
        if experiment.lifecycle_stage is Lifecycle.DELETED and target.lifecycle_stage is Lifecycle.ACTIVE:
            self._runs.update_experiment(target.experiment_id, name=experiment.name, lifecycle=Lifecycle.DELETED)

    def free(self, experiment_id: str) -> bool:
        """Tell whether the target has no experiment of this id."""
        try:
            self._runs.get_experiment(experiment_id)
        except NotFound:
            return limits.is_experiment_id(experiment_id)
        return False

    def _active(self, name: str) -> Experiment | None:
        found = self._runs.find_experiment(name)
        return found if found is not None and found.lifecycle_stage is Lifecycle.ACTIVE else None

    def _deleted_before(self) -> Mapping[tuple[str, str], Experiment]:
        """Return the deleted experiments of the target, by name and by the id that they had in a source."""
        found = {}
        token = None
        while True:
            page = self._runs.list_experiments(lifecycle=Lifecycle.DELETED, page_token=token)
            for one in page.items:
                found[one.name, one.tags.get(SOURCE_ID, one.experiment_id)] = one
            token = page.next_page_token
            if token is None:
                return found


def meanwhile(experiment: Experiment) -> str:
    """Return the name of a deleted experiment while it is imported."""
    suffix = f" (import of {experiment.experiment_id} goes on)"
    return experiment.name[: limits.EXPERIMENT_NAME_LENGTH - len(suffix)] + suffix


def fitted_tags(experiment: Experiment) -> dict[str, str]:
    """Return an experiment's tags as the target can keep them."""
    return fitted(experiment.tags, limits.EXPERIMENT_TAG_VALUE_LENGTH)[0]
