"""The house: four folders are one package, and what is said twice is said alike."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest

import toolkit
from toolkit.settings import environment

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("toolkit", "flows", "registry", "deployments")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]


def source_files() -> list[Path]:
    """Return the Python files of the four folders, each by its real path only."""
    found = []
    for folder in FOLDERS:
        for directory, names, files in os.walk(ROOT / folder):  # does not follow links
            names[:] = [name for name in names if name != "__pycache__"]
            found += [Path(directory, file) for file in files if file.endswith(".py")]
    return found


# -- the bridges -------------------------------------------------------------------------------------


def test_every_folder_with_an_init_is_a_package_of_the_build() -> None:
    packages = {".".join(file.parent.relative_to(ROOT).parts) for file in source_files() if file.name == "__init__.py"}
    named = {name if name.split(".")[0] == "toolkit" else f"toolkit.{name}" for name in packages}
    assert sorted(named) == sorted(SETUPTOOLS["packages"])


def test_every_folder_with_code_has_an_init() -> None:
    assert {file.parent for file in source_files() if not (file.parent / "__init__.py").exists()} == set()


def test_the_links_point_where_the_build_looks() -> None:
    links = {f"toolkit.{path.name}": path for path in (ROOT / "toolkit").iterdir() if path.is_symlink()}
    assert set(links) == set(SETUPTOOLS["package-dir"])
    for name, link in links.items():
        assert not link.readlink().is_absolute()
        assert link.resolve() == (ROOT / SETUPTOOLS["package-dir"][name]).resolve()


# -- what is said twice ------------------------------------------------------------------------------


def test_the_public_names_agree_wherever_they_stand() -> None:
    tree = ast.parse((ROOT / "toolkit" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typed = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == toolkit._MODULES
    assert toolkit.__all__ == sorted(typed)
    modules = [alias.name for node in block.body if isinstance(node, ast.Import) for alias in node.names]
    assert modules == [f"toolkit.{name}" for name in toolkit._SUBMODULES]
    assert dir(toolkit) == sorted([*typed, *toolkit._SUBMODULES, "__version__"])


@pytest.mark.parametrize("name", toolkit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert callable(getattr(toolkit, name))


def test_any_other_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        toolkit.nope  # noqa: B018 - the access is the test


def test_only_the_root_is_lazy_and_what_it_has_hand_out_names_of_above() -> None:
    lazy = {
        file.relative_to(ROOT).as_posix()
        for file in source_files()
        if re.search(r"^def __getattr__", file.read_text(), flags=re.MULTILINE)
    }
    handing = {f"{name.replace('.', '/')}/__init__.py" for name in toolkit._HANDED_OUT}
    # A deployment names its flow by an attribute, and the flow's parameters are known when it is asked for.
    assert lazy == {"toolkit/__init__.py", "toolkit/remote.py", *handing}


@pytest.mark.parametrize(
    ("package", "name"), [(at, name) for at, names in toolkit._HANDED_OUT.items() for name in names]
)
def test_every_name_that_a_package_hands_out_is_there(package: str, name: str) -> None:
    assert callable(getattr(importlib.import_module(package), name))
    with pytest.raises(AttributeError, match="nope"):
        importlib.import_module(package).nope  # noqa: B018 - the access is the test


def test_nothing_imports_the_root_but_the_command_which_shows_its_version() -> None:
    importers = {
        file.relative_to(ROOT).as_posix()
        for file in source_files()
        if re.search(r"^\s*import toolkit$", file.read_text(), flags=re.MULTILINE)
    }
    assert importers <= {"toolkit/cli/main.py"}


def test_the_version_is_the_packages() -> None:
    assert toolkit.__version__ == PYPROJECT["project"]["version"]


def test_make_installs_the_uv_that_the_package_wants() -> None:
    (wanted,) = [line for line in PYPROJECT["project"]["dependencies"] if re.match(r"uv\b", line)]
    assert f"'{wanted}'" in (ROOT / "Makefile").read_text()


def test_only_the_settings_read_our_variables() -> None:
    readers = {
        file.relative_to(ROOT).as_posix()
        for file in source_files()
        if re.search(r"""(environ(\.get\()?\[?|getenv\()["'](TOOLKIT|MLFLOW)_""", file.read_text())
    }
    assert readers == set()


# -- what is built -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_runs_a_project_in_an_empty_environment(tmp_path: Path) -> None:
    """Built by uv by way of an sdist, installed by plain pip, the newest of everything that the bounds allow."""
    variables = environment(PYTHONPATH=None, VIRTUAL_ENV=None, TOOLKIT_HOME=str(tmp_path / "home"))

    def call(*arguments: str) -> str:
        done = subprocess.run(
            arguments, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    source = tmp_path / "source"  # a build leaves files beside what it builds
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", PYPROJECT["project"]["readme"], *PYPROJECT["project"]["license-files"]):
        shutil.copy(ROOT / name, source)
    call(str(Path(sys.executable).parent / "uv"), "build", "--out-dir", str(tmp_path / "dist"), str(source))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    call(str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    try:
        call(str(programs / "toolkit"), "run", str(ROOT / "examples" / "single-step"))
        call(str(programs / "toolkit"), "init", "new", "--template", "single")
        call(str(programs / "toolkit"), "lint", "new")
        assert "\tFINISHED\t" in call(str(programs / "toolkit"), "runs", "list")
    finally:
        call(str(programs / "toolkit"), "down")
