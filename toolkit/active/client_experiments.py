"""Experiments, as a client works with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.active.connected import Connected, PagedList
from toolkit.entities import Experiment, ViewType, stage_of
from toolkit.errors import NotFound
from toolkit.tracking.records import Lifecycle, SearchQuery


class ExperimentClient(Connected):
    """The part of `Client` that is about experiments."""

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Mapping[str, object] | None = None
    ) -> str:
        """Make an experiment; return its id.

        Args:
            name: Its name.
            artifact_location: URI below which its runs keep their artifacts; default: the artifact root's.
            tags: Its tags.

        Raises:
            AlreadyExists: There is an active one of this name.
            InvalidValue: The name or a tag is out of bounds.
        """
        told = {key: str(value) for key, value in (tags or {}).items()}
        return self._runs.create_experiment(name, artifact_location=artifact_location, tags=told).experiment_id

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, deleted or not.

        Raises:
            NotFound: There is none of this id.
        """
        return Experiment.of(self._runs.get_experiment(str(experiment_id)))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the active experiment of this name, else a deleted one, else ``None``."""
        found = self._runs.find_experiment(name)
        return None if found is None else Experiment.of(found)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return a page of experiments; default order: newest first.

        Args:
            view_type: Active ones, deleted ones or both (`toolkit.entities.ViewType`).
            max_results: So many at most.
            filter_string: Such as ``name LIKE 'wine%' AND tags.team = 'red'``.
            order_by: Such as ``["name ASC"]``.
            page_token: The ``token`` of the page before.

        Raises:
            InvalidValue: An argument cannot be used; the message shows where.
        """
        query = SearchQuery(
            filter=filter_string or "",
            order_by=tuple(order_by or ()),
            lifecycle=stage_of(view_type),
            limit=1000 if max_results is None else max_results,
            page_token=page_token or None,
        )
        page = self._runs.search_experiments(query)
        return PagedList([Experiment.of(each) for each in page.items], page.next_page_token)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give an experiment another name.

        Raises:
            AlreadyExists: The name is another active experiment's.
        """
        self._runs.update_experiment(str(experiment_id), name=new_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete an experiment with its runs; `restore_experiment` brings them back."""
        self._runs.update_experiment(str(experiment_id), lifecycle=Lifecycle.DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """Bring a deleted experiment back, with the runs that were deleted with it.

        Raises:
            AlreadyExists: Its name was given to another one meanwhile.
        """
        self._runs.update_experiment(str(experiment_id), lifecycle=Lifecycle.ACTIVE)

    def set_experiment_tag(self, experiment_id: str, key: str, value: object) -> None:
        """Set a tag of an experiment; the last value counts."""
        self._runs.update_experiment(str(experiment_id), tags={key: str(value)})

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag of an experiment.

        Raises:
            NotFound: It has none of this name.
        """
        if key not in self._runs.get_experiment(str(experiment_id)).tags:
            raise NotFound(f"No tag with name: {key} in experiment with id {experiment_id}")
        self._runs.update_experiment(str(experiment_id), tags={key: None})
