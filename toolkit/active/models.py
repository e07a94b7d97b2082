"""Verbs that log, save and load models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.active.connected import Connected
from toolkit.active.session import run_to_log_to
from toolkit.errors import InvalidValue, NotYetSupported
from toolkit.models import folder, lookup
from toolkit.models.loading import PYFUNC, LoadedModel
from toolkit.models.metadata import ModelMetadata
from toolkit.models.trust import Trust
from toolkit.recording import current
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog, catalog_of
from toolkit.registry.fetched import FetchedModel, fetch
from toolkit.registry.logged_model import ModelLogged, ModelToLog
from toolkit.registry.logged_model import log_model as log_to
from toolkit.settings import Settings, load
from toolkit.tracking.records import Metric

if TYPE_CHECKING:
    from toolkit.models.signature import Signature

NAME = "model"
"""What a model is called that is given no name."""

_FOLDER_ARGUMENTS = (
    *("signature", "input_example", "pip_requirements", "extra_pip_requirements", "conda_env", "code_paths"),
    *("metadata", "extra_files"),
)


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model that was logged, with MLflow's fields. Times in milliseconds since 1970 UTC.

    Attributes:
        artifact_path: Where its files are.
        flavors: Of each flavor its keys in the MLmodel.
        model_uri: ``models:/m-…``, which loads it.
        model_id: Its id.
        model_uuid: The same.
        run_id: The run that made it.
        name: Its name.
        saved_input_example_info: Which file has the example.
        signature: What it takes and gives.
        utc_time_created: When it was saved.
        mlflow_version: Whose format it has.
        metadata: What else is said of it.
        env_vars: MLflow's; always ``None``.
        prompts: MLflow's; always ``None``.
        registered_model_version: The number of the version that it became.
        params: Its parameters.
        tags: Its tags.
        metrics: What was measured of it.
        creation_timestamp: When it was made.
    """

    artifact_path: str
    flavors: Mapping[str, Mapping[str, Any]]
    model_uri: str
    model_id: str | None
    model_uuid: str | None
    run_id: str | None
    name: str | None
    saved_input_example_info: Mapping[str, Any] | None
    signature: Signature | None
    utc_time_created: str
    mlflow_version: str | None
    metadata: Mapping[str, Any] | None = None
    env_vars: None = None
    prompts: None = None
    registered_model_version: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    creation_timestamp: int | None = None

    @staticmethod
    def of(logged: ModelLogged) -> ModelInfo:
        """Return what was logged as scripts read it."""
        model, metadata = logged.model, logged.metadata
        return ModelInfo(
            artifact_path=model.artifact_uri,
            flavors=metadata.flavors,
            model_uri=f"models:/{model.model_id}",
            model_id=model.model_id,
            model_uuid=metadata.model_uuid,
            run_id=metadata.run_id,
            name=model.name,
            saved_input_example_info=metadata.saved_input_example_info,
            signature=metadata.signature,
            utc_time_created=metadata.utc_time_created,
            mlflow_version=metadata.mlflow_version,
            metadata=metadata.metadata,
            registered_model_version=logged.version.version if logged.version is not None else None,
            params=model.params,
            tags=model.tags,
            metrics=[each.metric for each in model.metrics],
            creation_timestamp=model.creation_time,
        )


def log_model(
    model: object,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    registered_model_name: str | None = None,
    signature: Signature | bool | None = None,
    input_example: object = None,
    await_registration_for: int | None = 300,  # noqa: ARG001 - MLflow's
    pip_requirements: Sequence[str] | str | None = None,
    extra_pip_requirements: Sequence[str] | str | None = None,
    conda_env: Mapping[str, Any] | str | None = None,
    code_paths: Sequence[str | Path] | None = None,
    metadata: Mapping[str, Any] | None = None,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    model_type: str | None = None,
    step: int = 0,
    model_id: str | None = None,
    extra_files: Sequence[str | Path] | None = None,
    flavor: str | None = None,
    run_id: str | None = None,
    **options: object,
) -> ModelInfo:
    """Log a model of any library that a flavor knows, a `PythonModel`, a function, or a Python file that makes one.

    It belongs to the active run, or the step's, or a new one, as with the other verbs.

    Args:
        model: The model, or the path of a Python file.
        artifact_path: MLflow's older word for ``name``.
        name: Its name; default ``model``.
        registered_model_name: Register it as the next version of this model.
        signature: What it takes and gives; ``False``: nothing is said; default: what the example shows.
        input_example: Data that it takes, or a pair of data and parameters.
        await_registration_for: MLflow's argument; there is nothing to wait for.
        pip_requirements: What it needs, as lines or a file of them, instead of what is found.
        extra_pip_requirements: What it needs besides.
        conda_env: A conda environment, or a file of one, instead of both.
        code_paths: Files and folders of code that it needs; they are kept with it.
        metadata: What else is to be said of it, in its MLmodel.
        params: Parameters of the model, besides those of the run.
        tags: Tags of the model.
        model_type: What kind of model it is, in your words.
        step: Where in the training; what the run has measured at this step is of the model, too.
        model_id: A model that is there already, such as one that was made before its training.
        extra_files: Files that are kept with it.
        flavor: Its flavor, such as ``sklearn``; default: that of its class.
        run_id: The run that it belongs to; default: the active one.
        **options: The flavor's own arguments, such as ``serialization_format``.

    Raises:
        InvalidValue: The model or an argument cannot be used.
        NotFound: There is no such run, model or file.
        ArtifactError: Its files cannot be stored.
    """
    if name is not None and artifact_path is not None:
        raise InvalidValue("log_model was given artifact_path and name: they are one thing, and name is its newer word")
    run = run_to_log_to(run_id)
    wanted = ModelToLog(
        experiment_id=run.info.experiment_id,
        name=name or artifact_path or NAME,
        run_id=run.run_id,
        step=step,
        model_type=model_type,
        params=_texts(params),
        tags=_texts(tags),
        model_id=model_id,
        registered_model_name=registered_model_name,
    )
    kind, wishes = _kind_and_options(model, flavor, options)

    def save(path: Path) -> ModelMetadata:
        return folder.save_model(
            model,
            path,
            flavor=kind,
            signature=signature,
            input_example=input_example,
            pip_requirements=pip_requirements,
            extra_pip_requirements=extra_pip_requirements,
            conda_env=conda_env,
            code_paths=code_paths,
            metadata=metadata,
            extra_files=extra_files,
            options=wishes,
        )

    catalog = Connected()._catalog
    if run.stores is not current.stores():  # a run of other stores, such as of a process that was forked
        catalog = replace(catalog, logged=catalog_of(run.stores).logged)
    return ModelInfo.of(log_to(wanted, save, run.stores, catalog))


def save_model(model: object, path: str | Path, *, flavor: str | None = None, **arguments: Any) -> None:  # noqa: ANN401 - as `log_model`
    """Save a model into a folder, which is empty or not there.

    Args:
        model: The model, as `log_model` takes it.
        path: The folder.
        flavor: Its flavor; default: that of its class.
        **arguments: ``signature``, ``input_example``, ``pip_requirements``, ``extra_pip_requirements``, ``conda_env``,
            ``code_paths``, ``metadata`` and ``extra_files`` as in `log_model`, and the flavor's own.

    Raises:
        AlreadyExists: The folder has something in it.
        InvalidValue: The model or an argument cannot be used.
        NotFound: There is no such file.
    """
    known = {each: arguments.pop(each) for each in _FOLDER_ARGUMENTS if each in arguments}
    kind, wishes = _kind_and_options(model, flavor, arguments)
    folder.save_model(model, Path(path), flavor=kind, options=wishes, **known)


def load_model(
    model_uri: str | Path,
    dst_path: str | Path | None = None,
    *,
    model_config: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> LoadedModel:
    """Load a model: something with ``predict(data, params=None)``, whatever library it is of.

    Its files are held against the digests that were recorded when it was logged. What can run code (pickles, Python
    files) is loaded only if it was recorded so, or with ``trust``.

    Args:
        model_uri: ``models:/wine/3``, ``models:/wine@champion``, ``models:/wine/Production``, ``models:/m-…``,
            ``runs:/<run id>/<path>``, or a folder.
        dst_path: Folder to copy its files into; default: none, where they are on this machine.
        model_config: What the model is to find as its configuration, besides what it was saved with.
        trust: Load it though it can run any code: you know who made it.

    Raises:
        InvalidValue: It is no URI of a model, or it cannot be loaded here.
        NotFound: There is no such model.
        UntrustedModel: It would run code that nobody has said to trust.
        ArtifactCorrupt: A file is not what was recorded.
    """
    found = _fetched(model_uri, dst_path)
    return folder.load_model(found.folder, trust=_trust(found, trust=trust), config=model_config)


def load_native(model_uri: str | Path, flavor: str, dst_path: str | Path | None = None, *, trust: bool = False) -> Any:  # noqa: ANN401 - the library's class
    """Load a model as its library knows it; arguments and errors as in `load_model`, and ``flavor`` as its name."""
    found = _fetched(model_uri, dst_path)
    return folder.load_native(found.folder, flavor, trust=_trust(found, trust=trust))


def get_model_info(model_uri: str | Path) -> ModelMetadata:
    """Return what the MLmodel of a model says; nothing of it is loaded.

    Raises:
        InvalidValue: It is no URI of a model.
        NotFound: There is no such model.
    """
    return ModelMetadata.read(_fetched(model_uri, None).folder)


def _fetched(model_uri: str | Path, target: str | Path | None) -> FetchedModel:
    here = Connected()
    stores: Stores = current.stores()
    catalog: Catalog = here._catalog
    return fetch(os.fspath(model_uri), stores, catalog, target=None if target is None else Path(target))


def _trust(found: FetchedModel, *, trust: bool, settings: Settings | None = None) -> Trust:
    said = settings or load()
    types = frozenset(each.strip() for each in (said.trusted_types or "").split(",") if each.strip())
    return found.trust(everything=trust, types=types, pickles=said.allow_pickle_deserialization)


def _texts(values: Mapping[str, object] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (values or {}).items()}


def _kind_and_options(
    model: object, flavor: str | None, options: Mapping[str, object]
) -> tuple[str, dict[str, object]]:
    """Return the flavor's name and its own arguments; files that a model needs are got here.

    Raises:
        NotYetSupported: An argument is MLflow's for Databricks or for prompts.
    """
    for each in ("prompts", "resources", "auth_policy"):
        if options.get(each) is not None:
            raise NotYetSupported(f"{each} is an argument for other platforms: leave it out")
    wishes = {key: value for key, value in options.items() if key not in ("prompts", "resources", "auth_policy")}
    kind = flavor or lookup.flavor_of(model).name
    artifacts = wishes.get("artifacts")
    if kind == PYFUNC and isinstance(artifacts, Mapping):
        wishes["artifacts"] = {name: _local(str(place)) for name, place in artifacts.items()}
    return kind, wishes


def _local(place: str) -> str:
    """Return the local path of a file that a model needs, which may be an artifact's URI."""
    from toolkit.active.artifacts import download_artifacts  # noqa: PLC0415 - for models with files

    return download_artifacts(place) if place.startswith(("runs:", "models:", "file:")) else place
