"""Registered models and their versions, as a client works with them. The names are MLflow's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.active.connected import Connected, PagedList
from toolkit.active.registered import ModelVersion, RegisteredModel
from toolkit.errors import InvalidValue, NotFound, NotYetSupported
from toolkit.registry.locating import locate
from toolkit.registry.names import ModelUri, read_version
from toolkit.registry.records import Stage
from toolkit.registry.registering import Registration, copy, new_version
from toolkit.registry.sources import version_of
from toolkit.registry.store import RegistryStore
from toolkit.tracking.records import SearchQuery

_MODELS, _VERSIONS = 100, 10_000


class RegistryClient(Connected):
    """The part of `Client` that is about registered models."""

    @property
    def _registered(self) -> RegistryStore:
        return self._catalog.registered

    # -- registered models ---------------------------------------------------------------------------

    def create_registered_model(
        self,
        name: str,
        tags: Mapping[str, object] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Register a model, without versions.

        Args:
            name: Its name: no ``/`` and no ``:``.
            tags: Its tags.
            description: What it is.
            deployment_job_id: MLflow's argument for Databricks; it must be left out.

        Raises:
            AlreadyExists: There is one of this name.
        """
        _check_no_job(deployment_job_id)
        made = self._registered.create_model(name, description=description, tags=_texts(tags))
        return RegisteredModel.of(made)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model with the highest version in each stage.

        Raises:
            NotFound: There is none of this name.
        """
        return RegisteredModel.of(self._registered.get_model(name))

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a registered model another name; its versions, tags and aliases stay.

        Raises:
            AlreadyExists: There is one of the new name.
        """
        return RegisteredModel.of(self._registered.update_model(name, new_name=new_name))

    def update_registered_model(
        self, name: str, description: str | None = None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Describe a registered model; ``deployment_job_id`` is for Databricks and must be left out."""
        _check_no_job(deployment_job_id)
        return RegisteredModel.of(self._registered.update_model(name, description=description))

    def delete_registered_model(self, name: str) -> None:
        """Delete a registered model with its versions."""
        self._registered.delete_model(name)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = _MODELS,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return a page of registered models; default order: by name.

        Args:
            filter_string: Such as ``name LIKE 'wine%' AND tags.team = 'red'``.
            max_results: So many at most.
            order_by: Such as ``["timestamp DESC"]``.
            page_token: The ``token`` of the page before.

        Raises:
            InvalidValue: An argument cannot be used; the message shows where.
        """
        page = self._registered.search_models(_query(filter_string, max_results, order_by, page_token))
        return PagedList([RegisteredModel.of(each) for each in page.items], page.next_page_token)

    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list[ModelVersion]:
        """Return the highest version in each of these stages, or in each stage there is."""
        found = self._registered.latest_versions(name, [Stage.read(stage) for stage in stages or ()])
        return [ModelVersion.of(each) for each in found]

    def set_registered_model_tag(self, name: str, key: str, value: object) -> None:
        """Set a tag of a registered model."""
        self._registered.update_model(name, tags={key: str(value)})

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Remove a tag of a registered model, if it is there."""
        self._registered.update_model(name, tags={key: None})

    def set_registered_model_alias(self, name: str, alias: str, version: int | str) -> None:
        """Let an alias stand for a version, also where it stood for another one."""
        self._registered.set_alias(name, alias, _number(version))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias, if it is there."""
        self._registered.delete_alias(name, alias)

    # -- versions ------------------------------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Mapping[str, object] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: int | None = 300,  # noqa: ARG002 - MLflow's
        model_id: str | None = None,
    ) -> ModelVersion:
        """Make a version of a registered model that is there. It is ready at once.

        Args:
            name: The registered model.
            source: The model: ``models:/m-…``, ``models:/name/3``, ``runs:/<run id>/<path>``, or where its files are.
            run_id: The run that made it.
            tags: Its tags.
            run_link: Where the run is shown, if elsewhere.
            description: What it is.
            await_creation_for: MLflow's argument; there is nothing to wait for.
            model_id: The logged model that it is.

        Raises:
            NotFound: There is no such registered model, model or run, or it holds no model.
            InvalidValue: The source is not in what the other arguments name.
        """
        self._registered.get_model(name)
        uri = f"models:/{model_id}" if model_id is not None and not source.startswith("models:") else source
        wanted = Registration(uri=uri, name=name, run_id=run_id, description=description, tags=_texts(tags))
        return ModelVersion.of(
            self._registered.create_version(new_version(wanted, self._stores, self._catalog, run_link=run_link))
        )

    def copy_model_version(self, src_model_uri: str, dst_name: str) -> ModelVersion:
        """Make a version of the same files in another registered model, which is made where there is none.

        Args:
            src_model_uri: ``models:/name/3`` or ``models:/name@alias``.
            dst_name: The other one's name.

        Raises:
            InvalidValue: The URI names no version.
            NotFound: There is none.
        """
        uri = ModelUri.read(src_model_uri)
        if uri.name is None:
            raise InvalidValue(
                f"{src_model_uri} is no version: wanted models:/<name>/<version>, or models:/<name>@<alias>"
            )
        return ModelVersion.of(copy(version_of(self._registered, uri), dst_name, self._catalog))

    def get_model_version(self, name: str, version: int | str) -> ModelVersion:
        """Return a version with its aliases.

        Raises:
            NotFound: There is none.
        """
        return ModelVersion.of(self._registered.get_version(name, _number(version)))

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for.

        Raises:
            InvalidValue: There is no such alias.
        """
        return ModelVersion.of(self._registered.find_alias(name, alias))

    def get_model_version_download_uri(self, name: str, version: int | str) -> str:
        """Return where the files of a version are."""
        return locate(f"models:/{name}/{_number(version)}", self._stores, self._catalog).location

    def get_model_version_stages(self, name: str, version: int | str) -> list[str]:
        """Return the stages that a version can take."""
        self._registered.get_version(name, _number(version))
        return [stage.value for stage in Stage]

    def update_model_version(self, name: str, version: int | str, description: str | None = None) -> ModelVersion:
        """Describe a version."""
        return ModelVersion.of(self._registered.update_version(name, _number(version), description=description))

    def transition_model_version_stage(
        self, name: str, version: int | str, stage: str, archive_existing_versions: bool = False
    ) -> ModelVersion:
        """Move a version to a stage.

        Args:
            name: The registered model.
            version: The number.
            stage: ``None``, ``Staging``, ``Production`` or ``Archived``, in any case.
            archive_existing_versions: Whether the others there go to the archive.

        Raises:
            InvalidValue: There is no such stage, or others are to be archived for one that is not in use.
            NotFound: There is no such version.
        """
        moved = self._registered.set_stage(
            name, _number(version), Stage.read(stage), archive_existing=archive_existing_versions
        )
        return ModelVersion.of(moved)

    def delete_model_version(self, name: str, version: int | str) -> None:
        """Delete a version and its aliases; its number stays taken."""
        self._registered.delete_version(name, _number(version))

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = _VERSIONS,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return a page of versions, without their aliases; default order: the last changed first.

        Args:
            filter_string: Such as ``name = 'wine' AND tags.checked = 'yes'``.
            max_results: So many at most.
            order_by: Such as ``["version_number DESC"]``.
            page_token: The ``token`` of the page before.

        Raises:
            InvalidValue: An argument cannot be used; the message shows where.
        """
        page = self._registered.search_versions(_query(filter_string, max_results, order_by, page_token))
        return PagedList([ModelVersion.of(each) for each in page.items], page.next_page_token)

    def set_model_version_tag(
        self,
        name: str,
        version: int | str | None = None,
        key: str | None = None,
        value: object = None,
        stage: str | None = None,
    ) -> None:
        """Set a tag of a version, or of the highest version in a stage."""
        self._tag_version(name, version, stage, key, str(value))

    def delete_model_version_tag(
        self, name: str, version: int | str | None = None, key: str | None = None, stage: str | None = None
    ) -> None:
        """Remove a tag of a version, or of the highest version in a stage, if it is there."""
        self._tag_version(name, version, stage, key, None)

    def _tag_version(
        self, name: str, version: int | str | None, stage: str | None, key: str | None, value: str | None
    ) -> None:
        if (version is None) == (stage is None):
            raise InvalidValue("give either version or stage")
        if key is None:
            raise InvalidValue("give the tag's key")
        if version is None:
            found = self._registered.latest_versions(name, [Stage.read(stage or "")])
            if not found:
                raise NotFound(f"Could not find any model version for {stage} stage")
            version = found[0].version
        self._registered.update_version(name, _number(version), tags={key: value})


def _check_no_job(deployment_job_id: str | None) -> None:
    if deployment_job_id is not None:
        raise NotYetSupported("deployment_job_id names a job of Databricks': leave it out")


def _number(version: int | str) -> int:
    return read_version(str(version))


def _texts(tags: Mapping[str, object] | None) -> dict[str, str]:
    return {key: str(value) for key, value in (tags or {}).items()}


def _query(text: str | None, limit: int, order_by: Sequence[str] | None, token: str | None) -> SearchQuery:
    return SearchQuery(filter=text or "", order_by=tuple(order_by or ()), limit=limit, page_token=token or None)
