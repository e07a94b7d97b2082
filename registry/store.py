"""The contract of a registry. Every kind passes the suite in ``toolkit.testing.registry_store``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from toolkit.registry.records import ModelVersion, NewVersion, RegisteredModel, Stage
from toolkit.tracking.records import Page, SearchQuery


class RegistryStore(Protocol):
    """Registered models, their versions, and what these are called.

    Every method is atomic and may be called from any thread. A name, number or alias that is not there raises
    `NotFound` (an alias `InvalidValue`, as in MLflow); values of a wrong form raise `InvalidValue`; a store that cannot
    be used raises `StoreError`. Nothing that was deleted is ever found again, and its number stays taken.
    """

    def create_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """Make a registered model, without versions.

        Raises:
            AlreadyExists: There is one of this name.
        """
        ...

    def get_model(self, name: str) -> RegisteredModel:
        """Return a registered model with its latest versions."""
        ...

    def search_models(self, query: SearchQuery) -> Page[RegisteredModel]:
        """Return the registered models that a query finds; the default order: by name; at most 1,000 a page.

        Prompts, models with the tag ``mlflow.prompt.is_prompt``, are found only if the filter asks for them.

        Raises:
            InvalidValue: The filter, the order, the page token or the page size cannot be used.
        """
        ...

    def update_model(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> RegisteredModel:
        """Rename, describe or tag; ``None`` as a tag's value removes it, if it is there.

        Raises:
            AlreadyExists: There is one of the new name.
        """
        ...

    def delete_model(self, name: str) -> None:
        """Delete a registered model with its versions and aliases. Its name is free."""
        ...

    def latest_versions(self, name: str, stages: Sequence[Stage] = ()) -> Sequence[ModelVersion]:
        """Return the highest version in each of these stages, or in each stage there is."""
        ...

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias stand for a version, also where it stood for another one."""
        ...

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias, if it is there."""
        ...

    def find_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for.

        Raises:
            InvalidValue: There is no such alias.
        """
        ...

    def create_version(self, new: NewVersion) -> ModelVersion:
        """Make a version, ready: its number is one more than the highest that the model ever had.

        Numbers are dense, however many make versions at the same time. The logged model that it is, if it is one, lists
        it in its tag ``mlflow.modelVersions``.
        """
        ...

    def get_version(self, name: str, version: int) -> ModelVersion:
        """Return a version with its aliases."""
        ...

    def update_version(
        self,
        name: str,
        version: int,
        *,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> ModelVersion:
        """Describe or tag a version; ``None`` as a tag's value removes it, if it is there."""
        ...

    def set_stage(self, name: str, version: int, stage: Stage, *, archive_existing: bool = False) -> ModelVersion:
        """Move a version to a stage; the others there go to the archive, if that is wanted.

        Raises:
            InvalidValue: Others are to be archived for a stage that is neither Staging nor Production.
        """
        ...

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version and its aliases. Its row stays, without what it said, and so does its number."""
        ...

    def search_versions(self, query: SearchQuery) -> Page[ModelVersion]:
        """Return the versions that a query finds, without their aliases; at most 200,000 a page.

        The default order: the last changed first, then by name, then the highest number. Versions of prompts are found
        only if the filter asks for them.

        Raises:
            InvalidValue: The filter, the order, the page token or the page size cannot be used.
        """
        ...

    def needed_by(self, holder: str) -> str | None:
        """Say which version needs the files of a run or a logged model (``version 3 of model wine``)."""
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...
