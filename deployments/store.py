"""Where deployments are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState


class DeploymentStore(Protocol):
    """The deployments of a store, over SQL or over HTTP. Every method is atomic."""

    def create(self, new: Deployment) -> Deployment:
        """Remember a new one; of several callers at once with one name, one succeeds.

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
        """Return those there are, by name; only those that serve a version of a model, if one is named."""
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

        Raises:
            NotFound: There is no such deployment.
            Conflict: Its state is none of `expected`, so that two updates at once cannot both go on.
        """
        ...

    def begin_release(self, release: Release) -> Release:
        """Remember a release that is being started; its number is given out here, whatever it says."""
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
    ) -> Release:
        """Change what is given; one that is refused, replaced or stopped gets its end's time."""
        ...

    def releases(self, deployment_id: str) -> Sequence[Release]:
        """Return all of them, the newest first."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
