"""What a client is connected to: the stores of this process, or those at a URI of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from toolkit.errors import NotYetSupported
from toolkit.recording import current
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog, catalog_of
from toolkit.settings import load
from toolkit.tracking.records import Page
from toolkit.tracking.store import RunStore

T = TypeVar("T")


class PagedList(list[T]):
    """A page of a list; ``token`` gives the next one, and is ``None`` on the last."""

    def __init__(self, items: list[T], token: str | None = None) -> None:
        super().__init__(items)
        self.token = token


class Connected:
    """Something that works on stores.

    Args:
        tracking_uri: Where they are; default: where this process logs.
        registry_uri: Where models are registered; default: the same.
        workspace_store_uri: MLflow's argument for its workspaces; it must be left out.

    Raises:
        NotYetSupported: ``workspace_store_uri`` was given.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        registry_uri: str | None = None,
        workspace_store_uri: str | None = None,
    ) -> None:
        if workspace_store_uri is not None:
            raise NotYetSupported("workspace_store_uri names a store of MLflow's workspaces: leave it out")
        self._uri = str(tracking_uri) if tracking_uri else None
        self._registry_uri = registry_uri

    @property
    def tracking_uri(self) -> str:
        """Where its stores are."""
        return self._uri or load().database_url

    @property
    def _stores(self) -> Stores:
        return current.stores() if self._uri is None else current.stores_at(self._uri)

    @property
    def _runs(self) -> RunStore:
        return self._stores.runs

    @property
    def _catalog(self) -> Catalog:
        """The models of the stores; registered ones are where the registry's URI says, if that is elsewhere."""
        catalog = catalog_of(self._stores)
        uri = self._registry_uri or (load().registry_uri if self._uri is None else None)
        if uri is None or uri == self._stores.tracking_uri:
            return catalog
        return replace(catalog_of(current.stores_at(uri)), logged=catalog.logged)

    def _recorded(self, run_id: str) -> RecordedRun:
        """Return a run to write to, straight to the store."""
        return RecordedRun(self._stores, self._runs.get_run(run_id), strict=True)


def whole(read: Callable[[int, str | None], Page[T]], most: int | None, page: int) -> list[T]:
    """Return the items of all pages of a list.

    Args:
        read: Reads a page of a size, from a token on.
        most: So many items at most; ``None``: all.
        page: The size of a page.
    """
    items: list[T] = []
    token: str | None = None
    while True:
        size = page if most is None else min(page, most - len(items))
        if size < 1:
            return items
        found = read(size, token)
        items += found.items
        token = found.next_page_token
        if token is None:
            return items
