"""Where the files of a model are that a URI names: a logged model, a version, a folder of a run, or a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from toolkit.artifacts.location import Place, below_root
from toolkit.errors import InvalidValue, NotFound
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog
from toolkit.registry.names import ModelUri, holder_of
from toolkit.registry.records import ModelVersion, NewVersion
from toolkit.registry.sources import below, version_of
from toolkit.tracking.logged_models import LoggedModel, LoggedModelStore
from toolkit.tracking.logged_models_limits import is_model_id
from toolkit.tracking.records import Run
from toolkit.tracking.store import RunStore

MODEL_FILE = "MLmodel"
"""The file that makes a folder a model."""

_LOOKED_AT = 1_000
_LISTED = 10  # names of what there is instead, in messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """A model, and where its files are.

    Attributes:
        uri: The model as it is kept: ``models:/m-…``, ``models:/wine/3``, ``runs:/…/path`` or a place.
        location: Where its files are, as a URI.
        run_id: The run that made it.
        path: Its folder among the run's artifacts, where it is in one.
        logged: The logged model that it is.
        version: The version that was named.
    """

    uri: str
    location: str
    run_id: str | None = None
    path: str | None = None
    logged: LoggedModel | None = None
    version: ModelVersion | None = None

    @property
    def model_id(self) -> str | None:
        """The id of the logged model that it is."""
        if self.logged is not None:
            return self.logged.model_id
        return self.version.model_id if self.version is not None else None


def locate(uri: str, stores: Stores, catalog: Catalog) -> Located:
    """Return the model that a URI names. Its files are not looked at.

    Args:
        uri: ``models:/m-…``, ``models:/name/3``, ``models:/name@alias``, ``models:/name/latest``,
            ``models:/name/Production``, ``runs:/<run id>/<path>``, or where a folder is.
        stores: Where runs are.
        catalog: Where models are.

    Raises:
        InvalidValue: It is no URI of a model.
        NotFound: There is no such run, model, version or alias.
    """
    try:
        scheme = urlsplit(uri).scheme.lower()
    except ValueError:
        raise InvalidValue(f"{uri[:200]!r} is no URI of a model") from None
    if scheme == "models":
        named = ModelUri.read(uri)
        if named.model_id is not None:
            return _of_logged(catalog.logged.get_model(named.model_id))
        return _of_version(version_of(catalog.registered, named), stores, catalog)
    if scheme == "runs":
        return _of_run(uri, stores, catalog)
    if not uri:
        raise InvalidValue("an empty text names no model: wanted such as models:/wine/3 or runs:/<run id>/model")
    return _of_holder(uri, stores, catalog) or Located(uri=uri, location=uri)


def located_at(new: NewVersion) -> Located:
    """Return the model that is to be registered, at the place that was found for it."""
    return Located(uri=new.source, location=new.location, run_id=new.run_id)


def place_of(located: Located, stores: Stores) -> Place:
    """Return where the files of a model can be read.

    Raises:
        ArtifactError: They are at a place that cannot be opened from here.
        InvalidSetting: They are at what is no place.
    """
    folder = below_root(located.location, stores.artifact_root)
    if folder is not None:
        return Place(store=stores.artifacts, folder=folder)
    return stores.elsewhere.place(located.location, located.model_id or located.run_id or "of the model")


def _of_logged(model: LoggedModel) -> Located:
    return Located(
        uri=f"models:/{model.model_id}", location=model.artifact_uri, run_id=model.source_run_id, logged=model
    )


def _of_version(version: ModelVersion, stores: Stores, catalog: Catalog) -> Located:
    uri, location, path = f"models:/{version.name}/{version.version}", version.location, None
    if location.startswith(("runs:", "models:")):  # as older clients register
        found = locate(location, stores, catalog)
        location, path = found.location, found.path
    return Located(uri=uri, location=location, run_id=version.run_id, path=path, version=version)


def _of_run(uri: str, stores: Stores, catalog: Catalog) -> Located:
    split = urlsplit(uri)
    run_id, _, path = unquote(split.path).strip("/").partition("/")
    if split.netloc or not run_id:
        raise InvalidValue(f"{uri[:200]!r} names no run: wanted runs:/<run id>/<path of the model>")
    run = stores.runs.get_run(run_id)
    if _has_model(stores.runs, run_id, path):
        location = f"{run.info.artifact_uri.rstrip('/')}/{path}".rstrip("/")
        return Located(uri=f"runs:/{run_id}/{path}".rstrip("/"), location=location, run_id=run_id, path=path)
    made = made_by(catalog.logged, run_id)
    named = [model for model in made if model.name == path]
    if named:
        return _of_logged(named[-1])
    raise NotFound(_nothing(run, path, [model.name for model in made] or _models_in(stores.runs, run_id)))


def _of_holder(uri: str, stores: Stores, catalog: Catalog) -> Located | None:
    """Return the model at a place, if that is in a run or a logged model that is known here: else ``None``."""
    holder = holder_of(uri)
    if holder is None:
        return None
    try:
        if is_model_id(holder):
            model = catalog.logged.get_model(holder)
            return _of_logged(model) if below(uri, model.artifact_uri) == () else None
        run = stores.runs.get_run(holder)
    except NotFound:  # a place that looks like ours, and is none
        return None
    path = below(uri, run.info.artifact_uri)
    if path is None:
        return None
    return Located(uri="/".join((f"runs:/{holder}", *path)), location=uri, run_id=holder, path="/".join(path))


def made_by(logged: LoggedModelStore, run_id: str) -> Sequence[LoggedModel]:
    """Return the models that a run made and that are there, by the step at which it did."""
    used = logged.models_of([run_id]).get(run_id)
    found = []
    for output in sorted(used.outputs, key=lambda output: output.step) if used is not None else ():
        try:
            model = logged.get_model(output.model_id)
        except NotFound:  # deleted meanwhile
            continue
        found.append((output.step, model.creation_time, model))
    return [model for _, _, model in sorted(found, key=lambda each: each[:2])]


def _has_model(runs: RunStore, run_id: str, path: str) -> bool:
    wanted = f"{path}/{MODEL_FILE}" if path else MODEL_FILE
    return bool(runs.list_artifacts(run_id, prefix=wanted, limit=1).items)


def _models_in(runs: RunStore, run_id: str) -> list[str]:
    """Return the folders among a run's artifacts that are models; of many artifacts, the first."""
    paths = [file.path for file in runs.list_artifacts(run_id, limit=_LOOKED_AT).items]
    return [path.removesuffix(MODEL_FILE).rstrip("/") for path in paths if path.rpartition("/")[2] == MODEL_FILE]


def _nothing(run: Run, path: str, there: Sequence[str]) -> str:
    told = f"its models are {', '.join(sorted(set(there))[:_LISTED])}" if there else "it logged no model"
    return f"run {run.info.run_name} ({run.info.run_id}) has no model {path!r}: {told}"
