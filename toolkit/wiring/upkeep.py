"""What keeps stores whole: entries that were left are sent, lost runs are ended, garbage is collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from toolkit.errors import StoreError
from toolkit.recording.lease import sweep_lost
from toolkit.recording.stores import Stores
from toolkit.settings import Settings
from toolkit.wiring.opened import _is_expected
from toolkit.wiring.registry import open_catalog
from toolkit.wiring.services import local_services

if TYPE_CHECKING:
    from toolkit.tracking.records import Run
    from toolkit.upkeep.garbage import Collection, Found


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What was sent of what earlier processes had left.

    Attributes:
        entries: Entries of journals.
        files: Files of spools.
        refused: How many of them the stores refuse for good.
    """

    entries: int = 0
    files: int = 0
    refused: int = 0


def send_leftovers(stores: Stores, settings: Settings) -> Sent:
    """Send what processes that are gone have logged and could not send to these stores.

    Raises:
        StoreError: The store cannot take it now; what was not sent is kept.
        ArtifactError: The same for files.
    """
    from toolkit.recording.spool_folder import SpoolLeftovers  # noqa: PLC0415 - rare
    from toolkit.tracking.journal import Leftovers  # noqa: PLC0415 - the same

    left = Leftovers(settings.journal_root, stores.runs, stores.place)
    try:
        while left.step():
            pass
    finally:
        left.close()
    expected = partial(_is_expected, settings.journal_root, stores.place)
    files = SpoolLeftovers(settings.spool_root, stores.artifacts, stores.runs, stores.place, expected=expected)
    files.send_all()
    return Sent(entries=left.sent, files=files.sent, refused=left.rejected + files.refused)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsent:
    """What waits on this machine to be sent.

    Attributes:
        in_use: How many running processes send their own.
        entries: Stores that entries of processes which are gone wait for.
        files: How many files of processes which are gone wait, by store and artifact root.
    """

    in_use: int
    entries: Sequence[str]
    files: Mapping[tuple[str, str], int]


def unsent(settings: Settings) -> Unsent:
    """Return what waits to be sent, whosever it is and wherever it goes."""
    from toolkit.recording.spool_folder import spool_states  # noqa: PLC0415 - rare
    from toolkit.tracking.journal import journal_states  # noqa: PLC0415 - the same

    journals = journal_states(settings.journal_root)
    spools = spool_states(settings.spool_root)
    used = {journal.folder.name for journal in journals if journal.in_use}
    used |= {spool.folder.name for spool in spools if spool.in_use}
    files = Counter((item.place, item.root) for spool in spools if not spool.in_use for item in spool.items)
    return Unsent(
        in_use=len({name.partition("-")[0] for name in used}),  # a process has one of each
        entries=sorted({journal.place for journal in journals if not journal.in_use}),
        files=dict(files),
    )


def sweep(stores: Stores, settings: Settings) -> list[Run]:
    """Mark the runs whose process died without a word, in our store and in Prefect's."""
    lost = sweep_lost(stores.runs, grace=min(settings.grace, 2.0))
    flow_runs = [run.data.tags["prefect.flow_run_id"] for run in lost if "prefect.flow_run_id" in run.data.tags]
    if flow_runs:
        from toolkit.flows.lost import mark_crashed  # noqa: PLC0415 - rare

        for service in local_services(settings).status():
            if service.name == "prefect" and service.state in ("running", "external") and service.url:
                mark_crashed(f"{service.url.rstrip('/').removesuffix('/api')}/api", flow_runs)
    return lost


def collect_garbage(stores: Stores, wanted: Collection, report: Callable[[str], None]) -> Found:
    """Find, and remove if that is wanted, what was deleted and what nobody needs.

    Here is the one place that says what else needs the files of runs and of logged models: the registry, and runs that
    took over what others have left.
    """
    from toolkit.upkeep.collector import Collector  # noqa: PLC0415 - when it is wanted
    from toolkit.upkeep.takers import needed_by_takers  # noqa: PLC0415 - the same

    if stores.database is None:
        raise StoreError(
            f"garbage of {stores.place} is collected where its database is: there, run toolkit gc with "
            "TOOLKIT_TRACKING_URI naming the database"
        )
    catalog = open_catalog(stores)
    return Collector(
        stores,
        wanted,
        needed=needed_by_takers(stores.runs, catalog.registered.needed_by),
        models=catalog.logged,
        report=report,
    ).collect()
