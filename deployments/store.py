"""Where deployments are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toolkit.deployments.records import Bento, Deployment, DeploymentState, Release, ReleaseState
    from toolkit.registry.history import Author


class DeploymentStore(Protocol):
    """The deployments of a store, over SQL or over HTTP. Every method is atomic and may be called from any thread.

    A value of a wrong form raises `InvalidValue`; a store that cannot be used raises `StoreError`. What is done to a
    deployment is also an event of its registered model, and in that model's history: ``deployment.created`` with its
    first release, ``deployment.released`` or ``deployment.rolled_back`` when `change` is given another ``release``, and
    ``deployment.deleted``.
    """

    def acting(self, author: Author) -> DeploymentStore:
        """Return the same store, for what somebody does, for a reason; a record that names who made it is believed.

        Raises:
            InvalidValue: The name or the reason is too long.
        """
        ...

    def create(self, new: Deployment) -> Deployment:
        """Remember a new one; of several callers at once with one name, one succeeds.

        Its id is made here if it is empty; given once more with the same id and name, it is what was remembered.

        Raises:
            AlreadyExists: A deployment that is not deleted has this name.
        """
        ...

    def get(self, name: str) -> Deployment:
        """Return the one of this name that is not deleted.

        Raises:
            NotFound: There is none.
        """
        ...

    def list(self, *, model: str | None = None, deleted: bool = False) -> Sequence[Deployment]:
        """Return those there are, by name; only those that serve a version of a model, if one is named.

        Args:
            model: The registered model, as it is called now.
            deleted: Whether those that were deleted are wanted, too; of a model: those that ever served one.
        """
        ...

    def change(
        self,
        deployment_id: str,
        *,
        expected: Sequence[DeploymentState] = (),
        state: DeploymentState | None = None,
        message: str | None = None,
        address: str | None = None,
        release: int | None = None,
        follow_alias: str | None = None,
        config: Mapping[str, object] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Deployment:
        """Change what is given; what is None stays. An empty text takes an address or a followed alias away.

        A release of 0 says that none serves. What is deleted stays so: its releases are ended, its name is free.

        Raises:
            NotFound: There is no such deployment, or no such release of it.
            Conflict: It is deleted, or its state is none of `expected`, so that two updates at once cannot both go on.
        """
        ...

    def begin_release(self, release: Release) -> Release:
        """Remember a release that is being started; its number is given out here, whatever it says.

        Raises:
            NotFound: There is no such deployment.
            Conflict: It is deleted.
        """
        ...

    def change_release(
        self,
        deployment_id: str,
        number: int,
        *,
        state: ReleaseState | None = None,
        message: str | None = None,
        instance: Mapping[str, object] | None = None,
        image: str | None = None,
        image_digest: str | None = None,
        bento: str | None = None,
        bento_digest: str | None = None,
    ) -> Release:
        """Change what is given; one that is refused, replaced or stopped gets its end's time.

        Raises:
            NotFound: There is no such release.
        """
        ...

    def releases(self, deployment_id: str) -> Sequence[Release]:
        """Return all of them, the newest first.

        Raises:
            NotFound: There is no such deployment.
        """
        ...

    def current(self) -> Sequence[Release]:
        """Return one release of each deployment that is not deleted: the one that serves, else the one begun last."""
        ...

    def remember_bento(self, new: Bento) -> Bento:
        """Remember what was built, for the lineage, and return it; what is known already stays as it is.

        A release remembers its Bento by itself.
        """
        ...

    def bentos(self, *, model: str | None = None) -> Sequence[Bento]:
        """Return what was built, the newest first; only that of one registered model, if it is named."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
