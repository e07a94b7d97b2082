"""The registry of a toolkit server: a `toolkit.registry.store.RegistryStore` over its API.

What a caller gives is checked here as every store checks it; the server checks again. A call is repeated when the
server does not answer, unless it would do something a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from toolkit.errors import InvalidValue, NotFound
from toolkit.registry import codec, names
from toolkit.registry.authors import author_headers
from toolkit.registry.history import NOBODY, Author
from toolkit.registry.records import ModelVersion, NewVersion, RegisteredModel, Stage
from toolkit.tracking import limits
from toolkit.tracking.http_calls import Calls, part, understood
from toolkit.tracking.http_codec import Json, page_in
from toolkit.tracking.records import Page, SearchQuery
from toolkit.transport.client import HttpClient

_NUMBERS = range(1, 2**63)


class HttpRegistryStore:
    """A `RegistryStore` that is a server's. It is safe with threads and forks.

    Args:
        client: What speaks to the server; `close` leaves it open.
        author: Who changes things, and why.
    """

    def __init__(self, client: HttpClient, *, author: Author = NOBODY) -> None:
        self._client = client
        self._calls = Calls(client, headers=author_headers(author))

    def acting(self, author: Author) -> HttpRegistryStore:
        """See `RegistryStore.acting`."""
        return HttpRegistryStore(self._client, author=author.checked())

    # -- registered models ---------------------------------------------------------------------------

    @understood
    def create_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """See `RegistryStore.create_model`."""
        names.check_name(name)
        names.check_description(description)
        names.check_tags(tags or {})
        body = {"name": name, "description": description, "tags": dict(tags or {})}
        return codec.registered_model_in(self._calls.write("/registered-models", body, repeat=False))

    @understood
    def get_model(self, name: str) -> RegisteredModel:
        """See `RegistryStore.get_model`."""
        return codec.registered_model_in(self._calls.get(_model(name)))

    @understood
    def search_models(self, query: SearchQuery) -> Page[RegisteredModel]:
        """See `RegistryStore.search_models`."""
        told = self._calls.look("/registered-models/search", _search(query))
        return page_in(told, "registered_models", codec.registered_model_in)

    @understood
    def update_model(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> RegisteredModel:
        """See `RegistryStore.update_model`."""
        if new_name is not None:
            names.check_name(new_name, "new_name")
        names.check_description(description)
        names.check_tags(tags or {})
        body = {"new_name": new_name, "description": description, "tags": dict(tags or {})}
        told = self._calls.write(_model(name), body, method="PATCH", repeat=new_name is None)
        return codec.registered_model_in(told)

    def delete_model(self, name: str) -> None:
        """See `RegistryStore.delete_model`."""
        self._calls.write(_model(name), {}, method="DELETE", repeat=False)

    @understood
    def latest_versions(self, name: str, stages: Sequence[Stage] = ()) -> Sequence[ModelVersion]:
        """See `RegistryStore.latest_versions`."""
        wanted = ",".join(stage.value for stage in stages) or None
        told = self._calls.get(f"{_model(name)}/latest", stages=wanted)
        return [codec.version_in(each) for each in told["versions"]]

    # -- aliases -------------------------------------------------------------------------------------

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `RegistryStore.set_alias`."""
        names.check_name(name)
        names.check_alias(alias)
        _check_number(name, version)
        self._calls.write(f"{_model(name)}/aliases/{part(alias)}", {"version": version}, method="PUT")

    def delete_alias(self, name: str, alias: str) -> None:
        """See `RegistryStore.delete_alias`."""
        limits.check_text(alias, "alias", names.ALIAS_LENGTH)
        if not names.is_alias(alias):  # there is none, and a path cannot name it
            self.get_model(name)
            return
        self._calls.write(f"{_model(name)}/aliases/{part(alias)}", {}, method="DELETE")

    @understood
    def find_alias(self, name: str, alias: str) -> ModelVersion:
        """See `RegistryStore.find_alias`."""
        limits.check_text(alias, "alias", names.ALIAS_LENGTH)
        if not names.is_alias(alias):
            self.get_model(name)
            raise InvalidValue(f"Registered model alias {alias} not found.")
        return codec.version_in(self._calls.get(f"{_model(name)}/aliases/{part(alias)}"))

    # -- versions ------------------------------------------------------------------------------------

    @understood
    def create_version(self, new: NewVersion) -> ModelVersion:
        """See `RegistryStore.create_version`."""
        names.check_new_version(new)
        body = codec.new_version_out(new)
        return codec.version_in(self._calls.write(f"{_model(new.name)}/versions", body, repeat=False))

    @understood
    def get_version(self, name: str, version: int) -> ModelVersion:
        """See `RegistryStore.get_version`."""
        return codec.version_in(self._calls.get(_version(name, version)))

    @understood
    def update_version(
        self,
        name: str,
        version: int,
        *,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> ModelVersion:
        """See `RegistryStore.update_version`."""
        names.check_description(description)
        names.check_tags(tags or {})
        body = {"description": description, "tags": dict(tags or {})}
        return codec.version_in(self._calls.write(_version(name, version), body, method="PATCH"))

    @understood
    def set_stage(self, name: str, version: int, stage: Stage, *, archive_existing: bool = False) -> ModelVersion:
        """See `RegistryStore.set_stage`."""
        body = {"stage": stage, "archive_existing": archive_existing}
        return codec.version_in(self._calls.write(f"{_version(name, version)}/stage", body))

    def delete_version(self, name: str, version: int) -> None:
        """See `RegistryStore.delete_version`."""
        self._calls.write(_version(name, version), {}, method="DELETE", repeat=False)

    @understood
    def search_versions(self, query: SearchQuery) -> Page[ModelVersion]:
        """See `RegistryStore.search_versions`."""
        return page_in(self._calls.look("/model-versions/search", _search(query)), "versions", codec.version_in)

    @understood
    def needed_by(self, holder: str) -> str | None:
        """See `RegistryStore.needed_by`."""
        needed = self._calls.get("/model-versions/needed", holder=holder)["needed_by"]
        return None if needed is None else str(needed)

    def close(self) -> None:
        """Leave the client to who made it."""


def _model(name: str) -> str:
    names.check_name(name)
    return f"/registered-models/{part(name)}"


def _version(name: str, version: int) -> str:
    path = _model(name)
    _check_number(name, version)
    return f"{path}/versions/{version}"


def _check_number(name: str, version: int) -> None:
    """Check that a number can be that of a version.

    Raises:
        NotFound: It cannot.
    """
    if version not in _NUMBERS:
        raise NotFound(f"Model Version (name={name}, version={version}) not found")


def _search(query: SearchQuery) -> Json:
    """Return a search; what the registry has no use for is left out."""
    body = asdict(query)
    return {name: body[name] for name in ("filter", "order_by", "limit", "page_token")}
