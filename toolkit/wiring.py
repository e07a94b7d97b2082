"""The one composition root: settings become stores, services and runs. What is below takes them as arguments."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from toolkit.errors import InvalidSetting, InvalidValue, JournalError, ProjectError, StoreError
from toolkit.recording import current
from toolkit.recording.lease import Leases, sweep_lost
from toolkit.recording.stores import Stores
from toolkit.registry.lineage import DEEPEST, Direction, Key, Lineage
from toolkit.settings import Settings, environment, load, set_default_variables
from toolkit.transport.address import Access, has_password, is_server

if TYPE_CHECKING:
    from toolkit.artifacts.location import StoreOptions
    from toolkit.artifacts.store import ArtifactStore
    from toolkit.db.engine import Database
    from toolkit.deployments.bento import BuiltBento
    from toolkit.deployments.config import ServiceConfig
    from toolkit.deployments.records import Deployment as ServedDeployment
    from toolkit.deployments.release import Releases
    from toolkit.deployments.store import DeploymentStore
    from toolkit.deployments.supervised import DoorRecord
    from toolkit.flows.comparison import Tolerance
    from toolkit.flows.deployed import Code, Deployed
    from toolkit.flows.deployed_flow import JoinedProgram
    from toolkit.flows.deployments import Deployment, Deployments, Wanted
    from toolkit.flows.elsewhere import Elsewhere, Ticket
    from toolkit.flows.environments.recorded import RecordedEnvironments
    from toolkit.flows.launch import Program
    from toolkit.flows.plan import Plan
    from toolkit.flows.report import Reporter, RunOutcome
    from toolkit.flows.reproduced import Reproduced
    from toolkit.flows.reproduction import Reproduction
    from toolkit.flows.services import Served, Services
    from toolkit.flows.source import Fetching, Source
    from toolkit.flows.step_cache import CacheOptions
    from toolkit.registry.catalog import Catalog
    from toolkit.registry.courier import Courier
    from toolkit.registry.events import Event, EventQuery
    from toolkit.registry.records import ModelVersion
    from toolkit.spec.expression import StepResult
    from toolkit.tracking.journal import Journal
    from toolkit.tracking.records import DatasetInput, Experiment, Run, UsedDataset
    from toolkit.transport.outward import Targets
    from toolkit.upkeep.garbage import Collection, Found


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


def events_of(stores: Stores, query: EventQuery) -> Sequence[Event]:
    """Return what was done to the registry, as others are told of it, the oldest first.

    Raises:
        InvalidValue: No model can have this name.
        StoreError: The stores are neither a server's nor in a database of this process's, or cannot be used.
    """
    if stores.server is not None:
        from toolkit.registry import http_events  # noqa: PLC0415 - where there is a server

        return http_events.read_events(stores.server, query)
    from toolkit.registry.sql_events import read_events  # noqa: PLC0415 - SQLAlchemy

    if stores.database is None:
        raise StoreError(f"the events of {stores.place} are kept in no database, and by no server")
    return read_events(stores.database, query)


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


def webhook_targets(settings: Settings) -> Targets:
    """Return what webhooks may call.

    Raises:
        InvalidSetting: A network cannot be read.
    """
    from toolkit.transport.outward import Targets  # noqa: PLC0415 - when it is wanted

    return Targets.read(settings.webhook_private_targets, plain=settings.webhook_plain_http)


def open_courier(database: Database, settings: Settings, report: Callable[[str], None]) -> Courier:
    """Return what tells others of changes of the registry in a database.

    Args:
        database: Where the registry is.
        settings: Say what may be called.
        report: Takes lines of progress, such as of Prefect's server that starts.

    Raises:
        InvalidSetting: What may be called cannot be read.
        StoreError: The database cannot be used.
    """
    from toolkit.registry.courier import Courier  # noqa: PLC0415 - when it is wanted
    from toolkit.registry.sql_webhooks import SqlWebhookStore  # noqa: PLC0415 - SQLAlchemy
    from toolkit.transport.outward import post  # noqa: PLC0415 - as the courier

    def trigger(name: str, parameters: Mapping[str, str], key: str) -> str:
        with open_deployments(report) as deployments:
            return deployments.trigger(deployments.find(name), parameters, key=key).name

    sending = partial(post, targets=webhook_targets(settings), timeout=settings.webhook_timeout)
    return Courier(SqlWebhookStore(database), sending, trigger)


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


def _journaled(stores: Stores, settings: Settings) -> Stores:
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


def prepare_prefect(settings: Settings | None = None) -> None:
    """Set what Prefect reads when it is imported: call this before that.

    Its telemetry is off unless the user has said otherwise, and its home is below ours unless the user has named a
    server, and with it a home of their own.

    Args:
        settings: The settings that hold; default: those of the working directory.
    """
    from toolkit.flows.prefect_profile import named_server  # noqa: PLC0415 - for what uses Prefect

    set_default_variables(DO_NOT_TRACK="1")
    if named_server(environment(), Path.cwd()) is None:
        home = (settings or load()).home / "prefect"
        with contextlib.suppress(OSError):  # Prefect makes its own home, but not the one around it
            home.mkdir(parents=True, exist_ok=True)
        set_default_variables(PREFECT_HOME=str(home))


class _BySettings:
    """What the settings name, opened when it is needed."""

    def open_stores(self, tracking_uri: str | None = None) -> Stores:
        """Open the stores that the settings name, or those at another tracking URI."""
        settings = load()
        if tracking_uri:
            settings = settings.model_copy(update={"tracking_uri": tracking_uri})
        return _journaled(open_stores(settings), settings)

    def prefect_api_url(self) -> str:
        """Return the API address of a Prefect server that answers."""
        return local_services(load()).ensure_prefect(lambda _: None).api_url


def connect() -> None:
    """Let the verbs of `toolkit` open what the settings name, when they are first used."""
    current.connect(_BySettings())


def local_services(settings: Settings) -> Services:
    """Return the services of this machine: Prefect's server, and the tracking server."""
    from toolkit.flows.services import Services  # noqa: PLC0415 - when services are wanted

    return Services(settings.home, environ=environment(), directory=Path.cwd())


def kept_deployments(settings: Settings) -> Sequence[DoorRecord]:
    """Return where the deployments on this machine are to answer, as long as their supervisor runs."""
    from toolkit.deployments import supervised  # noqa: PLC0415 - when services are wanted

    return supervised.read(settings.home).doors


def follows_aliases(settings: Settings) -> bool:
    """Tell whether a deployment was told on this machine to follow an alias."""
    from toolkit.deployments import following  # noqa: PLC0415 - when services are wanted

    return bool(following.read(settings.home / "deployments"))


def served(settings: Settings) -> Served | None:
    """Return what the local tracking server serves; ``None`` where the settings name a server.

    Raises:
        InvalidSetting: A URI cannot be used.
    """
    from toolkit.flows.services import TRACKING, Served  # noqa: PLC0415 - when services are wanted

    if named_tracking(settings) is not None:
        return None
    database = settings_database(settings)
    database.close()
    url = f"sqlite:///{database.file.absolute()}" if database.file else settings.database_url
    place = url if database.file else database.place
    name = TRACKING
    if settings.tracking_uri or settings.artifact_root:
        stores = f"{place} {settings.artifact_uri}".encode()
        name = f"{TRACKING}-{hashlib.sha256(stores).hexdigest()[:6]}"
    variables = {
        "TOOLKIT_HOME": str(settings.home),
        "TOOLKIT_BACKEND_STORE_URI": url,
        "TOOLKIT_ARTIFACTS_DESTINATION": settings.artifact_uri,
        "TOOLKIT_LEASE": f"{settings.lease:g}",
        "TOOLKIT_GRACE": f"{settings.grace:g}",
        "TOOLKIT_BUSY_TIMEOUT": f"{settings.busy_timeout:g}",
        "TOOLKIT_DURABILITY": settings.durability,
        "TOOLKIT_ALLOWED_HOSTS": settings.allowed_hosts or "host.docker.internal",  # what containers call this machine
        **settings.artifact_variables,
    }
    return Served(name=name, place=place, variables=variables)


def named_tracking(settings: Settings) -> str | None:
    """Return the server that the settings name, without credentials; ``None`` where they name none."""
    from toolkit.transport.address import Access, is_server, read_address  # noqa: PLC0415 - when services are wanted

    return read_address(settings.database_url, Access()).place if is_server(settings.database_url) else None


def tracking_address(settings: Settings, report: Callable[[str], None], start: bool = True) -> str | None:
    """Return the address of a server that speaks MLflow's API for the stores that the settings name.

    Args:
        settings: The settings.
        report: Takes lines of progress.
        start: Whether to start one; else ``None`` is returned where none runs.

    Raises:
        ServiceError: It does not start.
    """
    stores = served(settings)
    if stores is None:
        return settings.database_url
    services = local_services(settings)
    if start:
        return services.ensure_tracking(stores, report).url
    running = services.running_tracking(stores)
    return None if running is None else running.url


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


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """What `run_project` is to do.

    Attributes:
        uri: The project: a directory, a Git repository or a zip file, and ``#subdirectory``.
        entry_point: Entry point to run.
        workflow: Workflow to run, instead.
        parameters: Values by name.
        experiment_name: Experiment of the runs, made if there is none of this name.
        experiment_id: The same by id.
        run_name: Name of the parent run.
        env_manager: What steps run in.
        docker_args: Arguments of ``docker run`` for steps in containers.
        build_image: Whether these run from an image that is built with the project in it.
        version: Branch, tag or commit of a repository; digest that an archive must have.
        caller: Directory that relative paths are relative to; ``None``: the working directory.
        no_cache: Whether to take nothing from the cache, and to put nothing into it.
        refresh: Steps that run again whatever the cache has.
        resume: Id of the run that stopped, to go on from; `resumed_request` makes a request of it.
        task_runner: What starts the steps, as `toolkit.flows.task_runner.read_runner` takes it.
    """

    uri: str
    entry_point: str | None = None
    workflow: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    experiment_name: str | None = None
    experiment_id: str | None = None
    run_name: str | None = None
    env_manager: Literal["uv", "local", "conda"] | None = None
    docker_args: tuple[str, ...] = ()
    build_image: bool = False
    version: str | None = None
    caller: Path | None = None
    no_cache: bool = False
    refresh: Sequence[str] = ()
    resume: str | None = None
    task_runner: str | None = None


def fetch_source(request: RunRequest, report: Callable[[str], None] = lambda _: None) -> Source:
    """Find the code that a request names, fetching what is not a directory of this machine.

    Raises:
        ProjectError: There is no such project, or it cannot be fetched.
        SourceUnavailable: Where it is does not answer.
    """
    from toolkit.flows.source import Fetching, fetch  # noqa: PLC0415 - what a run needs, when there is one

    settings = load()
    fetching = Fetching(root=settings.home / "sources", limit=settings.source_limit, report=report)
    return fetch(request.uri, caller=request.caller or Path.cwd(), version=request.version, fetching=fetching)


def plan_project(request: RunRequest, *, to_show: bool = False, report: Callable[[str], None] = lambda _: None) -> Plan:
    """Read a project and bind its parameters; nothing runs, and nothing is written but what has to be fetched.

    Args:
        request: The project, and what of it.
        to_show: Whether the plan is only shown: then a parameter may lack its value.
        report: Told when something is fetched.

    Raises:
        ProjectError: Something about the project or the values is wrong.
        SourceUnavailable: Where the project is does not answer.
    """
    return _plan(fetch_source(request, report), request, to_show=to_show)


def _plan(source: Source, request: RunRequest, *, to_show: bool = False) -> Plan:
    from toolkit.flows.plan import Target, make_plan  # noqa: PLC0415 - what a run needs, when there is one

    target = Target(
        entry_point=request.entry_point,
        workflow=request.workflow,
        parameters=request.parameters,
        caller=request.caller or Path.cwd(),
        to_show=to_show,
    )
    plan = make_plan(source, target)
    _check_deploying(plan)
    return plan


def _check_deploying(plan: Plan) -> None:
    """Refuse what a step can never deploy, as far as its values are known: better now than when all else is done.

    Raises:
        ProjectError: The deployment's name, the target or the configuration is none.
    """
    deploying = [step.deploy for step in plan.workflow.steps.values() if step.deploy is not None]
    if not deploying:
        return
    from toolkit.deployments.config import ServiceConfig  # noqa: PLC0415 - where a step deploys
    from toolkit.deployments.names import check_name  # noqa: PLC0415 - the same
    from toolkit.deployments.targets.lookup import names  # noqa: PLC0415 - the same

    for each in deploying:
        fixed = {name: template.source for name, template in each.values.items() if template.constant}
        target = fixed.get("target", "local")
        try:
            check_name(str(fixed.get("name", "fits")))
            if target not in names():
                raise InvalidValue(f"there is no target {target!r}: there are {', '.join(names())}")
            ServiceConfig.from_dict({name: fixed[name] for name in ("workers",) if name in fixed})
        except (InvalidValue, TypeError) as error:
            raise ProjectError(f"'deploy': {error}", mark=each.mark) from None


def resumed_request(request: RunRequest, *, elsewhere: bool = False) -> RunRequest:
    """Return what a run that stopped was asked to do, to go on with it.

    Args:
        request: Names the run in ``resume``; what else it says of how to run holds.
        elsewhere: Whether its URI is where the project is by now.

    Raises:
        Conflict: The run has finished, or still goes on.
        InvalidValue: It is no workflow's run.
        NotFound: There is none of this id.
    """
    from toolkit.flows.resume import asked, check_resumable  # noqa: PLC0415 - rare

    assert request.resume is not None
    stores = open_stores(load())
    try:
        run = stores.runs.get_run(request.resume)
    finally:
        stores.close()
    told = asked(run)
    check_resumable(run)
    manager = told.env_manager if told.env_manager in ("uv", "conda", "local") else None
    named = request.experiment_name is not None or request.experiment_id is not None
    return replace(
        request,
        uri=request.uri if elsewhere else told.uri,
        version=told.version,
        entry_point=told.entry_point,
        workflow=told.workflow,
        parameters=told.parameters,
        caller=None if elsewhere or told.caller is None else Path(told.caller),
        experiment_id=request.experiment_id if named else run.info.experiment_id,
        env_manager=request.env_manager or cast(Literal["uv", "conda", "local"] | None, manager),
        docker_args=request.docker_args or tuple(told.docker_args or ()),
        build_image=request.build_image or bool(told.build_image),
    )


def run_project(request: RunRequest, reporter: Reporter) -> RunOutcome:
    """Run a project as a Prefect flow, recorded in the stores that the settings name.

    Raises:
        ProjectError: Something about the project, the values or an environment is wrong; nothing was recorded.
        ServiceError: Prefect's server cannot be used; nothing was recorded.
    """
    from toolkit.flows.plan import check_runnable  # noqa: PLC0415 - what a run needs, when there is one
    from toolkit.flows.working_copy import working_copy  # noqa: PLC0415 - the same

    if request.experiment_name is not None and request.experiment_id is not None:
        raise InvalidValue("an experiment was given by name and by id: choose one")
    fetched = fetch_source(request, reporter.note)
    with working_copy(fetched, load().home / "copies", reporter.note) as source:
        plan = _plan(source, request)
        check_runnable(plan)
        return run_plan(plan, request, reporter)


def run_plan(
    plan: Plan,
    request: RunRequest,
    reporter: Reporter,
    program: Program | None = None,
    *,
    recorded: RecordedEnvironments | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunOutcome:
    """Run a plan that was made, and checked, already.

    Args:
        plan: What to run.
        request: What else `run_project` takes; its project and values are not looked at.
        reporter: Who is told.
        program: A flow that calls its steps itself, instead of the plan's graph.
        recorded: What steps run in, where it is that of an earlier run.
        tags: Tags of the parent run besides its own.

    Raises:
        ProjectError: An environment cannot be built; nothing was recorded.
        ServiceError: Prefect's server cannot be used; nothing was recorded.
    """
    from toolkit.flows.container_step import remove_left_containers  # noqa: PLC0415 - what a run needs, if there is one
    from toolkit.flows.environments.container import DockerOptions  # noqa: PLC0415 - the same
    from toolkit.flows.launch import Launch, LaunchOptions  # noqa: PLC0415 - the same
    from toolkit.flows.resume import Resumed  # noqa: PLC0415 - the same

    settings = load()
    stores = open_stores(settings)
    try:
        for run in sweep(stores, settings):
            reporter.note(f"run {run.info.run_name} ({run.info.run_id}) was lost: {run.info.reason}")
        remove_left_containers(settings.home, reporter.note)
        options = LaunchOptions(
            experiment=_experiment(request, settings, stores),
            run_name=request.run_name,
            parent_run_id=settings.run_id,
            env_manager=request.env_manager or settings.env_manager,
            docker=DockerOptions(arguments=request.docker_args, build_image=request.build_image),
            grace=settings.grace,
            max_parallel=settings.max_parallel_steps,
            cache=_cache_options(plan, request),
            resumed=None if request.resume is None else Resumed(stores.runs, stores.runs.get_run(request.resume)),
            elsewhere=_elsewhere(plan, request, settings, stores, reporter) if program is None else None,
            recorded=recorded,
            tags=tags or {},
        )
        leases = Leases(stores.runs, lease_ms=stores.lease_ms)
        prepare_prefect(settings)
        launch = Launch(plan, options, stores=stores, leases=leases, reporter=reporter, program=program)
        return launch.run(local_services(settings).ensure_prefect, partial(tracking_address, settings))
    finally:
        stores.close()


def _cache_options(plan: Plan, request: RunRequest) -> CacheOptions:
    """Return what of the cache is wanted.

    Raises:
        InvalidValue: A step that is to run again is none of the plan's.
    """
    from toolkit.flows.step_cache import CacheOptions  # noqa: PLC0415 - what a run needs, when there is one
    from toolkit.spec.suggestion import hint  # noqa: PLC0415 - the same

    for name in request.refresh:
        if name not in plan.workflow.steps:
            raise InvalidValue(f"--refresh {name!r}: there is no such step: {hint(name, plan.workflow.steps)}")
    return CacheOptions(off=request.no_cache, refresh=frozenset(request.refresh))


def _experiment(request: RunRequest, settings: Settings, stores: Stores) -> Callable[[], Experiment]:
    """Return what gives the experiment that runs go to: the request's, else the settings', else ``Default``.

    One named by its id must be there now; one named by its name is made when the run begins, not before.
    """
    if request.experiment_name is not None:
        return partial(stores.runs.ensure_experiment, request.experiment_name)
    number = request.experiment_id or settings.experiment_id
    if number is None and settings.experiment_name is not None:
        return partial(stores.runs.ensure_experiment, settings.experiment_name)
    found = stores.runs.get_experiment(number or "0")
    return lambda: found


# -- an earlier run again ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ReproduceRequest:
    """What `reproduce_run` is to do.

    Attributes:
        run_id: The run.
        tolerance: How far metrics may be apart.
        outputs: Whether the digests of files count, too.
        allow: What may be different: ``environment``, ``inputs``, ``platform``.
        inputs: Where data are now that a parameter names, by parameter.
        keep: Whether the copy of the code stays.
        check: Whether only to find out if it can be made again.
    """

    run_id: str
    tolerance: Tolerance
    outputs: bool = False
    allow: frozenset[str] = frozenset()
    inputs: Mapping[str, Path] = field(default_factory=dict)
    keep: bool = False
    check: bool = False


def reproduce_run(request: ReproduceRequest, reporter: Reporter) -> Reproduced:
    """Make an earlier run again, and put what came of it beside what it had left.

    Raises:
        NotReproducible: Something is missing that it needs; nothing was recorded.
        EnvironmentBuildError: An environment of it cannot be had; nothing was recorded.
        ServiceError: Prefect's server cannot be used; nothing was recorded.
    """
    from toolkit.flows.reproduced import Reproduced, conclude  # noqa: PLC0415 - rare
    from toolkit.flows.reproduction import Wish, reproduction  # noqa: PLC0415 - rare

    settings = load()
    stores = open_stores(settings)
    try:
        run = stores.runs.get_run(request.run_id)
        wish = Wish(allow=request.allow, inputs=request.inputs, keep=request.keep)
        with reproduction(
            stores, run, wish, fetching=_fetching(settings, reporter), home=settings.home, report=reporter.note
        ) as again:
            if request.check:
                return Reproduced.unrun(again)
            outcome = run_plan(
                again.plan,
                _asked_again(again),
                reporter,
                recorded=again.environments,
                tags=again.tags(request.allow),
            )
            return conclude(stores, again, outcome, request.tolerance, outputs=request.outputs)
    finally:
        stores.close()


def _fetching(settings: Settings, reporter: Reporter) -> Fetching:
    from toolkit.flows.source import Fetching  # noqa: PLC0415 - what a run needs, when there is one

    return Fetching(root=settings.home / "sources", limit=settings.source_limit, report=reporter.note)


def _asked_again(again: Reproduction) -> RunRequest:
    """Return how a run is to be made again: as it was, in its experiment, with nothing from the cache."""
    told, info = again.flow.asked, again.flow.run.info
    manager = told.env_manager if told.env_manager in ("uv", "conda", "local") else None
    return RunRequest(
        uri=told.uri,
        experiment_id=info.experiment_id,
        run_name=f"{info.run_name} again",
        env_manager=cast(Literal["uv", "conda", "local"] | None, manager),
        docker_args=tuple(told.docker_args or ()),
        build_image=bool(told.build_image),
        no_cache=True,
    )


# -- deployments ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_deployments(report: Callable[[str], None]) -> Iterator[Deployments]:
    """Give the deployments of Prefect's server, which is started if need be.

    Args:
        report: Takes lines of progress.

    Raises:
        ServiceError: It does not start, does not answer, or fails.
    """
    settings = load()
    prepare_prefect(settings)
    server = local_services(settings).ensure_prefect(report)
    from toolkit.flows.deployments import Deployments  # noqa: PLC0415 - imports Prefect

    with Deployments(server.api_url).session() as deployments:
        yield deployments


def end_lost_runs(deployments: Deployments) -> list[str]:
    """Tell Prefect of the runs of deployments whose worker died with them; return their names.

    The tracked run of each has been found to be lost, by the tracking server or by us; Prefect would show it as running
    for ever.
    """
    running = deployments.running()
    if not running:
        return []
    from toolkit.tracking.records import RunQuery  # noqa: PLC0415 - where projects are deployed

    settings = load()
    stores = open_stores(settings)
    ended = []
    try:
        sweep(stores, settings)
        for one in running:
            for run in stores.runs.list_runs(RunQuery(run_name=one.name, top_level=True)).items:
                lost = run.info.status.terminal and (run.info.reason or "").startswith("heartbeat_lost")
                if lost and run.data.tags.get("prefect.flow_run_id") == one.flow_run_id:
                    deployments.end(one, f"run {run.info.run_id}: {run.info.reason}")
                    ended.append(one.name)
    finally:
        stores.close()
    return ended


def deploy_project(
    request: RunRequest, wanted: Wanted, deployments: Deployments, report: Callable[[str], None]
) -> Deployment:
    """Deploy a project: put its code where workers find it, and tell Prefect.

    Args:
        request: What `run_project` takes; of how to run, experiment, environment manager and task runner hold.
        wanted: How it is deployed.
        deployments: Where.
        report: Takes lines of progress.

    Raises:
        ProjectError: Something about the project or the values is wrong; nothing was deployed.
    """
    from toolkit.flows.deployed import Deployed, place_code  # noqa: PLC0415 - where projects are deployed
    from toolkit.flows.plan import check_supported  # noqa: PLC0415 - the same
    from toolkit.flows.task_runner import read_runner  # noqa: PLC0415 - the same

    settings = load()
    source = fetch_source(request, report)
    plan = _plan(source, request, to_show=wanted.schedule is None)
    check_supported(plan)
    read_runner(request.task_runner)
    deployments.ensure_pool(wanted.pool, wanted.pool_type)
    stores = open_stores(settings)
    try:
        with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
            code = place_code(
                source,
                stores,
                Path(folder),
                deployment=wanted.name,
                experiment_id=settings.experiment_id or "0",
                limit=settings.source_limit,
                report=report,
            )
    finally:
        stores.close()
    project = Deployed(
        name=wanted.name,
        uri=source.name if source.fetched else str(source.directory),
        code=code,
        entry_point=plan.workflow.name if plan.single else None,
        workflow=None if plan.single else plan.workflow.name,
        extra=plan.extra,
        experiment=request.experiment_name or settings.experiment_name,
        env_manager=request.env_manager or settings.env_manager,
        runner=request.task_runner,
        variables=_told_workers(stores, report),
    )
    return deployments.deploy(plan, project, wanted)


def _told_workers(stores: Stores, report: Callable[[str], None]) -> dict[str, str]:
    """Return the variables that say a worker where to record its runs; no secret is among them."""
    told = dict(stores.artifact_variables)
    if has_password(stores.tracking_uri):
        report("the tracking URI has a password, which is not deployed: set TOOLKIT_TRACKING_URI where the workers run")
        return told
    told["TOOLKIT_TRACKING_URI"] = stores.tracking_uri
    if not is_server(stores.tracking_uri):  # a server says so itself
        told["TOOLKIT_ARTIFACT_ROOT"] = stores.artifact_root
    return told


def fetch_deployed(project: Deployed, report: Callable[[str], None] = lambda _: None) -> Source:
    """Fetch the code of a deployed project, unless it is here; settings that this process lacks are the deployment's.

    Raises:
        NotFound: The artifact store has no such snapshot.
        ProjectError: The code cannot be fetched.
        SourceUnavailable: Where it is does not answer.
    """
    from toolkit.flows.deployed import get_code  # noqa: PLC0415 - on workers only
    from toolkit.flows.source import Fetching  # noqa: PLC0415 - the same

    set_default_variables(**project.variables)
    settings = load()
    fetching = Fetching(root=settings.home / "sources", limit=settings.source_limit, report=report)
    stores = open_stores(settings)
    try:
        return get_code(project.code, stores, fetching)
    finally:
        stores.close()


def run_deployed(
    project: Deployed, given: Mapping[str, object], program: JoinedProgram, run_name: str, reporter: Reporter
) -> RunOutcome:
    """Run a deployed project inside of a flow run that is there already.

    Args:
        project: The project.
        given: The flow's parameters; others have their defaults.
        program: What is told to run the steps.
        run_name: Name of the run.
        reporter: Who is told.

    Raises:
        ToolkitError: It cannot be run; nothing was recorded.
    """
    from toolkit.flows.compile import flow_parameter_names  # noqa: PLC0415 - imports Prefect
    from toolkit.flows.plan import check_runnable  # noqa: PLC0415 - on workers only
    from toolkit.flows.working_copy import working_copy  # noqa: PLC0415 - the same

    fetched = fetch_deployed(project, reporter.note)
    with working_copy(fetched, load().home / "copies", reporter.note) as source:
        request = RunRequest(
            uri=project.uri,
            entry_point=project.entry_point,
            workflow=project.workflow,
            experiment_name=project.experiment,
            run_name=run_name,
            env_manager=cast(Literal["uv", "conda", "local"] | None, project.env_manager),
            caller=source.directory,
            task_runner=project.runner,
        )
        if project.runner is not None:
            program.elsewhere = _elsewhere_of(request, load(), project.code)
        names = flow_parameter_names(_plan(source, request, to_show=True))
        own = {flow_name: name for name, flow_name in names.items()}
        values = {own.get(name, name): value for name, value in given.items()}
        plan = _plan(source, replace(request, parameters={**project.extra, **values}))
        check_runnable(plan)
        program.parameters = plan.parameters
        return run_plan(plan, request, reporter, program)


def serve_deployments(pool: str, *, name: str | None, limit: int | None, report: Callable[[str], None]) -> None:
    """Be a worker of a work pool until the process is told to end.

    Args:
        pool: The work pool; ours is made if there is none.
        name: Name of the worker.
        limit: How many flow runs at the same time.
        report: Takes lines of progress.

    Raises:
        InvalidValue: What serves pools of this kind is not installed.
        NotFound: There is no such work pool.
        ServiceError: Prefect's server cannot be used.
    """
    settings = load()
    with open_deployments(report) as deployments:
        deployments.ensure_pool(pool)
        kind = deployments.pool(pool).type
        for lost in end_lost_runs(deployments):
            report(f"run {lost} was lost with its worker")
    from toolkit.flows.worker import serve  # noqa: PLC0415 - imports Prefect

    server = local_services(settings).ensure_prefect(report)
    serve(server.api_url, pool, kind, name=name, limit=limit, grace=settings.grace, report=report)


# -- steps in other processes --------------------------------------------------------------------------


def _elsewhere(
    plan: Plan, request: RunRequest, settings: Settings, stores: Stores, reporter: Reporter
) -> Elsewhere | None:
    """Return how steps are run by other processes, after putting the code where they find it; ``None``: by threads."""
    from toolkit.flows.deployed import place_code  # noqa: PLC0415 - where clusters are used
    from toolkit.flows.task_runner import read_runner  # noqa: PLC0415 - the same

    runner = read_runner(request.task_runner)
    if not runner.elsewhere:
        return None
    if runner.address is None:
        return _elsewhere_of(request, settings, None)
    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        code = place_code(
            plan.source,
            stores,
            Path(folder),
            deployment=plan.flow_name,
            experiment_id="0",
            limit=settings.source_limit,
            report=reporter.note,
        )
    return _elsewhere_of(request, settings, code)


def _elsewhere_of(request: RunRequest, settings: Settings, code: Code | None) -> Elsewhere | None:
    from toolkit.flows.elsewhere import Elsewhere  # noqa: PLC0415 - where clusters are used
    from toolkit.flows.environments.container import DockerOptions  # noqa: PLC0415 - the same
    from toolkit.flows.task_runner import read_runner  # noqa: PLC0415 - the same

    runner = read_runner(request.task_runner)
    if not runner.elsewhere:
        return None
    return Elsewhere(
        runner=runner,
        run_step=run_step_elsewhere,
        code=code,
        env_manager=request.env_manager or settings.env_manager,
        docker=DockerOptions(arguments=request.docker_args, build_image=request.build_image),
    )


def run_step_elsewhere(ticket: Ticket, log: Callable[[str], None]) -> StepResult:
    """Run a step that was sent here by a run on another machine, or in another process of this one.

    Its run is recorded where the whole run is; how to log in there is this process's own business.

    Args:
        ticket: What is to be run.
        log: Takes a line for Prefect's log.

    Raises:
        StepFailed: The step failed.
        ToolkitError: It could not begin.
    """
    from toolkit.flows.elsewhere import Here, run_ticket  # noqa: PLC0415 - where steps are sent to
    from toolkit.flows.source import Fetching  # noqa: PLC0415 - the same

    set_default_variables(**ticket.variables)
    settings = load()
    settings = settings.model_copy(
        update={"tracking_uri": ticket.tracking_uri, "artifact_root": ticket.artifact_root, "run_id": None}
    )
    stores = open_stores(settings)
    try:
        sweep_lost(stores.runs, grace=min(settings.grace, 2.0))
        here = Here(
            stores=stores,
            fetching=Fetching(root=settings.home / "sources", limit=settings.source_limit, report=log),
            tracking_server=partial(tracking_address, settings),
        )
        return run_ticket(ticket, here, log)
    finally:
        stores.close()
