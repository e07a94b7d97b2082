"""Bentos of registered versions: what is in them, that they are the same of the same, whole or not there."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from served import Workshop

from toolkit.cli.registered import Opened, registry
from toolkit.deployments.bento import BuiltBento, build
from toolkit.deployments.bento_parts import Allowed
from toolkit.deployments.config import ServiceConfig
from toolkit.errors import ArtifactCorrupt, BuildFailed, InvalidValue, NotFound
from toolkit.settings import environment

SCRIPT = Path(__file__).with_name("scripts") / "train_wine.py"
WINE = "models:/wine-quality/1"
NOT_IN_AN_IMAGE = {"alembic", "docker", "fastapi", "prefect", "s3fs", "sqlalchemy", "toolkit", "typer", "uv"}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = Workshop(folder=tmp_path_factory.mktemp("bentos"))
    made.run(str(SCRIPT))
    return made


@pytest.fixture(scope="module")
def here(workshop: Workshop) -> Iterator[Opened]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in workshop.variables.items():
            patch.setenv(name, value)
        with registry() as opened:
            yield opened


@pytest.fixture(scope="module")
def wine(here: Opened, workshop: Workshop) -> BuiltBento:
    return built(here, workshop.folder / "bentoml")


def built(here: Opened, home: Path, uri: str = WINE, **options: Any) -> BuiltBento:  # noqa: ANN401 - those of `build`
    config = options.pop("config", ServiceConfig())
    return build(uri, here.stores, here.catalog, config, home=home, **options)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts  # of whoever has imported it
    }


# -- what is in one ----------------------------------------------------------------------------------


def test_it_is_called_after_the_model_and_bentoml_finds_it(here: Opened, wine: BuiltBento, workshop: Workshop) -> None:
    version = here.registry.get_version("wine-quality", 1)
    assert (wine.tag, wine.model, wine.version, wine.run_id, wine.made) == (
        "wine-quality:1", "wine-quality", 1, version.run_id, True,
    )  # fmt: skip
    said = yaml.safe_load(workshop.run("-m", "bentoml", "get", "wine-quality:1", "-o", "yaml"))
    assert (said["name"], said["version"]) == ("wine-quality", "1")
    assert said["labels"] == {
        "model": "wine-quality", "version": "1", "run_id": version.run_id, "digest": wine.digest,
        "built_by": "toolkit 0.1.0",
    }  # fmt: skip
    model = yaml.safe_load(workshop.run("-m", "bentoml", "models", "get", "wine-quality:1", "-o", "yaml"))
    assert {key: model["labels"][key] for key in ("model", "version", "run_id")} == {
        "model": "wine-quality", "version": "1", "run_id": version.run_id,
    }  # fmt: skip
    assert model["labels"]["digest"] == model_digest(wine.model_path)


def model_digest(folder: Path) -> str:
    """Of the files of a model, computed here in another way than there."""
    files = {path: digest for path, digest in contents(folder).items() if path != "model.yaml"}
    text = "{" + ",".join(f'"{path}":"{digest}"' for path, digest in sorted(files.items())) + "}"
    return hashlib.sha256(text.encode()).hexdigest()


def test_it_says_what_it_serves_and_trusts_what_was_recorded(here: Opened, wine: BuiltBento) -> None:
    said = json.loads((wine.path / "src" / "model.json").read_text())
    assert {key: said[key] for key in ("model", "version", "run_id", "digest", "model_tag")} == {
        "model": "wine-quality", "version": 1, "run_id": wine.run_id, "digest": wine.digest,
        "model_tag": "wine-quality:1",
    }  # fmt: skip
    assert ServiceConfig.from_dict(said["config"]) == ServiceConfig()
    assert set(said["trusted"]) == {
        digest for path, digest in contents(wine.model_path).items() if path != "model.yaml"
    }


def test_its_image_holds_what_serves_and_nothing_of_what_trains(wine: BuiltBento) -> None:
    lines = (wine.path / "env" / "python" / "requirements.txt").read_text().splitlines()
    names = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert all("==" in line for line in lines), lines
    assert {"bentoml", "scikit-learn", "pandas", "pyarrow", "numpy", "skops"} <= names
    assert names & NOT_IN_AN_IMAGE == set()
    recipe = (wine.path / "env" / "docker" / "Dockerfile").read_text()
    assert f"FROM python:{sys.version_info[0]}.{sys.version_info[1]}-slim " in recipe
    assert "apt-get" not in recipe
    assert recipe.rstrip().splitlines()[-3] == "USER bentoml"


def test_the_service_needs_nothing_of_toolkit_that_is_not_in_it(wine: BuiltBento, tmp_path: Path) -> None:
    """In a process whose toolkit is the one that the Bento carries: it loads, and so does its model."""
    script = (
        "import sys, json\n"
        f"sys.path.insert(0, {str(wine.path / 'src')!r})\n"
        "import toolkit, toolkit.pyfunc, service\n"
        "from toolkit.models.loading import load_model\n"
        f"answer = load_model(__import__('pathlib').Path({str(wine.model_path)!r}))\n"
        "ours = [name for name in sys.modules if name.split('.')[0] == 'toolkit']\n"
        "places = {sys.modules[name].__file__ for name in ours}\n"
        "print(json.dumps([sorted(ours), sorted(places), sorted({each.split('.')[0] for each in sys.modules})]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env=environment(BENTOML_HOME=str(wine.path.parents[2]), BENTOML_DO_NOT_TRACK="True"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours, places, loaded = json.loads(done.stdout.splitlines()[-1])
    assert {place for place in places if not place.startswith(str(wine.path))} == set()
    assert "toolkit.deployments.serving.service" in ours
    assert set(loaded) & (NOT_IN_AN_IMAGE - {"toolkit", "uv"}) == set()


def test_a_person_can_read_the_service(wine: BuiltBento) -> None:
    code = (wine.path / "src" / "service.py").read_text()
    compile(code, "service.py", "exec")
    assert "alcohol: float = Field(examples=[14.23])" in code
    assert 'http={"host": "127.0.0.1"}' in code
    assert len(code.splitlines()) < 80


# -- the same of the same ----------------------------------------------------------------------------


def test_the_same_inputs_give_the_same_bento_elsewhere_too(here: Opened, wine: BuiltBento, tmp_path: Path) -> None:
    before = contents(wine.path)
    again = built(here, wine.path.parents[2])
    assert (again.made, again.tag, again.digest, again.path) == (False, wine.tag, wine.digest, wine.path)
    assert contents(wine.path) == before
    other = built(here, tmp_path / "bentoml")
    assert (other.made, other.digest) == (True, wine.digest)
    theirs = contents(other.path)
    differing = {path for path in before | theirs if before.get(path) != theirs.get(path)}
    assert differing <= {"bento.yaml"}
    assert without_times(other.path / "bento.yaml") == without_times(wine.path / "bento.yaml")


def without_times(file: Path) -> Any:  # noqa: ANN401 - a YAML document
    def cleaned(value: Any) -> Any:  # noqa: ANN401 - a part of one
        if isinstance(value, dict):
            return {key: cleaned(each) for key, each in value.items() if key != "creation_time"}
        return [cleaned(each) for each in value] if isinstance(value, list) else value

    return cleaned(yaml.safe_load(file.read_text()))


def test_another_configuration_gets_a_tag_of_its_own_unless_it_is_to_take_the_place(
    here: Opened, wine: BuiltBento, tmp_path: Path
) -> None:
    home = tmp_path / "bentoml"
    told: list[str] = []
    first = built(here, home)
    two = built(here, home, config=ServiceConfig(workers=2), report=told.append)
    assert (first.tag, two.tag) == ("wine-quality:1", f"wine-quality:1-{two.digest[:8]}")
    assert any("wine-quality:1 is there, built otherwise" in line for line in told)
    assert first.model_path == two.model_path
    assert built(here, home, config=ServiceConfig(workers=2)).made is False
    model, created = first.model_path.stat().st_ino, (first.model_path / "model.yaml").read_text()
    three = built(here, home, config=ServiceConfig(workers=3), replaces=True)
    assert (three.tag, "workers=3," in (three.path / "src" / "service.py").read_text()) == ("wine-quality:1", True)
    # What serves already reads its model from there.
    assert (first.model_path.stat().st_ino, (first.model_path / "model.yaml").read_text()) == (model, created)
    assert sorted(path.name for path in (home / "bentos" / "wine-quality").iterdir()) == sorted(
        ["1", f"1-{two.digest[:8]}", "latest"]
    )
    assert [path.name for path in (home / ".toolkit").iterdir()] == ["wine-quality.lock"]


def test_a_name_that_bentoml_would_not_take_is_told_from_others(here: Opened, tmp_path: Path) -> None:
    made = built(here, tmp_path / "bentoml", "models:/Größe & Co/latest")
    name = f"gr-e-co-{hashlib.sha256('Größe & Co'.encode()).hexdigest()[:8]}"
    assert (made.tag, made.model) == (f"{name}:1", "Größe & Co")
    labels = yaml.safe_load((made.path / "bento.yaml").read_text())["labels"]
    assert labels["model"] == "Größe & Co"


def test_what_may_run_code_is_what_the_user_or_the_store_says(here: Opened, tmp_path: Path) -> None:
    uri = "models:/Größe & Co/1"
    for number, (allowed, trusted) in enumerate(
        [(Allowed(), True), (Allowed(pickles=False), False), (Allowed(pickles=False, everything=True), True)]
    ):
        made = built(here, tmp_path / str(number), uri, allowed=allowed)
        said = json.loads((made.path / "src" / "model.json").read_text())["trusted"]
        assert (contents(made.model_path)["python_model.pkl"] in said) is trusted


# -- whole or not at all -----------------------------------------------------------------------------


def command(workshop: Workshop, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "toolkit", "deployments", "build", "wine-quality/2", "--json"],
        cwd=workshop.folder, env=environment(**{**workshop.variables, "BENTOML_HOME": str(home)}), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
    )  # fmt: skip


def test_of_two_processes_that_build_one_bento_at_once_one_does(workshop: Workshop, tmp_path: Path) -> None:
    home = tmp_path / "bentoml"
    both = [command(workshop, home) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    told = [json.loads(out) for out, _ in said]
    assert sorted(each["made"] for each in told) == [False, True]
    assert {each["tag"] for each in told} == {"wine-quality:2"}


def test_a_build_that_is_killed_leaves_nothing_and_the_next_one_does_it(
    here: Opened, workshop: Workshop, tmp_path: Path
) -> None:
    home = tmp_path / "bentoml"
    process = command(workshop, home)
    limit = time.monotonic() + 300
    while not list((home / ".toolkit").glob("wine-quality=*/home/models")):  # BentoML is at work
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.005)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        each.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(family, timeout=60)
    assert list((home / "bentos").glob("*/*")) == []
    assert list((home / ".toolkit").glob("wine-quality=*")) != []
    made = built(here, home, "models:/wine-quality/2")
    assert (made.made, made.tag) == (True, "wine-quality:2")
    assert [path.name for path in (home / ".toolkit").iterdir()] == ["wine-quality.lock"]


def test_half_an_item_of_bentomls_making_makes_room(here: Opened, tmp_path: Path) -> None:
    home = tmp_path / "bentoml"
    half = home / "bentos" / "wine-quality" / "1"
    half.mkdir(parents=True)
    (half / "README.md").write_text("half")
    made = built(here, home)
    assert (made.tag, made.made, (made.path / "bento.yaml").is_file()) == ("wine-quality:1", True, True)
    shutil.rmtree(made.model_path)
    again = built(here, home)
    assert (again.made, (again.model_path / "MLmodel").is_file()) == (True, True)


# -- what is refused ---------------------------------------------------------------------------------


def model_folder(here: Opened, number: int = 2) -> Path:
    location = here.registry.get_version("wine-quality", number).location
    return Path(location.removeprefix("file://"))


@pytest.mark.parametrize("case", ["changed", "link", "name"])
def test_files_that_are_not_as_they_were_do_not_go_into_a_bento(here: Opened, tmp_path: Path, case: str) -> None:
    folder = model_folder(here)
    added, kept = folder / ("model.yaml" if case == "name" else "more"), (folder / "requirements.txt").read_bytes()
    try:
        if case == "changed":
            (folder / "requirements.txt").write_bytes(kept + b"evil\n")
        elif case == "link":
            added.symlink_to("/etc/passwd")
        else:
            added.write_text("mine")
        kinds = {"changed": ArtifactCorrupt, "link": InvalidValue, "name": InvalidValue}
        words = {"changed": "requirements.txt", "link": "more is a link", "name": "a file model.yaml"}
        with pytest.raises(kinds[case], match=words[case]):
            built(here, tmp_path / "bentoml", "models:/wine-quality/2")
    finally:
        added.unlink(missing_ok=True)
        (folder / "requirements.txt").write_bytes(kept)
    assert not (tmp_path / "bentoml" / "bentos").exists()


def test_what_is_no_version_is_told_in_a_line(here: Opened, tmp_path: Path, workshop: Workshop) -> None:
    with pytest.raises(InvalidValue, match="is no registered version: register it first"):
        built(here, tmp_path / "bentoml", str(model_folder(here)))
    with pytest.raises(NotFound):
        built(here, tmp_path / "bentoml", "models:/wine-quality/9")
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildFailed, match="cannot be written"):
        built(here, tmp_path / "file")
    done = subprocess.run(
        [sys.executable, "-m", "toolkit", "deployments", "build", "wine-quality/1", "--config", "workers=many"],
        cwd=tmp_path, env=environment(**workshop.variables), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", "error: --config workers=many: wanted a number for workers\n",
    )  # fmt: skip
