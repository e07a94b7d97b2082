"""What it takes to load a model: distributions, pinned with the versions that are installed here.

They are found by looking, not by loading the model in another process: the modules of what is saved, and what modules
of the user's own import.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from toolkit.errors import InvalidValue, NotFound

REQUIREMENTS = "requirements.txt"
CONSTRAINTS = "constraints.txt"
PYTHON_ENV = "python_env.yaml"
CONDA = "conda.yaml"

_OTHER_NAMES = {  # where the module is not called like the distribution: looking that up in all of them takes long
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What a model's environment is made of.

    Attributes:
        lines: Those of ``requirements.txt``.
        constraints: Those of ``constraints.txt``.
        conda: A conda environment that the user gave, instead of one made of the lines.
    """

    lines: Sequence[str]
    constraints: Sequence[str] = ()
    conda: Mapping[str, Any] | None = None


def environment(
    found: Iterable[str],
    *,
    pip_requirements: Sequence[str] | str | Path | None = None,
    extra_pip_requirements: Sequence[str] | str | Path | None = None,
    conda_env: Mapping[str, Any] | str | Path | None = None,
) -> Environment:
    """Return what a model needs.

    Args:
        found: Distributions that were found, without versions.
        pip_requirements: All that counts instead: lines, or a file of them.
        extra_pip_requirements: What counts besides, and before what was found.
        conda_env: A conda environment, or a YAML file of one, instead of all that.

    Raises:
        InvalidValue: Arguments contradict each other, or two lines do.
        NotFound: There is no such file.
    """
    if conda_env is not None:
        if pip_requirements is not None or extra_pip_requirements is not None:
            raise InvalidValue("conda_env was given beside pip requirements: wanted one or the other")
        return _of_conda(conda_env)
    given, constraints = _read(pip_requirements)
    extra, more = _read(extra_pip_requirements)
    base = pinned(found) if pip_requirements is None else given
    named = {_name(line) for line in extra} - {None}
    lines = [*(line for line in base if _name(line) not in named), *extra]
    return Environment(lines=_merged(lines), constraints=[*constraints, *more])


def write_environment(folder: Path, wanted: Environment) -> None:
    """Write the files that say what a model needs: for pip, for a virtual environment, for conda."""
    version = ".".join(map(str, sys.version_info[:3]))
    tools = [f"pip=={_version('pip')}" if _version("pip") else "pip", "setuptools", "wheel"]
    lines = [*wanted.lines, *([f"-c {CONSTRAINTS}"] if wanted.constraints else [])]
    python_env = {"python": version, "build_dependencies": tools, "dependencies": [f"-r {REQUIREMENTS}"]}
    conda = wanted.conda or {
        "channels": ["conda-forge"],
        "dependencies": [f"python={version}", "pip", {"pip": lines}],
        "name": "mlflow-env",
    }
    (folder / REQUIREMENTS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if wanted.constraints:
        (folder / CONSTRAINTS).write_text("".join(f"{line}\n" for line in wanted.constraints), encoding="utf-8")
    for name, value in ((PYTHON_ENV, python_env), (CONDA, conda)):
        (folder / name).write_text(yaml.safe_dump(dict(value), sort_keys=False), encoding="utf-8")


def pinned(names: Iterable[str]) -> list[str]:
    """Return distributions with the versions that are installed, such as ``numpy==2.3.1``; sorted.

    What is not installed as a distribution has no version, and is left out.
    """
    found = {str(canonicalize_name(name)): name for name in names}
    return sorted((f"{name}=={version}" for name in found.values() if (version := _version(name))), key=str.lower)


# -- what is imported --------------------------------------------------------------------------------


def distributions(modules: Iterable[str], files: Iterable[Path] = ()) -> tuple[str, ...]:
    """Return the distributions that modules are of, and what the user's own among them import; sorted.

    Args:
        modules: Names of modules; those of the standard library need nothing.
        files: Files and folders of code that count too.
    """
    waiting = [name.partition(".")[0] for name in modules]
    for path in files:
        for file in [path] if path.is_file() else path.rglob("*.py"):
            waiting += imports(file)
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen or module in sys.stdlib_module_names or module == "__main__":
            continue
        seen.add(module)
        if (name := _distribution(module)) is not None:
            found.add(name)
        else:
            for file in _own_files(module):
                waiting += imports(file)
    return tuple(sorted(found))


def imports(file: Path) -> set[str]:
    """Return the top-level modules that a Python file imports anywhere; of what is no Python, none."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _own_files(module: str) -> Iterator[Path]:
    """Give the source files of a module of the user's."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if file is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return
        file = spec.origin if spec else None
    if file is None or not file.endswith(".py"):
        return
    path = Path(file)
    yield from path.parent.rglob("*.py") if path.name == "__init__.py" else [path]


def _distribution(module: str) -> str | None:
    """Return the distribution that a module is of; ``None`` if it is the user's own, or not there."""
    name = _OTHER_NAMES.get(module, module)
    if _version(name):
        return name
    spec = sys.modules.get(module)
    file = getattr(spec, "__file__", None) or ""
    if "site-packages" not in file and "dist-packages" not in file and spec is not None:
        return None
    return next(iter(_all_distributions().get(module, ())), None)


@lru_cache(maxsize=1)
def _all_distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@lru_cache(maxsize=1024)  # looked up in each folder of the path, and what is loaded does not change
def _version(name: str) -> str | None:
    try:
        return metadata.version(name).partition("+")[0]  # builds such as 2.13.0+cpu are on nobody else's index
    except metadata.PackageNotFoundError:
        return None


# -- what the user gives -----------------------------------------------------------------------------


def _read(given: Sequence[str] | str | Path | None) -> tuple[list[str], list[str]]:
    """Return the requirements and the constraints that lines, or a file of them, say."""
    lines: list[str] = []
    constraints: list[str] = []
    if given is None:
        return lines, constraints
    folder = Path()
    wanted: Sequence[object]
    if isinstance(given, str | Path):
        wanted, folder = _lines(Path(given)), Path(given).parent
    else:
        wanted = given
    for line in wanted:
        if not isinstance(line, str):
            raise InvalidValue(f"a requirement is {line!r:.100}: wanted text such as 'numpy>=2'")
        option, _, file = re.sub(r"^(-r|-c|--requirement|--constraint)[ =]?", r"\1 ", line).partition(" ")
        if option in ("-r", "--requirement"):
            more, bounds = _read(folder / file.strip())
            lines += more
            constraints += bounds
        elif option in ("-c", "--constraint"):
            constraints += _lines(folder / file.strip())
        else:
            lines.append(line.strip())
    return lines, constraints


def _lines(file: Path) -> list[str]:
    """Return the lines of a requirements file, without comments, joined where they go on."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"the requirements file {file} cannot be read: {error}") from None
    joined = text.replace("\\\n", " ")
    return [line for each in joined.splitlines() if (line := re.sub(r"(^|\s)#.*$", "", each).strip())]


def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None  # an option, a path or a URL: pip's business


def _name(line: str) -> str | None:
    requirement = _parsed(line)
    return str(canonicalize_name(requirement.name)) if requirement else None


def _merged(lines: Iterable[str]) -> list[str]:
    """Return requirements with those of one distribution joined.

    Raises:
        InvalidValue: Two of them pin different versions.
    """
    merged: dict[str, Requirement | str] = {}
    for line in lines:
        new = _parsed(line)
        if new is None or new.url or new.marker:
            merged[line] = line
            continue
        key = str(canonicalize_name(new.name))
        old = merged.get(key)
        if isinstance(old, Requirement):
            new.extras |= old.extras
            new.specifier &= old.specifier
            if len(pins := {each.version for each in new.specifier if each.operator == "=="}) > 1:
                raise InvalidValue(f"the requirements pin {new.name} to {' and to '.join(sorted(pins))}: wanted one")
        merged[key] = new
    return [str(each) for each in merged.values()]


def _of_conda(given: Mapping[str, Any] | str | Path) -> Environment:
    if isinstance(given, Mapping):
        conda: Any = dict(given)
    else:
        try:
            conda = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"the conda environment {given} cannot be read: {error}") from None
        except yaml.YAMLError as error:
            raise InvalidValue(f"{given} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(conda, dict) or not isinstance(conda.get("dependencies", []), list):
        raise InvalidValue("conda_env is no conda environment: wanted keys such as dependencies")
    parts = [each["pip"] for each in conda.get("dependencies", []) if isinstance(each, dict) and "pip" in each]
    return Environment(lines=[str(line) for part in parts for line in part], conda=conda)
