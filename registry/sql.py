"""The registry in a SQL database: a `toolkit.registry.store.RegistryStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.db.retry import cautious, persistent
from toolkit.errors import InvalidValue
from toolkit.registry import names, sql_gates, sql_models, sql_moves, sql_search, sql_versions
from toolkit.registry.checks import Findings
from toolkit.registry.promotion import Target
from toolkit.registry.records import ModelVersion, NewVersion, RegisteredModel, Stage
from toolkit.registry.sql_acting import ActingSqlStore
from toolkit.registry.sql_history import Recorder
from toolkit.registry.sql_promotions import with_findings
from toolkit.tracking import limits
from toolkit.tracking.records import Page, SearchQuery


class SqlRegistryStore(ActingSqlStore):
    """A `RegistryStore` in a SQL database; its arguments are those of `ActingSqlStore`."""

    @cautious
    def create_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """See `RegistryStore.create_model`."""
        names.check_name(name)
        names.check_description(description)
        names.check_tags(tags or {})
        with self._db.write() as connection:
            return sql_models.add(connection, name, description, tags or {}, self._author, self._dialect)

    @persistent
    def get_model(self, name: str) -> RegisteredModel:
        """See `RegistryStore.get_model`."""
        names.check_name(name)
        with self._db.read() as connection:
            return sql_models.get(connection, name, self._dialect)

    @persistent
    def search_models(self, query: SearchQuery) -> Page[RegisteredModel]:
        """See `RegistryStore.search_models`."""
        search = sql_search.read_models(query)
        with self._db.read() as connection:
            return sql_search.page_models(connection, search, self._dialect)

    @persistent
    def update_model(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> RegisteredModel:
        """See `RegistryStore.update_model`."""
        names.check_name(name)
        if new_name is not None:
            names.check_name(new_name, "new_name")
        names.check_description(description)
        names.check_tags(tags or {})
        with self._db.write() as connection:
            return sql_models.change(connection, name, new_name, description, tags or {}, self._author, self._dialect)

    @cautious
    def delete_model(self, name: str) -> None:
        """See `RegistryStore.delete_model`."""
        names.check_name(name)
        with self._db.write() as connection:
            sql_models.remove(connection, name, self._author)

    @persistent
    def latest_versions(self, name: str, stages: Sequence[Stage] = ()) -> Sequence[ModelVersion]:
        """See `RegistryStore.latest_versions`."""
        names.check_name(name)
        with self._db.read() as connection:
            key = sql_versions.find_model(connection, name).id
            return sql_versions.latest(connection, [key], stages or tuple(Stage), self._dialect)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `RegistryStore.set_alias`."""
        names.check_name(name)
        self._move(name, version, Target(alias=alias))

    def _move(self, name: str, version: int, target: Target, *, archive: bool = False) -> ModelVersion:
        """Let a version take a target, if it may, and return it."""

        def move(findings: Findings | None) -> ModelVersion:
            with self._db.write() as connection:
                row = sql_versions.find(connection, name, version, lock=True)
                if not sql_moves.holds(connection, row, target):
                    sql_gates.admit(connection, name, row, target, findings, self._dialect)
                record = Recorder(connection, row.model, name, self._author)
                sql_moves.take(connection, row, target, record, self._dialect, archive=archive)
                return sql_versions.get(connection, name, version, self._dialect)

        return self._db.persist(lambda: with_findings(self._checks, move))

    @persistent
    def delete_alias(self, name: str, alias: str) -> None:
        """See `RegistryStore.delete_alias`."""
        names.check_name(name)
        limits.check_text(alias, "alias", names.ALIAS_LENGTH)
        with self._db.write() as connection:
            row = sql_versions.find_model(connection, name, lock=True)
            sql_moves.drop_alias(connection, row.id, alias, Recorder(connection, row.id, name, self._author))

    @persistent
    def find_alias(self, name: str, alias: str) -> ModelVersion:
        """See `RegistryStore.find_alias`."""
        names.check_name(name)
        limits.check_text(alias, "alias", names.ALIAS_LENGTH)
        with self._db.read() as connection:
            return sql_versions.find_alias(connection, name, alias, self._dialect)

    @cautious
    def create_version(self, new: NewVersion) -> ModelVersion:
        """See `RegistryStore.create_version`."""
        names.check_new_version(new)
        with self._db.write() as connection:
            return sql_versions.add(connection, new, self._author, self._dialect)

    @persistent
    def get_version(self, name: str, version: int) -> ModelVersion:
        """See `RegistryStore.get_version`."""
        names.check_name(name)
        with self._db.read() as connection:
            return sql_versions.get(connection, name, version, self._dialect)

    @persistent
    def update_version(
        self,
        name: str,
        version: int,
        *,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> ModelVersion:
        """See `RegistryStore.update_version`."""
        names.check_name(name)
        names.check_description(description)
        names.check_tags(tags or {})
        with self._db.write() as connection:
            sql_versions.change(connection, name, version, description, tags or {}, self._author, self._dialect)
            return sql_versions.get(connection, name, version, self._dialect)

    def set_stage(self, name: str, version: int, stage: Stage, *, archive_existing: bool = False) -> ModelVersion:
        """See `RegistryStore.set_stage`."""
        names.check_name(name)
        if archive_existing and not stage.active:
            raise InvalidValue(
                "Model version transition cannot archive existing model versions because "
                f"'{stage.value}' is not an Active stage. Valid stages are ['Staging', 'Production']"
            )
        return self._move(name, version, Target(stage=stage), archive=archive_existing)

    @cautious
    def delete_version(self, name: str, version: int) -> None:
        """See `RegistryStore.delete_version`."""
        names.check_name(name)
        with self._db.write() as connection:
            sql_versions.remove(connection, name, version, self._author)

    @persistent
    def search_versions(self, query: SearchQuery) -> Page[ModelVersion]:
        """See `RegistryStore.search_versions`."""
        search = sql_search.read_versions(query)
        with self._db.read() as connection:
            return sql_search.page_versions(connection, search, self._dialect)

    @persistent
    def needed_by(self, holder: str) -> str | None:
        """See `RegistryStore.needed_by`."""
        with self._db.read() as connection:
            return sql_versions.needed_by(connection, holder)

    def close(self) -> None:
        """Leave the database to who opened it."""
