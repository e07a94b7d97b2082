"""Conda environments: by a real program where there is one, and by a stand-in that keeps to its command line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from toolkit import settings
from toolkit.errors import EnvironmentBuildError
from toolkit.flows.environments import conda
from toolkit.flows.environments.environment import choose, prepare_declared
from toolkit.flows.environments.prepared import PreparedEnvironment
from toolkit.spec.project import EnvironmentRef, Project

REF = EnvironmentRef(kind="conda_env", path="conda.yaml")

# Takes the arguments that conda documents for `env create`, and leaves what conda leaves in a prefix.
STAND_IN = """#!{python}
import json, os, sys, time
assert sys.argv[1:3] == ["env", "create"] and sys.argv[3] == "--prefix" and sys.argv[5] == "--file", sys.argv
prefix, file = sys.argv[4], sys.argv[6]
text = open(file).read()
open(os.environ["STAND_IN_CALLS"], "a").write(prefix + chr(10))
assert not os.path.exists(prefix) and os.environ["CONDA_ALWAYS_YES"] == "1" and "VIRTUAL_ENV" not in os.environ
if "no-such-package" in text:
    print("Channels:")
    os.makedirs(prefix + "/bin")
    print("PackagesNotFoundError: The following packages are not available: - no-such-package", file=sys.stderr)
    sys.exit(1)
time.sleep(0.5)
for folder in ("bin", "conda-meta", "etc/conda/activate.d", "lib/python3.11/site-packages/six-1.17.0.dist-info"):
    os.makedirs(os.path.join(prefix, folder))
os.symlink(sys.executable, prefix + "/bin/python")
def note(file, **record):
    open(f"{prefix}/conda-meta/{file}", "w").write(json.dumps(record))
url = "https://c/linux-64/python-3.11.9-h1.conda"
note("python-3.11.9-h1.json", name="python", version="3.11.9", url=url, sha256="ab")
note("gcc-12-h2.json", name="gcc", version="12", build="h2")
note("state", env_vars={"DECLARED": "in the file"})
open(prefix + "/etc/conda/activate.d/gdal.sh", "w").write('export GDAL_DATA="$CONDA_PREFIX/share/gdal"')
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "conda.yaml").write_text("dependencies: [python=3.11, gcc=12, pip, pip: [six]]\n")
    return Project(directory=tmp_path / "project", environment=REF)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in, which is the only conda on the path, notes its calls."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "conda").write_text(STAND_IN.replace("{python}", sys.executable))
    (programs / "conda").chmod(0o755)
    without_conda(monkeypatch, str(programs))
    monkeypatch.setenv("STAND_IN_CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def without_conda(monkeypatch: pytest.MonkeyPatch, *first: str) -> None:
    for name in ("MLFLOW_CONDA_HOME", "MLFLOW_CONDA_CREATE_ENV_CMD", "MAMBA_EXE", "CONDA_EXE"):
        monkeypatch.delenv(name, raising=False)
    rest = [entry for entry in os.environ["PATH"].split(":") if conda.find_program({"PATH": entry}) is None]
    monkeypatch.setenv("PATH", ":".join([*first, *rest]))


def build(project: Project, home: Path, report: list[str] | None = None) -> PreparedEnvironment:
    said = [] if report is None else report
    return prepare_declared(REF, None, manager="conda", home=home, project=project, report=said.append)


def run(environment: PreparedEnvironment, command: str) -> str:
    variables = settings.environment(**dict.fromkeys(environment.unset), **environment.variables)
    return subprocess.run(["bash", "-c", command], env=variables, capture_output=True, text=True, check=True).stdout


def test_it_is_built_once_for_its_content_and_used_again(project: Project, calls: Path, tmp_path: Path) -> None:
    report: list[str] = []
    built, again = (build(project, tmp_path / "home", report) for _ in range(2))
    assert (built.kind, built.python, built.reused, again.reused) == ("conda", "3.11.9", False, True)
    assert report[0] == f"building environment {built.key[:8]} of conda.yaml with conda"
    assert report[-1] == f"using environment {built.key[:8]}"
    assert built.directory == again.directory
    assert built.lock == again.lock
    assert built.lock.splitlines()[2:] == [
        "# conda gcc-12-h2",
        "# conda https://c/linux-64/python-3.11.9-h1.conda#ab",
        "six==1.17.0",
    ]
    (project.directory / "conda.yaml").write_text("dependencies: [python=3.11, pip, pip: [-r more.txt]]\n")
    (project.directory / "more.txt").write_text("six\n")
    changed = build(project, tmp_path / "home")
    (project.directory / "more.txt").write_text("six<2\n")
    assert len({built.key, changed.key, build(project, tmp_path / "home").key}) == 3
    assert len(calls.read_text().splitlines()) == 3


def test_a_command_finds_what_activation_would_set(project: Project, calls: Path, tmp_path: Path) -> None:
    environment = build(project, tmp_path / "home")
    shown = run(environment, 'command -v python; echo "$CONDA_PREFIX|$GDAL_DATA|$DECLARED|${VIRTUAL_ENV-none}"')
    prefix = environment.directory
    assert shown.splitlines() == [f"{prefix}/bin/python", f"{prefix}|{prefix}/share/gdal|in the file|none"]


def test_several_builders_share_one_build(project: Project, calls: Path, tmp_path: Path) -> None:
    found: list[PreparedEnvironment] = []
    threads = [threading.Thread(target=lambda: found.append(build(project, tmp_path / "home"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(environment.reused for environment in found) == [False, True, True]
    assert len(calls.read_text().splitlines()) == 1


def test_a_failed_build_says_why_and_leaves_nothing(project: Project, calls: Path, tmp_path: Path) -> None:
    (project.directory / "conda.yaml").write_text("dependencies: [no-such-package]\n")
    with pytest.raises(EnvironmentBuildError) as caught:
        build(project, tmp_path / "home")
    first, *rest = str(caught.value).splitlines()
    assert "conda.yaml cannot be built: a package is not on the channels; conda says (all of it in " in first
    assert rest == ["    PackagesNotFoundError: The following packages are not available: - no-such-package"]
    assert list((tmp_path / "home" / "envs").glob("*/")) == []


def test_without_conda_it_is_said_what_is_missing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_conda(monkeypatch)
    with pytest.raises(EnvironmentBuildError, match="neither conda, mamba nor micromamba is on the PATH: install one"):
        build(project, tmp_path / "home")
    manager, spec = choose(REF, project, None)
    assert manager == "uv"
    with pytest.raises(EnvironmentBuildError, match=r"asks conda for gcc=12, .*neither conda, mamba nor micromamba"):
        prepare_declared(REF, spec, manager=manager, home=tmp_path, project=project, report=print)


def test_conda_is_taken_where_uv_cannot_provide_all(project: Project, calls: Path) -> None:
    assert choose(REF, project, None) == ("conda", None)
    assert choose(REF, project, "local") == ("local", None)
    (project.directory / "conda.yaml").write_text("dependencies: [python>3.8, pip]\n")  # no pip-style file says this
    assert choose(REF, project, None)[0] == "conda"
    (project.directory / "conda.yaml").write_text("dependencies: [python=3.11, pip, pip: [six]]\n")
    manager, spec = choose(REF, project, None)
    assert (manager, spec and spec.dependencies) == ("uv", ("six",))
    assert choose(REF, project, "conda") == ("conda", None)


def test_conda_does_not_build_what_is_no_conda_file(project: Project, calls: Path, tmp_path: Path) -> None:
    for ref in (EnvironmentRef(kind="python_env", path="python_env.yaml"), None):
        with pytest.raises(EnvironmentBuildError, match="--env-manager conda"):
            prepare_declared(ref, None, manager="conda", home=tmp_path, project=project, report=print)


def test_mlflows_variables_name_the_program(tmp_path: Path) -> None:
    for name in ("conda", "mamba"):
        place = tmp_path / "bin" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text("#!/bin/sh\n")
        place.chmod(0o755)
    variables = {"PATH": "/nowhere", "MLFLOW_CONDA_HOME": str(tmp_path)}
    assert conda.find_program(variables) == conda.Program(name="conda", path=f"{tmp_path}/bin/conda")
    variables["MLFLOW_CONDA_CREATE_ENV_CMD"] = "mamba"
    assert conda.find_program(variables) == conda.Program(name="mamba", path=f"{tmp_path}/bin/mamba")
    assert conda.find_program({"PATH": "/nowhere", "CONDA_EXE": f"{tmp_path}/bin/conda"}) is not None
    assert conda.find_program({"PATH": "/nowhere"}) is None


# -- with a real program -----------------------------------------------------------------------------


def channel(folder: Path) -> str:
    """Make a channel with one package, whose command says hello; nothing is fetched from elsewhere."""
    index = {"name": "hello", "version": "1.0", "build": "0", "build_number": 0, "depends": [], "subdir": "noarch"}
    (folder / "noarch").mkdir(parents=True)
    package = folder / "noarch" / "hello-1.0-0.tar.bz2"
    script = b"#!/bin/sh\necho hello from conda\n"
    paths = {"paths": [{"_path": "bin/hello", "path_type": "hardlink", "sha256": hashlib.sha256(script).hexdigest(), "size_in_bytes": len(script)}], "paths_version": 1}  # fmt: skip  # noqa: E501
    files = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps(paths).encode(),
        "info/files": b"bin/hello\n",
        "bin/hello": script,
    }
    with tarfile.open(package, "w:bz2") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    content = package.read_bytes()
    record = {**index, "size": len(content), "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}  # fmt: skip  # noqa: E501
    for subdir, packages in (("noarch", {package.name: record}), ("linux-64", {})):
        (folder / subdir).mkdir(exist_ok=True)
        data = {"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}}
        (folder / subdir / "repodata.json").write_text(json.dumps(data))
    return folder.as_uri()


@pytest.mark.parametrize("name", ["conda", "mamba", "micromamba"])
def test_the_real_program_builds_one(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    without_conda(monkeypatch)
    monkeypatch.setenv("CONDA_EXE", found)
    file = project.directory / "conda.yaml"
    file.write_text(f"channels: [{channel(tmp_path / 'channel')}, nodefaults]\ndependencies: [hello]\n")
    environment = build(project, tmp_path / "home")
    assert run(environment, "hello") == "hello from conda\n"
    assert "hello-1.0-0" in environment.lock
    assert build(project, tmp_path / "home").reused
