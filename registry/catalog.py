"""The models of a store, together: those that runs logged, and those that were registered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.errors import StoreError
from toolkit.recording.context import user_name
from toolkit.recording.flushed import after_journal
from toolkit.recording.stores import Stores
from toolkit.registry.history import Author
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.tracking.logged_models import LoggedModelStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """Where models are recorded.

    Attributes:
        logged: Models that runs logged.
        registered: Registered models and their versions.
        promotions: What guards the moves of these, and what was done to them.
    """

    logged: LoggedModelStore
    registered: RegistryStore
    promotions: PromotionStore

    def acting(self, author: Author) -> Catalog:
        """Return the same models, for changes that somebody makes, for a reason."""
        return replace(self, registered=self.registered.acting(author), promotions=self.promotions.acting(author))


def catalog_of(stores: Stores, *, pickles: bool = True) -> Catalog:
    """Return the models of stores: those of a server, or those in the database that this process has open.

    What this process has logged through the journal is there before the models are read or changed. Changes are made
    by who runs this process, unless somebody else is said to (`Catalog.acting`).

    Args:
        stores: Where runs and artifacts are.
        pickles: Whether gates may load what runs code, if the store has recorded its digest: where models are one's
            own, and nobody waits. A server says no.

    Raises:
        StoreError: The stores are neither a server's nor in a database.
    """
    if stores.server is not None:
        from toolkit.registry.http import HttpRegistryStore  # noqa: PLC0415 - where there is a server
        from toolkit.registry.http_promotions import HttpPromotionStore  # noqa: PLC0415 - the same
        from toolkit.tracking.http_logged_models import HttpLoggedModelStore  # noqa: PLC0415 - the same

        catalog = Catalog(
            logged=HttpLoggedModelStore(stores.server),
            registered=HttpRegistryStore(stores.server),
            promotions=HttpPromotionStore(stores.server),
        )
    elif stores.database is not None:
        from toolkit.registry.file_checks import LONGEST, LONGEST_SERVED, FileChecks  # noqa: PLC0415 - the same
        from toolkit.registry.sql import SqlRegistryStore  # noqa: PLC0415 - SQLAlchemy, where there is a database
        from toolkit.registry.sql_promotions import SqlPromotionStore  # noqa: PLC0415 - the same
        from toolkit.tracking.sql_logged_models import SqlLoggedModelStore  # noqa: PLC0415 - the same

        catalog = Catalog(
            logged=SqlLoggedModelStore(stores.database),
            registered=SqlRegistryStore(stores.database),
            promotions=SqlPromotionStore(stores.database),
        )
        checks = FileChecks(stores, catalog, pickles=pickles, longest=LONGEST if pickles else LONGEST_SERVED)
        catalog = replace(
            catalog,
            registered=SqlRegistryStore(stores.database, checks=checks),
            promotions=SqlPromotionStore(stores.database, checks=checks),
        )
    else:
        raise StoreError(f"the models of {stores.place} are kept in no database, and by no server")
    catalog = catalog.acting(Author(user=user_name()))
    if stores.journal is None:
        return catalog
    return replace(catalog, logged=after_journal(catalog.logged, stores.journal))
