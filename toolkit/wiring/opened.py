"""What the settings name, opened: a database, stores with a journal before them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InvalidSetting, JournalError, StoreError
from toolkit.recording.stores import Stores
from toolkit.settings import Settings
from toolkit.transport.address import Access, is_server

if TYPE_CHECKING:
    from toolkit.artifacts.location import StoreOptions
    from toolkit.artifacts.store import ArtifactStore
    from toolkit.db.engine import Database
    from toolkit.tracking.journal import Journal


def settings_database(settings: Settings, *, by: str = "TOOLKIT_TRACKING_URI or MLFLOW_TRACKING_URI") -> Database:
    """Open the database that the settings name. Nothing is put into it.

    Args:
        settings: Name it.
        by: What named it, for messages.

    Raises:
        InvalidSetting: Its URL cannot be used.
        StoreError: The folder of an SQLite file cannot be made.
    """
    from toolkit.db.engine import open_database  # noqa: PLC0415 - SQLAlchemy

    if is_server(settings.database_url):
        raise InvalidSetting(
            "TOOLKIT_TRACKING_URI or MLFLOW_TRACKING_URI names a server: this looks after a database, "
            "so run it where the server is, with --url or the database's URL"
        )
    try:
        return open_database(settings.database_url, wait=settings.busy_timeout, durability=settings.durability)
    except InvalidSetting as error:
        raise InvalidSetting(f"{by}: {error}") from None


def open_stores(settings: Settings) -> Stores:
    """Open the stores that the settings name, making them where there are none.

    Raises:
        InvalidSetting: A URI cannot be used.
        StoreError: A store cannot be opened.
    """
    from toolkit.artifacts.location import Elsewhere, open_artifact_store  # noqa: PLC0415 - when a store is used

    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSetting(
            f"TOOLKIT_HOME is {settings.home}, which is no folder and cannot be made one ({error.strerror})"
        ) from None
    if is_server(settings.database_url):
        return _server_stores(settings)
    from toolkit.tracking.sql import SqlRunStore  # noqa: PLC0415 - SQLAlchemy

    options = _store_options(settings)
    artifacts = open_artifact_store(settings.artifact_uri, options)
    database = settings_database(settings)
    try:
        runs = SqlRunStore(database, artifacts.root)
    except BaseException:
        database.close()
        raise
    return Stores(
        runs=runs,
        artifacts=artifacts,
        tracking_uri=settings.database_url,
        place=f"sqlite:///{database.file.absolute()}" if database.file else database.place,
        artifact_root=artifacts.root,
        elsewhere=Elsewhere(options),
        artifact_workers=settings.artifact_workers,
        artifact_variables=settings.artifact_variables,
        home=settings.home,
        lease_ms=settings.lease_ms,
        database=database,
        release=database.close,
    )


def _server_stores(settings: Settings) -> Stores:
    """Open the stores of the server that the settings name.

    Raises:
        InvalidSetting: Its URL, or a file of certificates, cannot be used.
        StoreError: It does not answer, or is another program.
    """
    from toolkit.artifacts.location import Elsewhere, open_artifact_store  # noqa: PLC0415 - when a store is used
    from toolkit.artifacts.proxy import ROOT, ProxyArtifactStore  # noqa: PLC0415 - the same
    from toolkit.recording.served import meet  # noqa: PLC0415 - the same
    from toolkit.tracking.http import HttpRunStore  # noqa: PLC0415 - the same
    from toolkit.transport.client import HttpClient  # noqa: PLC0415 - the same

    access = Access(
        username=settings.tracking_username,
        password=settings.tracking_password,
        token=settings.tracking_token,
        verify=not settings.tracking_insecure_tls,
        ca_file=settings.tracking_server_cert_path,
        client_cert=settings.tracking_client_cert_path,
        timeout=settings.http_timeout,
        wait=settings.busy_timeout,
    )
    try:
        client = HttpClient(settings.database_url, access)
    except InvalidSetting as error:
        raise InvalidSetting(f"TOOLKIT_TRACKING_URI or MLFLOW_TRACKING_URI: {error}") from None
    try:
        about = meet(client)
    except StoreError:
        client.close()
        raise
    named = settings.artifact_root
    if named is None or named.startswith(ROOT):  # a step of ours is told so
        named = about.artifact_root
    options = _store_options(settings)
    proxy = HttpClient(settings.database_url, replace(access, timeout=settings.artifact_timeout))
    artifacts = ProxyArtifactStore(proxy) if named is None else open_artifact_store(named, options)
    return Stores(
        runs=HttpRunStore(client),
        artifacts=artifacts,
        tracking_uri=settings.database_url,
        place=client.place,
        artifact_root=artifacts.root,
        elsewhere=Elsewhere(options),
        artifact_workers=settings.artifact_workers,
        artifact_variables=settings.artifact_variables,
        home=settings.home,
        lease_ms=settings.lease_ms,
        server=client,
        release=proxy.close,
    )


def open_hasty(stores: Stores) -> Stores | None:
    """Open the runs of stores for who must not wait for a lock (`toolkit.db.engine.Database.hasty`).

    Returns:
        The same stores, not to be closed: they go with those given; ``None`` where every write waits.

    Raises:
        StoreError: The store cannot be opened.
    """
    from toolkit.tracking.sql import SqlRunStore  # noqa: PLC0415 - SQLAlchemy

    database = None if stores.database is None else stores.database.hasty()
    if database is None:
        return None
    return replace(stores, runs=SqlRunStore(database, stores.artifact_root), database=database)


def _store_options(settings: Settings) -> StoreOptions:
    """Return how artifact stores are reached."""
    from toolkit.artifacts.location import StoreOptions  # noqa: PLC0415 - when a store is used
    from toolkit.artifacts.s3_options import S3Options  # noqa: PLC0415 - the same

    return StoreOptions(
        s3=S3Options(
            endpoint_url=settings.s3_endpoint_url,
            verify=not settings.s3_ignore_tls,
            addressing_style=settings.s3_addressing_style,
            expected_bucket_owner=settings.s3_expected_bucket_owner,
            upload_arguments=settings.s3_upload_extra_args,
            timeout=settings.artifact_timeout,
        )
    )


def journaled(stores: Stores, settings: Settings) -> Stores:
    """Return stores that log verbs write to by way of the journal, unless the settings are strict."""
    from toolkit.recording.flushed import FLUSH_TIMEOUT, flushed  # noqa: PLC0415 - when a script logs
    from toolkit.recording.spool import Spool  # noqa: PLC0415 - the same
    from toolkit.tracking.journal import Journal  # noqa: PLC0415 - the same

    if settings.strict:
        return stores
    journal = Journal(settings.journal_root, stores.runs, place=stores.place, limit=settings.journal_limit)
    stores = replace(stores, artifacts=_after(journal, stores.artifacts))
    written = flushed(stores.runs, journal, patience=0.0)  # a file is listed after its run has begun, or tried again
    expected = partial(_is_expected, settings.journal_root, stores.place, journal)
    spool = Spool(settings.spool_root, stores.artifacts, written, place=stores.place, expected=expected)
    runs = flushed(stores.runs, journal, before_listing=partial(spool.flush, FLUSH_TIMEOUT))
    return replace(stores, runs=runs, journal=journal, spool=spool, exit_wait=settings.exit_wait)


def _is_expected(root: Path, place: str, own: Journal | None = None) -> bool:
    """Tell whether a run that is not in a store may still come, by the journal of another process."""
    from toolkit.tracking.journal import journal_folders  # noqa: PLC0415 - rare
    from toolkit.tracking.journal_file import read_about  # noqa: PLC0415 - the same

    for folder in journal_folders(root):
        with contextlib.suppress(JournalError):
            if read_about(folder) == place and (own is None or folder != own.folder):
                return True
    return False


def _after(journal: Journal, artifacts: ArtifactStore) -> ArtifactStore:
    """Return a store that files of a run go to after the run has begun: a server refuses those of unknown runs."""
    from toolkit.artifacts.proxy import ProxyArtifactStore  # noqa: PLC0415 - when a script logs
    from toolkit.recording.flushed import FLUSH_TIMEOUT  # noqa: PLC0415 - the same

    if not isinstance(artifacts, ProxyArtifactStore):
        return artifacts
    return artifacts.after(partial(journal.flush, FLUSH_TIMEOUT))
