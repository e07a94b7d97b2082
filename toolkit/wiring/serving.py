"""Deployments of models: where they are remembered, and what releases them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from toolkit.errors import InvalidValue, StoreError
from toolkit.recording.stores import Stores
from toolkit.settings import Settings
from toolkit.wiring.services import local_services

if TYPE_CHECKING:
    from toolkit.deployments.bento import BuiltBento
    from toolkit.deployments.config import ServiceConfig
    from toolkit.deployments.records import Deployment as ServedDeployment
    from toolkit.deployments.release import Releases
    from toolkit.deployments.store import DeploymentStore
    from toolkit.deployments.supervised import DoorRecord
    from toolkit.registry.catalog import Catalog
    from toolkit.registry.records import ModelVersion


@contextlib.contextmanager
def open_releases(
    stores: Stores,
    catalog: Catalog,
    settings: Settings,
    *,
    report: Callable[[str], None],
    reason: str | None = None,
    trust: bool = False,
) -> Iterator[tuple[Releases, DeploymentStore]]:
    """Give what makes releases of deployments, and where these are remembered.

    Args:
        stores: Where deployments are remembered, and runs are.
        catalog: Where the models are that are to serve.
        settings: Say where files are kept on this machine.
        report: Takes lines of progress.
        reason: Why something is changed, as it is written down.
        trust: Whether the user trusts all that a model holds.

    Raises:
        StoreError: The stores are neither a server's nor in a database of this process's, or cannot be used.
    """
    from toolkit.deployments import following  # noqa: PLC0415 - where something is released
    from toolkit.deployments.bento import build, said_in  # noqa: PLC0415 - where something is released
    from toolkit.deployments.changeover import Means  # noqa: PLC0415 - the same
    from toolkit.deployments.release import Releases  # noqa: PLC0415 - the same
    from toolkit.deployments.targets.lookup import target_named  # noqa: PLC0415 - the same
    from toolkit.recording.context import user_name  # noqa: PLC0415 - the same
    from toolkit.registry.history import Author  # noqa: PLC0415 - the same
    from toolkit.registry.names import ModelUri  # noqa: PLC0415 - the same
    from toolkit.registry.sources import version_of  # noqa: PLC0415 - the same

    def find(text: str) -> ModelVersion:
        uri = ModelUri.read(text if text.startswith("models:") else f"models:/{text}")
        if uri.name is None:
            raise InvalidValue(f"{text!r} names no version of a registered model: wanted such as models:/wine/3")
        return version_of(catalog.registered, uri)

    def bento_of(version: ModelVersion, config: ServiceConfig) -> BuiltBento:
        uri = f"models:/{version.name}/{version.version}"
        return build(uri, stores, catalog, config, allowed=said_in(settings, everything=trust), report=report)

    folder = settings.home / "deployments"

    def changed(deployment: ServedDeployment) -> None:
        if following.note(folder, deployment):
            local_services(settings).ensure_supervisor(report)

    store = open_deployment_store(stores)
    try:
        means = Means(
            store=store.acting(Author(user=user_name(), reason=reason)),
            target=target_named,
            find=find,
            build=bento_of,
            folder=folder,
            user=user_name(),
            report=report,
            changed=changed,
        )
        yield Releases(means), store
    finally:
        store.close()


def open_deployment_store(stores: Stores) -> DeploymentStore:
    """Return where it is remembered what serves where; what is done is said to be done by who runs this process.

    Raises:
        StoreError: The stores are neither a server's nor in a database of this process's.
    """
    from toolkit.recording.context import user_name  # noqa: PLC0415 - when deployments are wanted
    from toolkit.registry.history import Author  # noqa: PLC0415 - the same

    author = Author(user=user_name())
    if stores.server is not None:
        from toolkit.deployments.http import HttpDeploymentStore  # noqa: PLC0415 - where there is a server

        return HttpDeploymentStore(stores.server, author=author)
    from toolkit.deployments.sql import SqlDeploymentStore  # noqa: PLC0415 - SQLAlchemy

    if stores.database is None:
        raise StoreError(f"the deployments of {stores.place} are kept in no database, and by no server")
    return SqlDeploymentStore(stores.database, author=author)


def kept_deployments(settings: Settings) -> Sequence[DoorRecord]:
    """Return where the deployments on this machine are to answer, as long as their supervisor runs."""
    from toolkit.deployments import supervised  # noqa: PLC0415 - when services are wanted

    return supervised.read(settings.home).doors


def follows_aliases(settings: Settings) -> bool:
    """Tell whether a deployment was told on this machine to follow an alias."""
    from toolkit.deployments import following  # noqa: PLC0415 - when services are wanted

    return bool(following.read(settings.home / "deployments"))
