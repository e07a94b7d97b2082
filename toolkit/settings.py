"""The one class that reads the environment and the configuration files.

Precedence: a ``TOOLKIT_*`` variable, then the ``MLFLOW_*`` one, then ``toolkit.toml`` or ``[tool.toolkit]`` of
``pyproject.toml`` in the working directory or the nearest directory above it, then the default.
``docs/reference/settings.md`` lists them all.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, ByteSize, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from toolkit.errors import InvalidSetting


def _variable(*names: str) -> AliasChoices:
    """Return the environment variables that give a setting, best first."""
    return AliasChoices(*names)


def _blank_is_unset(value: object) -> object:
    """Read an empty variable as one that is not set."""
    return None if value == "" else value


def _read_json(value: object) -> object:
    """Read an object that a variable says in JSON; a configuration file has it as a table."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f'wanted a JSON object such as {{"ServerSideEncryption": "aws:kms"}}: {error}') from None


OptionalText = Annotated[str | None, BeforeValidator(_blank_is_unset)]
JsonObject = Annotated[dict[str, Any], NoDecode, BeforeValidator(_read_json)]


class Settings(BaseSettings):
    """What the user has configured. Frozen; make it with `load`.

    Attributes:
        home: Folder that holds everything local.
        tracking_uri: Where runs are recorded: a server's address or a SQLAlchemy URL; default the SQLite file
            in ``home``.
        tracking_username: Who asks a server, with ``tracking_password``.
        tracking_password: The password.
        tracking_token: Who asks a server, instead: a bearer token.
        tracking_insecure_tls: Do not check a server's certificate.
        tracking_server_cert_path: File of the authorities that a server's certificate may come from.
        tracking_client_cert_path: File with a certificate of one's own and its key, for a server.
        http_timeout: Seconds without an answer after which a request to a server is given up.
        artifact_root: Where artifacts are kept; default ``artifacts`` in ``home``.
        artifact_timeout: Seconds without progress after which a request to a remote artifact store is given up.
        artifact_workers: How many files are sent or fetched at the same time.
        s3_endpoint_url: Address of a service that speaks S3; default: what ``AWS_ENDPOINT_URL_S3`` says, or Amazon's.
        s3_ignore_tls: Do not check the certificate of that service.
        s3_upload_extra_args: What is said with each upload to S3, such as its encryption.
        s3_addressing_style: Whether the bucket stands in the host (``virtual``) or the ``path`` of a request.
        s3_expected_bucket_owner: Account that the bucket must belong to.
        experiment_name: Experiment that runs go to.
        experiment_id: The same by id.
        run_id: The run that this process is a step of.
        parent_run_id: The run that a new run is a part of.
        env_manager: What steps run in: an environment that ``uv`` or ``conda`` builds, or ``local`` for the running
            interpreter.
        max_parallel_steps: How many steps of one workflow may run at the same time.
        lease: Seconds that a run may be silent before it counts as lost.
        grace: Seconds that a step gets between SIGTERM and SIGKILL.
        busy_timeout: Seconds to wait for a locked database.
        durability: ``full`` also survives power loss, at the cost of speed.
        strict: Let log verbs write straight to the store, wait for it, and raise its failures.
        journal_limit: Most space that one process's journal takes, such as ``1GiB``.
        exit_wait: Seconds to wait at the end of a script for what the journal holds.
        truncate_long_values: Cut parameters and tags that are too long, with a warning; else they are refused.
        registry_uri: Where models are registered; default: the tracking URI.
        enable_system_metrics_logging: Log the machine's load with each run that a script starts.
        system_metrics_sampling_interval: Seconds between two samples of it.
        system_metrics_samples_before_logging: How many samples make one logged point, their mean.
        system_metrics_node_id: Name of this machine in the metrics' keys, where several write to one run.
        backend_store_uri: Database that a server keeps runs in; default: ``tracking_uri``.
        artifacts_destination: Where a server keeps the artifacts that clients send it; default: ``artifact_root``.
        default_artifact_root: Where clients of a server keep artifacts themselves, by-passing it.
        allowed_hosts: Names by which a server may be called besides its own address, with commas between them.
        upload_limit: Largest file that a server takes, such as ``10GiB``.
        upload_reserve: Space that a server leaves free on the disk of its artifacts.
        source_limit: Largest archive that a project may come in, and what it may unpack to, such as ``2GB``.
        trusted_types: Types, by their full names, that skops files of models may hold beside those that skops knows to
            be safe, with commas between them.
        allow_pickle_deserialization: Load pickles and code of models that this store has recorded; else only what a
            caller says to trust.
        webhook_private_targets: Addresses and networks that webhooks may call though they are not public, such as
            ``127.0.0.1,10.1.0.0/16``.
        webhook_plain_http: Let webhooks call ``http://``, too, which whoever is on the way can read and change.
        webhook_timeout: Seconds that a webhook has to answer.
        change_from_pages: Let the pages of this server release and stop deployments for a browser at its own machine.
        quiet: Print nothing but data and errors.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True, env_ignore_empty=True)

    home: Path = Field(default=Path("~/.toolkit"), validation_alias=_variable("TOOLKIT_HOME"), description="Local home")
    tracking_uri: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_TRACKING_URI", "MLFLOW_TRACKING_URI")
    )
    tracking_username: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_TRACKING_USERNAME", "MLFLOW_TRACKING_USERNAME")
    )
    tracking_password: OptionalText = Field(
        default=None, repr=False, validation_alias=_variable("TOOLKIT_TRACKING_PASSWORD", "MLFLOW_TRACKING_PASSWORD")
    )
    tracking_token: OptionalText = Field(
        default=None, repr=False, validation_alias=_variable("TOOLKIT_TRACKING_TOKEN", "MLFLOW_TRACKING_TOKEN")
    )
    tracking_insecure_tls: bool = Field(
        default=False, validation_alias=_variable("TOOLKIT_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_INSECURE_TLS")
    )
    tracking_server_cert_path: OptionalText = Field(
        default=None,
        validation_alias=_variable("TOOLKIT_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_SERVER_CERT_PATH"),
    )
    tracking_client_cert_path: OptionalText = Field(
        default=None,
        validation_alias=_variable("TOOLKIT_TRACKING_CLIENT_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"),
    )
    http_timeout: float = Field(
        default=120.0, gt=0, validation_alias=_variable("TOOLKIT_HTTP_TIMEOUT", "MLFLOW_HTTP_REQUEST_TIMEOUT")
    )
    artifact_root: OptionalText = Field(default=None, validation_alias=_variable("TOOLKIT_ARTIFACT_ROOT"))
    artifact_timeout: float = Field(
        default=60.0,
        gt=0,
        validation_alias=_variable("TOOLKIT_ARTIFACT_TIMEOUT", "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT"),
    )
    artifact_workers: int = Field(default=8, ge=1, le=64, validation_alias=_variable("TOOLKIT_ARTIFACT_WORKERS"))
    s3_endpoint_url: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_S3_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
    )
    s3_ignore_tls: bool = Field(
        default=False, validation_alias=_variable("TOOLKIT_S3_IGNORE_TLS", "MLFLOW_S3_IGNORE_TLS")
    )
    s3_upload_extra_args: JsonObject = Field(
        default={}, validation_alias=_variable("TOOLKIT_S3_UPLOAD_EXTRA_ARGS", "MLFLOW_S3_UPLOAD_EXTRA_ARGS")
    )
    s3_addressing_style: Literal["auto", "path", "virtual"] | None = Field(
        default=None,
        validation_alias=_variable("TOOLKIT_S3_ADDRESSING_STYLE", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"),
    )
    s3_expected_bucket_owner: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_S3_EXPECTED_BUCKET_OWNER", "MLFLOW_S3_EXPECTED_BUCKET_OWNER")
    )
    experiment_name: OptionalText = Field(
        default=None,
        validation_alias=_variable("TOOLKIT_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_NAME"),
    )
    experiment_id: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_ID")
    )
    run_id: OptionalText = Field(default=None, validation_alias=_variable("TOOLKIT_RUN_ID", "MLFLOW_RUN_ID"))
    parent_run_id: OptionalText = Field(default=None, validation_alias=_variable("TOOLKIT_PARENT_RUN_ID"))
    env_manager: Literal["uv", "local", "conda"] | None = Field(
        default=None, validation_alias=_variable("TOOLKIT_ENV_MANAGER")
    )
    max_parallel_steps: int = Field(default=16, ge=1, validation_alias=_variable("TOOLKIT_MAX_PARALLEL_STEPS"))
    lease: float = Field(default=60.0, ge=1, validation_alias=_variable("TOOLKIT_LEASE"))
    grace: float = Field(default=5.0, ge=0, validation_alias=_variable("TOOLKIT_GRACE"))
    busy_timeout: float = Field(default=20.0, ge=0, validation_alias=_variable("TOOLKIT_BUSY_TIMEOUT"))
    durability: Literal["normal", "full"] = Field(default="normal", validation_alias=_variable("TOOLKIT_DURABILITY"))
    strict: bool = Field(default=False, validation_alias=_variable("TOOLKIT_STRICT"))
    journal_limit: ByteSize = Field(
        default=ByteSize(1024**3), ge=16 * 1024**2, validation_alias=_variable("TOOLKIT_JOURNAL_LIMIT")
    )
    exit_wait: float = Field(default=10.0, ge=0, validation_alias=_variable("TOOLKIT_EXIT_WAIT"))
    truncate_long_values: bool = Field(
        default=True, validation_alias=_variable("TOOLKIT_TRUNCATE_LONG_VALUES", "MLFLOW_TRUNCATE_LONG_VALUES")
    )
    registry_uri: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_REGISTRY_URI", "MLFLOW_REGISTRY_URI")
    )
    enable_system_metrics_logging: bool = Field(
        default=False,
        validation_alias=_variable("TOOLKIT_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"),
    )
    system_metrics_sampling_interval: float = Field(
        default=10.0,
        gt=0,
        validation_alias=_variable(
            "TOOLKIT_SYSTEM_METRICS_SAMPLING_INTERVAL", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
        ),
    )
    system_metrics_samples_before_logging: int = Field(
        default=1,
        ge=1,
        validation_alias=_variable(
            "TOOLKIT_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING"
        ),
    )
    system_metrics_node_id: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_SYSTEM_METRICS_NODE_ID", "MLFLOW_SYSTEM_METRICS_NODE_ID")
    )
    backend_store_uri: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_BACKEND_STORE_URI", "MLFLOW_BACKEND_STORE_URI")
    )
    artifacts_destination: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_ARTIFACTS_DESTINATION", "MLFLOW_ARTIFACTS_DESTINATION")
    )
    default_artifact_root: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_DEFAULT_ARTIFACT_ROOT", "MLFLOW_DEFAULT_ARTIFACT_ROOT")
    )
    allowed_hosts: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_ALLOWED_HOSTS", "MLFLOW_SERVER_ALLOWED_HOSTS")
    )
    upload_limit: ByteSize = Field(default=ByteSize(10 * 1024**3), validation_alias=_variable("TOOLKIT_UPLOAD_LIMIT"))
    upload_reserve: ByteSize = Field(
        default=ByteSize(256 * 1024**2), validation_alias=_variable("TOOLKIT_UPLOAD_RESERVE")
    )
    source_limit: ByteSize = Field(
        default=ByteSize(2_000_000_000), ge=1, validation_alias=_variable("TOOLKIT_SOURCE_LIMIT")
    )
    trusted_types: OptionalText = Field(default=None, validation_alias=_variable("TOOLKIT_TRUSTED_TYPES"))
    allow_pickle_deserialization: bool = Field(
        default=True,
        validation_alias=_variable("TOOLKIT_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"),
    )
    webhook_private_targets: OptionalText = Field(
        default=None, validation_alias=_variable("TOOLKIT_WEBHOOK_PRIVATE_TARGETS")
    )
    webhook_plain_http: bool = Field(default=False, validation_alias=_variable("TOOLKIT_WEBHOOK_PLAIN_HTTP"))
    change_from_pages: bool = Field(default=False, validation_alias=_variable("TOOLKIT_CHANGE_FROM_PAGES"))
    webhook_timeout: float = Field(
        default=10.0,
        gt=0,
        le=60,
        validation_alias=_variable("TOOLKIT_WEBHOOK_TIMEOUT", "MLFLOW_WEBHOOK_REQUEST_TIMEOUT"),
    )
    quiet: bool = Field(
        default=False,
        validation_alias=_variable("TOOLKIT_QUIET"),
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Say where values come from, best first."""
        return env_settings, init_settings

    @property
    def database_url(self) -> str:
        """The tracking URI, or the SQLite file in the home."""
        return self.tracking_uri or f"sqlite:///{self.home / 'toolkit.db'}"

    @property
    def journal_root(self) -> Path:
        """Folder of all journals."""
        return self.home / "journal"

    @property
    def spool_root(self) -> Path:
        """Folder of all spools."""
        return self.home / "spool"

    @property
    def artifact_uri(self) -> str:
        """The artifact root, or ``artifacts`` in the home."""
        return self.artifact_root or (self.home / "artifacts").as_uri()

    @property
    def artifact_variables(self) -> dict[str, str]:
        """What a child process must be told, to reach the artifacts as this one does: it may stand elsewhere."""
        said = {
            "TOOLKIT_ARTIFACT_TIMEOUT": f"{self.artifact_timeout:g}"
            if "artifact_timeout" in self.model_fields_set
            else "",
            "TOOLKIT_S3_ENDPOINT_URL": self.s3_endpoint_url,
            "TOOLKIT_S3_IGNORE_TLS": "true" if self.s3_ignore_tls else None,
            "TOOLKIT_S3_UPLOAD_EXTRA_ARGS": json.dumps(self.s3_upload_extra_args)
            if self.s3_upload_extra_args
            else None,
            "TOOLKIT_S3_ADDRESSING_STYLE": self.s3_addressing_style,
            "TOOLKIT_S3_EXPECTED_BUCKET_OWNER": self.s3_expected_bucket_owner,
        }
        return {name: value for name, value in said.items() if value}

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return int(self.lease * 1000)


def load(directory: Path | None = None) -> Settings:
    """Read the settings that hold in a directory (default: the working directory).

    Raises:
        InvalidSetting: A value cannot be used; the message names the setting, the value and what was wanted.
    """
    global _last
    origin = _origin(str(directory or Path.cwd()))
    if _last is None or _last[0] != origin:
        _last = (origin, _read_anew((directory or Path.cwd()).resolve()))
    return _last[1]


_last: tuple[object, Settings] | None = None
_FILES = ("toolkit.toml", "pyproject.toml")


def _origin(directory: str) -> object:
    """Return what settings depend on, the variables and the files that there are: reading them takes far longer."""
    files = []
    while True:
        for name in _FILES:
            try:
                found = os.stat(os.path.join(directory, name))  # noqa: PTH116, PTH118 - asked for at every run's start
            except OSError:
                continue
            files.append((directory, name, found.st_mtime_ns, found.st_size, found.st_ino))
        above = os.path.dirname(directory)  # noqa: PTH120 - the same
        if above == directory:
            break
        directory = above
    return [os.environ.get(name) for name in _variables()], directory, files


@lru_cache(maxsize=1)
def _variables() -> tuple[str, ...]:
    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    named = [str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices]
    return (*named, "HOME")


def _read_anew(directory: Path) -> Settings:
    values, file = _file_values(directory)
    for name in values:
        if name not in Settings.model_fields:
            close = difflib.get_close_matches(name, Settings.model_fields, n=1)
            known = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(Settings.model_fields))}"
            raise InvalidSetting(f"{file} has the unknown setting {name!r}: {known}")
    try:
        settings = Settings(**{f"TOOLKIT_{name.upper()}": value for name, value in values.items()})
    except ValidationError as error:
        raise InvalidSetting(_explain(error, file)) from None
    return settings.model_copy(update={"home": settings.home.expanduser().absolute()})


def _file_values(directory: Path) -> tuple[dict[str, Any], Path | None]:
    """Return the settings of the nearest configuration file, and that file."""
    for folder in (directory, *directory.parents):
        own = folder / "toolkit.toml"
        if own.is_file():
            return _read(own), own
        shared = folder / "pyproject.toml"
        if shared.is_file():
            table = _read(shared).get("tool", {}).get("toolkit")
            if isinstance(table, dict):
                return table, shared
    return {}, None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(f"{file} is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{file} cannot be read: {error}") from None


def _explain(error: ValidationError, file: Path | None) -> str:
    """Say which setting is wrong in one line."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    origin = "the environment" if name.isupper() else f"{file or 'the configuration'}"
    return f"setting {name} from {origin} is {first['input']!r}: {first['msg']}"


def set_default_variables(**defaults: str) -> None:
    """Set variables of this process's environment that the user has not set."""
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def set_variables(**changes: str | None) -> None:
    """Set variables of this process's environment, which its children inherit; ``None`` removes one."""
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def environment(**changes: str | None) -> dict[str, str]:
    """Return a copy of this process's environment for a child, with variables set, or removed where given ``None``."""
    result = dict(os.environ)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result
