"""Registered models on the command line: how they are named, opened and printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from toolkit.cli.render import moment
from toolkit.cli.store import opened
from toolkit.errors import InvalidValue
from toolkit.recording.context import user_name
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog
from toolkit.registry.history import Author
from toolkit.registry.names import ModelUri
from toolkit.registry.records import ModelVersion, RegisteredModel
from toolkit.registry.sources import version_of
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.settings import load
from toolkit.wiring.opened import open_stores
from toolkit.wiring.registry import open_catalog


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What a command works with.

    Attributes:
        stores: Where runs are.
        catalog: Where models are; what is changed is written down with who runs the command, and why.
    """

    stores: Stores
    catalog: Catalog

    @property
    def registry(self) -> RegistryStore:
        """The registered models."""
        return self.catalog.registered

    @property
    def promotions(self) -> PromotionStore:
        """What guards their moves."""
        return self.catalog.promotions

    def version(self, text: str) -> ModelVersion:
        """Return the version that a text names: ``wine/3``, ``wine@champion``, ``wine/latest``, ``wine/Production``.

        Raises:
            InvalidValue: It names none.
            NotFound: There is none.
        """
        return version_of(self.registry, named(text))


@contextmanager
def registry(*, reason: str | None = None) -> Iterator[Opened]:
    """Open the stores and the models for a block.

    Args:
        reason: Why something is changed, as it is written down.
    """
    settings = load()
    with opened() as stores:
        catalog, elsewhere = open_catalog(stores), None
        if settings.registry_uri not in (None, stores.tracking_uri):
            elsewhere = open_stores(settings.model_copy(update={"tracking_uri": settings.registry_uri}))
        try:
            there = catalog if elsewhere is None else open_catalog(elsewhere)
            acting = there.acting(Author(user=user_name(), reason=reason))
            yield Opened(stores=stores, catalog=replace(acting, logged=catalog.logged))
        finally:
            if elsewhere is not None:
                elsewhere.close()


def named(text: str) -> ModelUri:
    """Return what a text names: ``wine/3``, ``wine@champion``; ``models:/`` may stand in front.

    Raises:
        InvalidValue: It names no version.
    """
    uri = text if text.startswith("models:") else f"models:/{text}"
    try:
        found = ModelUri.read(uri)
    except InvalidValue:
        found = ModelUri()
    if found.name is None:
        raise InvalidValue(f"{text!r} names no version: wanted such as wine/3, wine@champion or wine/Production")
    return found


def is_version(text: str) -> bool:
    """Tell whether a text names a version, and not a registered model: the latter's name has no ``/``."""
    return "/" in text or "@" in text


def versions_table(versions: Sequence[ModelVersion]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows of a table of versions."""
    rows: list[tuple[str, ...]] = [
        (
            f"{each.name}/{each.version}",
            "" if each.stage.value == "None" else each.stage.value,
            " ".join(f"@{alias}" for alias in each.aliases),
            each.run_id or "",
            moment(each.creation_time),
            each.source,
        )
        for each in versions
    ]
    return ("version", "stage", "aliases", "run", "created", "source"), rows


def version_json(version: ModelVersion) -> dict[str, object]:
    """Return a version as it is printed."""
    return {
        "name": version.name,
        "version": version.version,
        "stage": version.stage.value,
        "aliases": list(version.aliases),
        "status": version.status.value,
        "status_message": version.status_message,
        "source": version.source,
        "location": version.location,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "model_id": version.model_id,
        "user_id": version.user_id,
        "description": version.description,
        "created": moment(version.creation_time),
        "updated": moment(version.last_update_time),
        "tags": dict(version.tags),
    }


def model_json(model: RegisteredModel) -> dict[str, object]:
    """Return a registered model as it is printed."""
    return {
        "name": model.name,
        "description": model.description,
        "created": moment(model.creation_time),
        "updated": moment(model.last_update_time),
        "tags": dict(model.tags),
        "aliases": dict(model.aliases),
        "latest_versions": [version_json(each) for each in model.latest_versions],
    }


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return what ``KEY=VALUE`` texts say.

    Raises:
        InvalidValue: One has no ``=``.
    """
    for text in texts:
        if "=" not in text:
            raise InvalidValue(f"{option} {text!r} has no '=': wanted KEY=VALUE")
    return dict(text.split("=", 1) for text in texts)
