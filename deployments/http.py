"""Deployments of a toolkit server: a `toolkit.deployments.store.DeploymentStore` over its API."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.deployments import codec, names
from toolkit.errors import NotFound
from toolkit.registry.authors import author_headers
from toolkit.registry.history import NOBODY, Author
from toolkit.tracking.http_calls import Calls, part, understood

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toolkit.deployments.records import Bento, Deployment, DeploymentState, Release, ReleaseState
    from toolkit.transport.client import HttpClient

_NUMBERS = range(1, 2**63)


class HttpDeploymentStore:
    """A `DeploymentStore` that is a server's. It is safe with threads and forks.

    Args:
        client: What speaks to the server; `close` leaves it open.
        author: Who does what is done, and why.
    """

    def __init__(self, client: HttpClient, *, author: Author = NOBODY) -> None:
        self._client = client
        self._author = author
        self._calls = Calls(client, headers=author_headers(author))

    def acting(self, author: Author) -> HttpDeploymentStore:
        """See `DeploymentStore.acting`."""
        return HttpDeploymentStore(self._client, author=author.checked())

    @understood
    def create(self, new: Deployment) -> Deployment:
        """See `DeploymentStore.create`."""
        names.check_deployment(new)
        named = replace(new, id=new.id or uuid.uuid4().hex)  # by which a second try finds what the first has made
        return codec.deployment_in(self._by(new.created_by).write("/deployments", codec.new_deployment_out(named)))

    @understood
    def get(self, name: str) -> Deployment:
        """See `DeploymentStore.get`."""
        names.check_name(name)
        return codec.deployment_in(self._calls.get(f"/deployments/named/{part(name)}"))

    @understood
    def list(self, *, model: str | None = None, deleted: bool = False) -> Sequence[Deployment]:
        """See `DeploymentStore.list`."""
        names.check_texts({"model": model})
        told = self._calls.get("/deployments", model=model, deleted=str(deleted).lower())
        return [codec.deployment_in(each) for each in told["deployments"]]

    @understood
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
        """See `DeploymentStore.change`."""
        names.check_changes(message=message, address=address, follow_alias=follow_alias, config=config, options=options)
        path = _deployment(deployment_id)
        if release:
            _check_number(release)
        body = {
            "expected": [each.value for each in expected],
            "state": None if state is None else state.value,
            "message": message,
            "address": address,
            "release": release,
            "follow_alias": follow_alias,
            "config": config,
            "options": options,
        }
        told = self._calls.write(path, body, method="PATCH", repeat=not expected)
        return codec.deployment_in(told)

    @understood
    def begin_release(self, release: Release) -> Release:
        """See `DeploymentStore.begin_release`."""
        names.check_release(release)
        path = f"{_deployment(release.deployment_id)}/releases"
        told = self._by(release.created_by).write(path, codec.new_release_out(release), repeat=False)
        return codec.release_in(told)

    @understood
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
        """See `DeploymentStore.change_release`."""
        texts = {"image": image, "image_digest": image_digest, "bento": bento, "bento_digest": bento_digest}
        names.check_changes(message=message, instance=instance)
        names.check_texts(texts)
        path = _deployment(deployment_id)
        _check_number(number)
        body = {"state": None if state is None else state.value, "message": message, "instance": instance, **texts}
        return codec.release_in(self._calls.write(f"{path}/releases/{number}", body, method="PATCH"))

    @understood
    def releases(self, deployment_id: str) -> Sequence[Release]:
        """See `DeploymentStore.releases`."""
        told = self._calls.get(f"{_deployment(deployment_id)}/releases")
        return [codec.release_in(each) for each in told["releases"]]

    @understood
    def current(self) -> Sequence[Release]:
        """See `DeploymentStore.current`."""
        return [codec.release_in(each) for each in self._calls.get("/deployments/current")["releases"]]

    @understood
    def remember_bento(self, new: Bento) -> Bento:
        """See `DeploymentStore.remember_bento`."""
        names.check_bento(new)
        return codec.bento_in(self._by(new.created_by).write("/bentos", codec.new_bento_out(new)))

    @understood
    def bentos(self, *, model: str | None = None) -> Sequence[Bento]:
        """See `DeploymentStore.bentos`."""
        names.check_texts({"model": model})
        return [codec.bento_in(each) for each in self._calls.get("/bentos", model=model)["bentos"]]

    def _by(self, user: str) -> Calls:
        """Return the API as somebody else asks it, if a record names somebody."""
        if not user or user == self._author.user:
            return self._calls
        return Calls(self._client, headers=author_headers(replace(self._author, user=user)))

    def close(self) -> None:
        """Leave the client to who made it."""


def _deployment(deployment_id: str) -> str:
    if not names.is_id(deployment_id):
        raise NotFound(f"there is no deployment with the id {deployment_id[:100]!r}: toolkit deployments list")
    return f"/deployments/{deployment_id}"


def _check_number(number: int) -> None:
    """Check that a number can be that of a release.

    Raises:
        NotFound: It cannot.
    """
    if number not in _NUMBERS:
        raise NotFound(f"the deployment has no release {number}")
