"""Models and what they come from: their catalog, lineage, datasets and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import StoreError
from toolkit.recording.stores import Stores
from toolkit.registry.lineage import DEEPEST, Direction, Key, Lineage

if TYPE_CHECKING:
    from toolkit.registry.catalog import Catalog
    from toolkit.tracking.records import ArtifactEntry, DatasetInput, UsedDataset


def open_catalog(stores: Stores, *, pickles: bool = True) -> Catalog:
    """Return the models of stores: those that runs logged, and those that were registered.

    Args:
        stores: Where runs and artifacts are.
        pickles: Whether gates may load what runs code, if the store has recorded its digest: on a server, anybody's.

    Raises:
        StoreError: The stores are neither a server's nor in a database of this process's.
    """
    from toolkit.registry.catalog import catalog_of  # noqa: PLC0415 - when models are wanted

    return catalog_of(stores, pickles=pickles)


def lineage_of(stores: Stores, start: Key, direction: Direction, *, depth: int = DEEPEST) -> Lineage:
    """Return what a thing comes from and what became of it.

    Raises:
        InvalidValue: The depth is out of its bounds.
        NotFound: There is no such thing.
        StoreError: The stores are neither a server's nor in a database of this process's, or cannot be used.
    """
    if stores.server is not None:
        from toolkit.registry import http_lineage  # noqa: PLC0415 - where there is a server

        return http_lineage.read_lineage(stores.server, start, direction, depth=depth)
    from toolkit.registry.sql_lineage import read_lineage  # noqa: PLC0415 - SQLAlchemy

    if stores.database is None:
        raise StoreError(f"the lineage of {stores.place} is kept in no database, and by no server")
    return read_lineage(stores.database, start, direction, depth=depth)


def file_digests_of(path: Path) -> list[str]:
    """Return the digests that runs may have recorded a file or a folder by.

    The first is that of steps which were given it, of all of its content; the second that of `log_input`, which reads
    the beginning of what is large.

    Raises:
        ProjectError: It cannot be read.
    """
    from toolkit.data.places import from_path  # noqa: PLC0415 - when it is wanted
    from toolkit.flows.code_state import Digests  # noqa: PLC0415 - the same
    from toolkit.flows.input_record import data_digest  # noqa: PLC0415 - the same

    return [data_digest(Digests().of_path(path)), from_path(path).digest]


def datasets_of(stores: Stores, experiment_ids: Sequence[str], *, limit: int) -> Sequence[UsedDataset]:
    """Return the datasets that runs of some experiments use, and what for. Experiments that there are not use none.

    Raises:
        StoreError: The stores are no database of this process's, or it cannot be used.
    """
    from toolkit.tracking import sql_experiments, sql_inputs  # noqa: PLC0415 - when datasets are wanted

    if stores.database is None:
        raise StoreError(f"the datasets of {stores.place} are reached through its REST API only")
    database = stores.database
    numbers = [number for each in experiment_ids if (number := sql_experiments.number_of(each)) is not None]

    def read() -> Sequence[UsedDataset]:
        with database.read() as connection:
            return sql_inputs.used(connection, numbers, limit)

    return database.persist(read)


def inputs_of(stores: Stores, run_ids: Sequence[str]) -> Mapping[str, Sequence[DatasetInput]]:
    """Return the datasets that each of these runs uses; who uses none is left out.

    Raises:
        StoreError: The stores are no database of this process's, or it cannot be used.
    """
    from toolkit.tracking import sql_inputs  # noqa: PLC0415 - when datasets are wanted

    if stores.database is None:
        raise StoreError(f"the datasets of {stores.place} are reached through its REST API only")
    database = stores.database

    def read() -> Mapping[str, Sequence[DatasetInput]]:
        with database.read() as connection:
            return sql_inputs.of_runs(connection, run_ids, database.dialect)

    return database.persist(read)


def files_of(
    stores: Stores, run_ids: Sequence[str], *, ends: Sequence[str], limit: int
) -> Mapping[str, Sequence[ArtifactEntry]]:
    """Return the files of each of these runs whose names end so, by path; who has none is left out.

    Args:
        stores: Where runs are.
        run_ids: The runs.
        ends: Ends of names, in lower case.
        limit: How many files are returned of all of them together.

    Raises:
        StoreError: The stores are no database of this process's, or it cannot be used.
    """
    from toolkit.tracking import sql_artifacts  # noqa: PLC0415 - when files are wanted

    if stores.database is None:
        raise StoreError(f"the files of {stores.place} are reached through its API only")
    database = stores.database

    def read() -> Mapping[str, Sequence[ArtifactEntry]]:
        with database.read() as connection:
            return sql_artifacts.ending(connection, run_ids, ends, limit, database.dialect)

    return database.persist(read)
