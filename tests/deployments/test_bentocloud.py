"""BentoCloud: BentoML's own command, against an API on this machine that answers as BentoCloud's does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fake_bentocloud import TOKEN, FakeBentoCloud, running
from placements import placement

from toolkit.deployments.target import Placement
from toolkit.deployments.targets.bentocloud import TARGET
from toolkit.errors import MissingTool, TargetFailed


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBentoCloud]:
    """BentoCloud, with a login."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    with running(FakeBentoCloud()) as found:
        for name, value in found.variables().items():
            monkeypatch.setenv(name, value)
        yield found


def release(folder: Path, number: int = 1, **options: str) -> Placement:
    """Return a release whose Bento says what its service is called."""
    found = placement(folder, options, release=number)
    (found.bento.path / "bento.yaml").write_text("entry_service: Wine\n", encoding="utf-8")
    return found


def test_a_release_and_the_next_one(cloud: FakeBentoCloud, tmp_path: Path) -> None:
    TARGET.require({})
    first = TARGET.switch(TARGET.start(release(tmp_path, instance_type="cpu.2")), None)

    assert first.address == f"{cloud.address}/at/wine"
    assert cloud.deployments["wine"]["bento"] == "wine-quality:3"
    assert cloud.deployments["wine"]["access_authorization"] is True  # else the whole world could ask it
    assert cloud.deployments["wine"]["services"]["Wine"]["instance_type"] == "cpu.2"
    file = yaml.safe_load((tmp_path / "1" / "deployment.yaml").read_text(encoding="utf-8"))
    assert (file["name"], file["bento"]) == ("wine", "wine-quality:3")

    second = TARGET.start(release(tmp_path, 2))
    assert sorted(cloud.deployments) == ["toolkit-wine-r2", "wine"]
    assert TARGET.health(second).state == "ready"
    answer = TARGET.ask(second, "/invocations", b"[1]", content_type="application/json", timeout=60)
    assert json.loads(answer.body) == {"served by": "toolkit-wine-r2"}
    assert cloud.asked == [("/invocations", TOKEN, b"[1]")]

    second = TARGET.switch(second, first)
    assert {name: each["bento"] for name, each in cloud.deployments.items()} == {"wine": "wine-quality:4"}
    TARGET.stop(first)
    assert list(cloud.deployments) == ["wine"]
    TARGET.stop(second)
    assert cloud.deployments == {}
    assert TARGET.health(second).state == "gone"


def test_replicas_that_do_not_run_leave_those_before(cloud: FakeBentoCloud, tmp_path: Path) -> None:
    first = TARGET.switch(TARGET.start(release(tmp_path)), None)
    second = TARGET.start(release(tmp_path, 2))
    cloud.broken = {"wine-quality:4"}

    with pytest.raises(TargetFailed, match="did not bring release 2 of wine up: it says failed"):
        TARGET.switch(second, first)

    assert cloud.deployments["wine"]["bento"] == "wine-quality:3"


def test_what_others_made_is_left_alone(cloud: FakeBentoCloud, tmp_path: Path) -> None:
    cloud.deployments["wine"] = {"name": "wine", "bento": "theirs:1", "services": {}}

    with pytest.raises(TargetFailed, match="has a deployment wine that toolkit did not make"):
        TARGET.start(release(tmp_path))


def test_a_login_is_wanted_before_anything_is_changed(
    cloud: FakeBentoCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTO_CLOUD_API_KEY", "another")
    with pytest.raises(MissingTool, match=r"BentoCloud does not know us: .*log in with bentoml cloud login"):
        TARGET.require({})
    monkeypatch.delenv("BENTO_CLOUD_API_KEY")
    with pytest.raises(MissingTool, match="there is no login to BentoCloud: log in with bentoml cloud login"):
        TARGET.require({})
    assert cloud.deployments == {}
