"""The contract of a registry. Every kind passes the suite in ``toolkit.testing.registry_store``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from toolkit.registry.history import Author, Change, ChangeQuery, Held
from toolkit.registry.judging import Report
from toolkit.registry.promotion import NewRequest, Policy, Request, RequestQuery, Target
from toolkit.registry.records import ModelVersion, NewVersion, RegisteredModel, Stage
from toolkit.tracking.records import Page, SearchQuery


class RegistryStore(Protocol):
    """Registered models, their versions, and what these are called.

    Every method is atomic and may be called from any thread. A name, number or alias that is not there raises
    `NotFound` (an alias `InvalidValue`, as in MLflow); values of a wrong form raise `InvalidValue`; a store that cannot
    be used raises `StoreError`. Nothing that was deleted is ever found again, and its number stays taken.

    Whatever is changed is written down in the same step (`PromotionStore.history`). What changes nothing is not.
    """

    def acting(self, author: Author) -> RegistryStore:
        """Return the same store, for changes that somebody makes, for a reason.

        Raises:
            InvalidValue: The name or the reason is too long.
        """
        ...

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
        """Let an alias stand for a version, also where it stood for another one.

        Raises:
            ApprovalNeeded: Others must approve that, and the message says how to ask them.
            GateFailed: The version does not pass the gates of the alias.
        """
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
            ApprovalNeeded: Others must approve that, and the message says how to ask them.
            GateFailed: The version does not pass the gates of the stage.
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


class PromotionStore(Protocol):
    """Who may take a stage or an alias, who asked for it and who approved, and what was when.

    The laws of `RegistryStore` hold. A version takes a stage or an alias that asks for something only if it passes its
    gates at that moment and everybody who must has approved: in one step, or not at all. Leaving one, deleting one, and
    putting back what was there (`rollback`) ask for nothing, but are written down.
    """

    def acting(self, author: Author) -> PromotionStore:
        """Return the same store, for changes that somebody makes, for a reason.

        Raises:
            InvalidValue: The name or the reason is too long.
        """
        ...

    def history(self, query: ChangeQuery) -> Page[Change]:
        """Return the changes that a query finds, the newest first; also of what was deleted.

        Raises:
            InvalidValue: The page token cannot be used.
            NotFound: There never was such a model.
        """
        ...

    def held(self, name: str, time: int | None = None) -> Held:
        """Return which versions held the stages and aliases of a model at a time; ``None``: now."""
        ...

    def rollback(self, name: str, target: Target, *, to: int | None = None) -> Sequence[Change]:
        """Let a stage or an alias be what it was before its last change, or of a version that had it once.

        The author's reason says why. The rollback of a rollback is the change again.

        Args:
            name: The registered model.
            target: The stage or the alias.
            to: The number of the version that takes it, with the others in the stage archived.

        Returns:
            What was changed.

        Raises:
            Conflict: There was nothing before, or that version never had it, or was deleted since.
            InvalidValue: There is no reason.
        """
        ...

    def policies(self, name: str) -> Sequence[Policy]:
        """Return what moves of a model's versions need, by target; a target of which nothing was said is left out."""
        ...

    def set_policies(self, name: str, policies: Sequence[Policy]) -> Sequence[Policy]:
        """Say what moves to some targets need from now on, and return all; an empty policy lifts what there was.

        Raises:
            InvalidValue: A target is named twice.
        """
        ...

    def check(self, name: str, version: int, target: Target) -> Report:
        """Judge a version by the gates of a stage or an alias, line by line; nothing is changed."""
        ...

    def request(self, new: NewRequest) -> Request:
        """Ask that a version takes a stage or an alias. Where nothing else was said, one other must approve.

        Raises:
            AlreadyExists: It has it, or it is asked for already.
            Conflict: Nobody but who asks could approve.
            GateFailed: The version does not pass the gates now.
            InvalidValue: It is not known who asks.
        """
        ...

    def get_request(self, number: int) -> Request:
        """Return a request by its number."""
        ...

    def requests(self, query: RequestQuery) -> Page[Request]:
        """Return the requests that a query finds, the newest first."""
        ...

    def approve(self, number: int) -> Request:
        """Approve a request. With the last yes that it needs, the version takes what it asks for. A second yes is none.

        Raises:
            Conflict: It is closed, or one's own, or others must approve.
            GateFailed: With this yes it would be done, but the version does not pass the gates: nothing is changed.
            InvalidValue: It is not known who approves.
        """
        ...

    def reject(self, number: int) -> Request:
        """Close a request, with the author's reason.

        Raises:
            Conflict: It is closed, or one's own, or others must decide.
            InvalidValue: There is no reason, or it is not known who rejects.
        """
        ...

    def comment(self, number: int) -> Request:
        """Say something to a request, open or closed, without deciding on it: the author's reason is what is said.

        Raises:
            InvalidValue: Nothing is said, or it is not known who says it.
            NotFound: Its version was deleted.
        """
        ...

    def withdraw(self, number: int) -> Request:
        """Close a request of one's own.

        Raises:
            Conflict: It is closed, or somebody else's.
            InvalidValue: It is not known who withdraws.
        """
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...
