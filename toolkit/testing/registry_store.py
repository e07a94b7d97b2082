"""The contract of `toolkit.registry.store.RegistryStore` as tests.

A subclass gives the fixtures ``registry``, an empty registry, and ``models``, the store of logged models beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from toolkit.errors import AlreadyExists, InvalidValue, NotFound
from toolkit.registry.records import ModelVersion, NewVersion, Stage, VersionStatus
from toolkit.registry.store import RegistryStore
from toolkit.tracking.logged_models import LoggedModelStore, NewLoggedModel
from toolkit.tracking.records import SearchQuery

RUN = "a" * 32
PROMPT = "mlflow.prompt.is_prompt"


def new_version(name: str = "wine", **changes: object) -> NewVersion:
    """Return a version to be made; ``changes`` are fields of `NewVersion`."""
    fields: dict[str, object] = {"name": name, "source": "s3://b/m", "location": "s3://b/m", **changes}
    return NewVersion(**fields)  # type: ignore[arg-type]  # the names are NewVersion's


def models_found(registry: RegistryStore, query: SearchQuery) -> list[str]:
    """Return the names of the models that a query finds, page by page."""
    names: list[str] = []
    while True:
        page = registry.search_models(query)
        names += [model.name for model in page.items]
        if page.next_page_token is None:
            return names
        query = replace(query, page_token=page.next_page_token)


def versions_found(registry: RegistryStore, query: SearchQuery) -> list[str]:
    """Return the names and numbers of the versions that a query finds, page by page."""
    names: list[str] = []
    while True:
        page = registry.search_versions(query)
        names += [f"{version.name}/{version.version}" for version in page.items]
        if page.next_page_token is None:
            return names
        query = replace(query, page_token=page.next_page_token)


def numbers(versions: Sequence[ModelVersion]) -> list[int]:
    """Return the numbers of versions, in order."""
    return sorted(version.version for version in versions)


class RegistryStoreContract:
    """All of the contract."""

    # -- registered models -------------------------------------------------------------------------

    def test_a_model_is_what_was_said(self, registry: RegistryStore) -> None:
        """Made once, found by its name."""
        made = registry.create_model("wine", description="red", tags={"team": "a"})
        assert (made.name, made.description, made.tags) == ("wine", "red", {"team": "a"})
        assert (made.latest_versions, made.aliases) == ((), {})
        assert registry.get_model("wine") == made
        with pytest.raises(AlreadyExists, match=r"Registered Model \(name=wine\) already exists."):
            registry.create_model("wine")
        with pytest.raises(NotFound, match="Registered Model with name=beer not found"):
            registry.get_model("beer")

    def test_names(self, registry: RegistryStore) -> None:
        """As MLflow allows them."""
        for name in ("", "  ", "a/b", "a:b", "..", ".", "x" * 300):
            with pytest.raises(InvalidValue):
                registry.create_model(name)
        for name in ("a b", "ä", "a.b-c_d", "it's", "a..b"):
            assert registry.create_model(name).name == name

    def test_changing(self, registry: RegistryStore) -> None:
        """Described, tagged, renamed with its versions and aliases."""
        registry.create_model("wine", tags={"a": "1"})
        registry.create_version(new_version())
        changed = registry.update_model("wine", description="", tags={"a": None, "b": "2", "gone": None})
        assert (changed.description, changed.tags) == ("", {"b": "2"})
        registry.set_alias("wine", "best", 1)
        renamed = registry.update_model("wine", new_name="vin")
        assert (renamed.name, renamed.aliases) == ("vin", {"best": 1})
        assert [version.name for version in renamed.latest_versions] == ["vin"]
        assert registry.get_version("vin", 1).aliases == ("best",)
        with pytest.raises(NotFound):
            registry.get_model("wine")
        registry.create_model("wine")
        with pytest.raises(AlreadyExists):
            registry.update_model("vin", new_name="wine")
        with pytest.raises(InvalidValue):
            registry.update_model("vin", new_name="a/b")
        with pytest.raises(NotFound):
            registry.update_model("beer", description="x")

    def test_deleting_a_model(self, registry: RegistryStore) -> None:
        """Its versions go with it, and its name is free."""
        registry.create_model("wine", tags={"a": "1"})
        registry.create_version(new_version(run_id=RUN))
        registry.set_alias("wine", "best", 1)
        registry.delete_model("wine")
        for call in (registry.get_model, registry.delete_model, registry.latest_versions):
            with pytest.raises(NotFound):
                call("wine")
        with pytest.raises(NotFound):
            registry.get_version("wine", 1)
        assert registry.needed_by(RUN) is None
        assert models_found(registry, SearchQuery()) == []
        assert versions_found(registry, SearchQuery()) == []
        again = registry.create_model("wine")
        assert (again.tags, again.aliases, again.latest_versions) == ({}, {}, ())

    # -- versions ----------------------------------------------------------------------------------

    def test_a_version_is_what_was_said(self, registry: RegistryStore) -> None:
        """Ready at once, with the next number."""
        registry.create_model("wine")
        new = new_version(
            run_id=RUN, run_link="http://x", user_id="ada", description="d", tags={"q": "1"}, model_id="m-" + "b" * 32
        )
        made = registry.create_version(new)
        assert (made.name, made.version, made.stage, made.status) == ("wine", 1, Stage.NONE, VersionStatus.READY)
        assert (made.source, made.location, made.run_id, made.run_link) == ("s3://b/m", "s3://b/m", RUN, "http://x")
        assert (made.user_id, made.description, made.tags, made.aliases) == ("ada", "d", {"q": "1"}, ())
        assert registry.get_version("wine", 1) == made
        with pytest.raises(NotFound, match=r"Model Version \(name=wine, version=2\) not found"):
            registry.get_version("wine", 2)
        with pytest.raises(NotFound, match="Registered Model with name=beer not found"):
            registry.create_version(new_version("beer"))
        with pytest.raises(InvalidValue):
            registry.create_version(new_version(source=""))

    def test_numbers_are_never_given_again(self, registry: RegistryStore) -> None:
        """Deleted versions keep theirs."""
        registry.create_model("wine")
        for number in (1, 2, 3):
            assert registry.create_version(new_version()).version == number
        registry.delete_version("wine", 3)
        registry.delete_version("wine", 2)
        assert registry.create_version(new_version()).version == 4
        with pytest.raises(NotFound):
            registry.delete_version("wine", 3)
        assert versions_found(registry, SearchQuery(order_by=["version_number"])) == ["wine/1", "wine/4"]

    def test_numbers_are_dense_whoever_makes_them(self, registry: RegistryStore) -> None:
        """Many at once, in one model and in another."""
        for name in ("wine", "beer"):
            registry.create_model(name)
        made: list[ModelVersion] = []
        failed: list[BaseException] = []

        def make(name: str) -> None:
            try:
                made.extend(registry.create_version(new_version(name, tags={"a": "b"})) for _ in range(6))
            except BaseException as error:  # noqa: BLE001 - the test says what it was
                failed.append(error)

        threads = [threading.Thread(target=make, args=(name,)) for name in ("wine", "beer") for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        for name in ("wine", "beer"):
            assert numbers([version for version in made if version.name == name]) == list(range(1, 37))

    def test_changing_a_version(self, registry: RegistryStore) -> None:
        """Described and tagged."""
        registry.create_model("wine")
        registry.create_version(new_version(tags={"a": "1"}))
        changed = registry.update_version("wine", 1, description="new", tags={"a": None, "b": "2"})
        assert (changed.description, changed.tags) == ("new", {"b": "2"})
        assert registry.get_version("wine", 1) == changed
        with pytest.raises(NotFound):
            registry.update_version("wine", 2, description="x")
        with pytest.raises(InvalidValue):
            registry.update_version("wine", 1, tags={"": "x"})

    def test_stages(self, registry: RegistryStore) -> None:
        """Taken, given up to others, and the highest version of each."""
        registry.create_model("wine")
        for _ in range(4):
            registry.create_version(new_version())
        for number in (1, 2):
            assert registry.set_stage("wine", number, Stage.PRODUCTION).stage is Stage.PRODUCTION
        assert numbers(registry.latest_versions("wine")) == [2, 4]
        assert numbers(registry.latest_versions("wine", [Stage.PRODUCTION])) == [2]
        assert registry.latest_versions("wine", [Stage.STAGING]) == []
        registry.set_stage("wine", 3, Stage.PRODUCTION, archive_existing=True)
        told = {version.version: version.stage for version in registry.search_versions(SearchQuery()).items}
        assert told == {1: Stage.ARCHIVED, 2: Stage.ARCHIVED, 3: Stage.PRODUCTION, 4: Stage.NONE}
        assert numbers(registry.get_model("wine").latest_versions) == [2, 3, 4]
        registry.set_stage("wine", 3, Stage.PRODUCTION, archive_existing=True)
        assert registry.get_version("wine", 3).stage is Stage.PRODUCTION
        with pytest.raises(InvalidValue, match="is not an Active stage"):
            registry.set_stage("wine", 1, Stage.NONE, archive_existing=True)
        with pytest.raises(NotFound):
            registry.set_stage("wine", 9, Stage.NONE)
        registry.delete_version("wine", 4)
        assert numbers(registry.latest_versions("wine")) == [2, 3]

    def test_stages_are_read_in_any_case(self) -> None:
        """And nothing else is one."""
        assert Stage.read("pRoduction") is Stage.PRODUCTION
        with pytest.raises(InvalidValue, match=r"Invalid Model Version stage: x\. Value must be one of None, Staging"):
            Stage.read("x")

    def test_aliases(self, registry: RegistryStore) -> None:
        """Moved, removed, refused; gone with their version."""
        registry.create_model("wine")
        for _ in range(2):
            registry.create_version(new_version())
        registry.set_alias("wine", "best", 1)
        registry.set_alias("wine", "best", 2)
        registry.set_alias("wine", "Best", 1)
        assert registry.find_alias("wine", "best").version == 2
        assert registry.find_alias("wine", "best").aliases == ("best",)
        assert registry.get_model("wine").aliases == {"Best": 1, "best": 2}
        assert [version.aliases for version in registry.latest_versions("wine")] == [("best",)]
        for alias in ("latest", "LATEST", "v1", "V20", "a b", "a/b", "", "x" * 300):
            with pytest.raises(InvalidValue):
                registry.set_alias("wine", alias, 1)
        with pytest.raises(NotFound):
            registry.set_alias("wine", "new", 3)
        registry.delete_alias("wine", "best")
        registry.delete_alias("wine", "best")
        with pytest.raises(InvalidValue, match=r"Registered model alias best not found\."):
            registry.find_alias("wine", "best")
        registry.delete_version("wine", 1)
        assert registry.get_model("wine").aliases == {}
        for call in (registry.find_alias, registry.delete_alias):
            with pytest.raises(NotFound):
                call("beer", "x")

    def test_a_logged_model_lists_its_versions(self, registry: RegistryStore, models: LoggedModelStore) -> None:
        """In the tag that MLflow's clients read."""
        model_id = models.create_model(NewLoggedModel(experiment_id="0", name="m")).model_id
        registry.create_model("wine")
        for _ in range(2):
            registry.create_version(new_version(model_id=model_id))
        told = models.get_model(model_id).tags["mlflow.modelVersions"]
        assert told == '[{"name": "wine", "version": 1}, {"name": "wine", "version": 2}]'
        stale = '[{"name": "wine", "version": 1}, {"name": "wine", "version": "1"}]'  # a client that read it before
        models.tag_model(model_id, {"mlflow.modelVersions": stale})
        assert models.get_model(model_id).tags["mlflow.modelVersions"] == told

    def test_what_needs_files(self, registry: RegistryStore, models: LoggedModelStore) -> None:
        """By run, by logged model, and by the place where the files are."""
        model_id = models.create_model(NewLoggedModel(experiment_id="0", name="m")).model_id
        registry.create_model("wine")
        registry.create_version(new_version(run_id=RUN))
        registry.create_version(new_version(location=f"s3://a/1/{'c' * 32}/artifacts/model"))
        registry.create_version(new_version(location=f"runs:/{'d' * 32}/model"))
        registry.create_version(new_version(location=f"mlflow-artifacts:/1/models/{model_id}/artifacts"))
        for number, holder in enumerate((RUN, "c" * 32, "d" * 32, model_id), 1):
            assert registry.needed_by(holder) == f"version {number} of model wine"
        assert registry.needed_by("e" * 32) is None
        models.delete_model(model_id)
        assert models.purge([model_id]) == []
        registry.delete_version("wine", 4)
        assert registry.needed_by(model_id) is None
        assert models.purge([model_id]) == [model_id]

    # -- search ------------------------------------------------------------------------------------

    def test_searching_models(self, registry: RegistryStore) -> None:
        """By name and tags, in every order."""
        for name in ("beta", "alpha", "Gamma", "Ämne"):
            registry.create_model(name, tags={"first": name[0]})
        registry.update_model("beta", description="changed")
        for text, wanted in (
            ("", ["Gamma", "alpha", "beta", "Ämne"]),
            ("name = 'alpha'", ["alpha"]),
            ("name LIKE '%a'", ["Gamma", "alpha", "beta"]),
            ("name LIKE 'g%'", []),
            ("name ILIKE 'g%'", ["Gamma"]),
            ("name ILIKE 'äM%'", ["Ämne"]),
            ("name REGEXP '^.e'", ["beta"]),
            ("name IN ('alpha', 'beta')", ["alpha", "beta"]),
            ("tags.first = 'b'", ["beta"]),
            ("tags.first != 'b' AND name != 'alpha'", ["Gamma", "Ämne"]),
            ("tags.other IS NULL", ["Gamma", "alpha", "beta", "Ämne"]),
        ):
            assert models_found(registry, SearchQuery(filter=text, limit=1)) == wanted, text
        assert models_found(registry, SearchQuery(order_by=["name DESC"], limit=3))[0] == "Ämne"
        assert sorted(models_found(registry, SearchQuery(order_by=["timestamp DESC", "name"], limit=1))) == sorted(
            ["Gamma", "alpha", "beta", "Ämne"]
        )
        assert models_found(registry, SearchQuery(order_by=["tags.first"], limit=1)) == [
            "Gamma",
            "alpha",
            "beta",
            "Ämne",
        ]
        with pytest.raises(InvalidValue):
            registry.search_models(SearchQuery(limit=1_001))
        with pytest.raises(InvalidValue, match="registered models have"):
            registry.search_models(SearchQuery(filter="run_id = 'x'"))

    def test_a_models_page_has_what_each_is(self, registry: RegistryStore) -> None:
        """As if each were asked for alone."""
        for name in ("a", "b"):
            registry.create_model(name, tags={"t": name})
            for _ in range(3):
                registry.create_version(new_version(name, tags={"v": name}))
            registry.set_stage(name, 1, Stage.STAGING)
            registry.set_alias(name, "best", 2)
        page = registry.search_models(SearchQuery())
        assert page.items == [registry.get_model("a"), registry.get_model("b")]
        assert [numbers(model.latest_versions) for model in page.items] == [[1, 3], [1, 3]]

    def test_searching_versions(self, registry: RegistryStore) -> None:
        """By each field, on pages of any size."""
        for name in ("wine", "beer"):
            registry.create_model(name)
            for number in (1, 2):
                run_id = f"{number}" * 32 if name == "wine" else None
                registry.create_version(
                    new_version(name, run_id=run_id, source=f"s3://{name}/{number}", tags={"n": f"{number}"})
                )
        everything = ["beer/1", "beer/2", "wine/1", "wine/2"]
        for text, wanted in (
            ("", everything),
            ("name = 'wine'", ["wine/1", "wine/2"]),
            ("name = 'wine' AND version_number > 1", ["wine/2"]),
            ("run_id IN ('" + "1" * 32 + "')", ["wine/1"]),
            ("run_id IS NULL", ["beer/1", "beer/2"]),
            ("source_path LIKE 's3://%/2'", ["beer/2", "wine/2"]),
            ("source_path REGEXP 'w.*/2'", ["wine/2"]),
            ("tags.n = '1'", ["beer/1", "wine/1"]),
            ("tags.other = '1'", []),
        ):
            assert versions_found(registry, SearchQuery(filter=text, order_by=["name", "version_number"])) == wanted
            assert sorted(versions_found(registry, SearchQuery(filter=text, limit=1))) == wanted
        assert versions_found(registry, SearchQuery(order_by=["name DESC"], limit=1))[0].startswith("wine")
        registry.set_alias("wine", "best", 1)
        assert all(version.aliases == () for version in registry.search_versions(SearchQuery(limit=200_000)).items)
        with pytest.raises(InvalidValue):
            registry.search_versions(SearchQuery(limit=200_001))
        with pytest.raises(InvalidValue, match="page_token"):
            registry.search_versions(SearchQuery(page_token="nonsense"))  # noqa: S106 - a page's

    def test_prompts_are_found_by_who_asks(self, registry: RegistryStore) -> None:
        """And a model without the tag is no prompt."""
        for name, flag in (("plain", None), ("no", "false"), ("yes", "true")):
            tags = {} if flag is None else {PROMPT: flag}
            registry.create_model(name, tags=tags)
            registry.create_version(new_version(name, tags=tags))
        for text, wanted in (
            ("", ["no", "plain"]),
            (f"tag.`{PROMPT}` != 'true'", ["no", "plain"]),
            (f"tag.`{PROMPT}` = 'false'", ["no", "plain"]),
            (f"tag.`{PROMPT}` = 'true'", ["yes"]),
            (f"name = 'plain' AND tag.`{PROMPT}` != 'true'", ["plain"]),
            (f"name = 'yes' AND tag.`{PROMPT}` != 'true'", []),
            (f"tag.`{PROMPT}` != 'false'", ["yes"]),
        ):
            assert models_found(registry, SearchQuery(filter=text)) == wanted, text
            assert sorted(versions_found(registry, SearchQuery(filter=text))) == [f"{name}/1" for name in wanted], text
