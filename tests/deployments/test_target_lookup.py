"""Which targets there are; their options."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from toolkit.deployments.target import DependsOnOptions
from toolkit.deployments.targets.lookup import BUILT_IN, GROUP, names, target_named
from toolkit.errors import InvalidValue

OTHER = """
class Raft:
    name, serves = "raft", False
TARGET = Raft()
"""
DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "targets.md"
WITH_OPTIONS = ("kubernetes", "sagemaker", "azureml", "bentocloud")


def test_what_is_built_in_registers_as_others_do() -> None:
    found = {each.name: each for each in entry_points(group=GROUP)}

    assert set(found) >= set(BUILT_IN)
    for name in BUILT_IN:
        target = found[name].load()
        assert target is target_named(name)
        assert target.name == name


def test_a_target_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "raft-1.0.dist-info").mkdir(parents=True)
    (site / "raft_of_ours.py").write_text(OTHER, encoding="utf-8")
    (site / "raft-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: raft\nVersion: 1.0\n")
    (site / "raft-1.0.dist-info" / "entry_points.txt").write_text("[toolkit.targets]\nraft = raft_of_ours:TARGET\n")
    monkeypatch.syspath_prepend(str(site))

    assert names()[-1] == "raft"
    assert target_named("raft").name == "raft"
    with pytest.raises(InvalidValue, match=r"there is no target 'boat': there are local, docker, .*, raft"):
        target_named("boat")
    sys.modules.pop("raft_of_ours")


def test_kubernetes_serves_only_where_it_is_to_apply() -> None:
    files = target_named("kubernetes", {"image": "x"})
    cluster = target_named("kubernetes", {"apply": "true"})

    assert isinstance(files, DependsOnOptions)
    assert (files.name, files.serves) == ("kubernetes", False)
    assert (cluster.name, cluster.serves) == ("kubernetes", True)


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_an_option_that_does_not_fit_is_named_and_so_is_what_was_wanted(name: str) -> None:
    target = target_named(name)

    with pytest.raises(InvalidValue, match=f"{name} has no option 'imagee': wanted some of "):
        target.require({"imagee": "x"})


@pytest.mark.parametrize("name", ["kubernetes", "sagemaker", "azureml"])
def test_an_image_is_wanted_and_nothing_is_smuggled_in_by_its_name(name: str) -> None:
    target = target_named(name)
    others = {"role": "arn:aws:iam::123456789012:role/x"} if name == "sagemaker" else {}

    with pytest.raises(InvalidValue, match=f"{name} takes --option image=…: the image"):
        target.require(others)
    for image in ("a b", "a\nrun: x", "reg/$(id)", "-x", "reg/wine;id", "reg/wine:{version\n}", "Ä"):
        with pytest.raises(InvalidValue, match=f"option image of {name} is .*: wanted "):
            target.require({"image": image, **others})


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_each_option_is_in_the_reference(name: str) -> None:
    module = sys.modules[type(target_named(name)).__module__]
    part = DOCS.read_text(encoding="utf-8").partition(f"\n## {name}")[2].partition("\n## ")[0]

    missing = [each.name for each in module.OPTIONS if f"| `{each.name}` |" not in part]
    assert missing == []
