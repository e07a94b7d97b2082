"""Environments that uv builds: real ones, small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit import settings
from toolkit.errors import EnvironmentBuildError
from toolkit.flows.environments.environment import PreparedEnvironment, Report, prepare
from toolkit.flows.environments.inventory import prune
from toolkit.spec.project import PythonEnv

Build = Callable[..., PreparedEnvironment]


def silent(line: str) -> None:
    """Take a line of progress."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture
def build(home: Path, project: Path) -> Build:
    def build(
        *dependencies: str,
        home: Path = home,
        python: str | None = None,
        before: tuple[str, ...] = (),
        report: Report = silent,
    ) -> PreparedEnvironment:
        spec = PythonEnv(
            source="python_env",
            file=project / "python_env.yaml",
            python=python,
            build_dependencies=before,
            dependencies=dependencies,
        )
        return prepare(spec, manager="uv", home=home, project=project, report=report)

    return build


def run(environment: PreparedEnvironment, command: str) -> str:
    variables = settings.environment(**environment.variables, **dict.fromkeys(environment.unset))
    done = subprocess.run(["bash", "-c", command], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def pinned(environment: PreparedEnvironment) -> list[str]:
    return [line.partition("==")[0] for line in environment.lock.splitlines() if not line.startswith("#")]


def half_built(home: Path) -> list[Path]:
    return [
        entry
        for folder in (home / "envs").glob("*/")
        for entry in folder.iterdir()
        if not (folder / "ready.json").exists()
    ]


def test_an_environment_is_built_once_and_found_again(build: Build, home: Path) -> None:
    first: list[str] = []
    again: list[str] = []
    built = build("six", report=first.append)
    found = build("six", report=again.append)
    assert (built.reused, found.reused, found.seconds < 0.05) == (False, True, True)
    assert first[0] == f"building environment {built.key[:8]} (python {built.python}, 1 requirement)"
    assert first[-1].startswith(f"environment {built.key[:8]} ready in ")
    assert again == [f"using environment {built.key[:8]}"]
    assert (found.directory, found.lock, found.key) == (built.directory, built.lock, built.key)
    assert built.lock.startswith(f"# python {built.python}\n# platform ")
    assert pinned(built) == ["six"]


def test_a_command_runs_in_it(build: Build) -> None:
    environment = build("six")
    place = "import six, sys, os; print(sys.prefix, six.__file__, os.environ['VIRTUAL_ENV'], sep='\\n')"
    prefix, module, virtual = run(environment, f'python -c "{place}"').splitlines()
    assert prefix == virtual == str(environment.directory)
    assert module.startswith(prefix)
    assert list(Path(module).parent.glob("__pycache__/six.*.pyc"))  # kept: the next import is quick


@pytest.mark.parametrize("writes", [True, False])
def test_everything_is_compiled_only_where_python_would_not_keep_what_it_compiles(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: bool
) -> None:
    monkeypatch.delenv("UV_COMPILE_BYTECODE", raising=False)
    if not writes:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    directory = build("six", home=tmp_path).directory
    assert directory is not None
    assert bool(list(directory.rglob("six.*.pyc"))) is not writes


def test_a_command_that_calls_a_pip_from_outside_reaches_only_its_environment(build: Build) -> None:
    outside = build("pip")
    inside = build("six==1.17.0")
    assert run(inside, f"{outside.directory}/bin/pip list --disable-pip-version-check --format=freeze") == "six==1.17.0"


def test_nothing_declared_is_an_empty_environment_of_the_running_python(home: Path, project: Path) -> None:
    environment = prepare(None, manager="uv", home=home, project=project, report=silent)
    assert (environment.python, pinned(environment)) == (".".join(map(str, sys.version_info[:3])), [])


def test_build_dependencies_come_first(build: Build, home: Path) -> None:
    environment = build("packaging", before=("six<1.17",))
    log = (home / "logs" / f"env-{environment.key}.log").read_text()
    assert log.index("six<1.17") < log.index("\npackaging\n")
    assert pinned(environment) == ["packaging", "six"]


def test_a_changed_included_file_is_another_environment(build: Build, project: Path) -> None:
    file = project / "requirements.txt"
    file.write_text("six==1.17.0\n")
    before = build("-r requirements.txt")
    file.write_text("six==1.16.0\n")
    after = build("-r requirements.txt")
    assert "six==1.17.0" in before.lock
    assert "six==1.16.0" in after.lock


@pytest.mark.parametrize(
    ("requirement", "says"),
    [
        ("no-such-package-of-ours-zz", "a package is not on the index"),
        ("six==99", "no set of versions meets all requirements"),
        ("six==", "a requirement cannot be read"),
    ],
)
def test_a_bad_requirement_is_said_clearly(build: Build, home: Path, requirement: str, says: str) -> None:
    report: list[str] = []
    with pytest.raises(EnvironmentBuildError) as caught:
        build(requirement, report=report.append)
    first, *rest = str(caught.value).splitlines()
    assert "python_env.yaml cannot be built: " + says in first
    assert any(requirement in line for line in rest)
    assert all(line.startswith("    ") for line in rest)
    (log,) = (home / "logs").glob(f"env-{report[0].split()[2]}*.log")
    assert str(log) in first
    assert not half_built(home)


def test_a_python_that_cannot_be_had(build: Build, home: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match="this Python is not on the machine and uv cannot get it"):
        build("six", python="3.99")
    assert not half_built(home)


def test_the_wanted_python_is_used(build: Build) -> None:
    wanted = ".".join(map(str, sys.version_info[:2]))
    assert build("six", python=wanted).python.startswith(wanted + ".")
    assert build("six", python=wanted + ".*").key == build("six", python=wanted).key


def test_conda_packages_are_refused_before_anything_is_built(home: Path, project: Path) -> None:
    spec = PythonEnv(source="conda_env", file=project / "conda.yaml", dependencies=("six",), unmet=("gcc=12", "cudnn"))
    report: list[str] = []
    with pytest.raises(EnvironmentBuildError, match=r"conda\.yaml asks conda for gcc=12, cudnn, .*'pip:'.*local"):
        prepare(spec, manager="uv", home=home, project=project, report=report.append)
    assert report == []


def test_an_environment_whose_python_is_gone_is_built_again(build: Build, tmp_path: Path) -> None:
    built = build("six", home=tmp_path)
    assert built.directory is not None
    (built.directory / "bin" / "python").unlink()
    again = build("six", home=tmp_path)
    assert not again.reused
    assert run(again, "python -c 'import six; print(1)'") == "1"


# -- several builders --------------------------------------------------------------------------------

SLOW_UV = """
    import os, sys, time
    if "install" in sys.argv:
        open(os.environ["SLOW_UV_MARK"], "a").write(f"{os.getpid()}\\n")
        time.sleep(float(os.environ["SLOW_UV_SECONDS"]))
    os.execv(os.environ["REAL_UV"], ["uv", *sys.argv[1:]])
"""
BUILDER = """
    import sys
    from pathlib import Path
    from toolkit.flows.environments.environment import prepare
    from toolkit.spec.project import PythonEnv
    home, project = map(Path, sys.argv[1:])
    spec = PythonEnv(source="python_env", file=project / "python_env.yaml", dependencies=("six",))
    environment = prepare(spec, manager="uv", home=home, project=project, report=lambda line: print(line, flush=True))
    print("reused" if environment.reused else "built", environment.directory, flush=True)
"""


class SlowUv:
    """Makes the uv that builders find take its time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import uv

        self.mark = folder / "installs"
        real = uv.find_uv_bin()
        script = folder / "slow-uv"
        script.write_text(f"#!{sys.executable}\n{textwrap.dedent(SLOW_UV)}")
        script.chmod(0o755)
        monkeypatch.setattr(uv, "find_uv_bin", lambda: str(script))
        # for builders in processes of their own
        shadow = folder / "shadow" / "uv.py"
        shadow.parent.mkdir()
        shadow.write_text(f"def find_uv_bin():\n    return {str(script)!r}\n")
        monkeypatch.setenv("PYTHONPATH", str(shadow.parent))
        monkeypatch.setenv("REAL_UV", real)
        monkeypatch.setenv("SLOW_UV_MARK", str(self.mark))
        monkeypatch.setenv("SLOW_UV_SECONDS", "1")

    def installs(self) -> list[int]:
        return [int(line) for line in self.mark.read_text().splitlines()] if self.mark.exists() else []


@pytest.fixture
def slow_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowUv:
    return SlowUv(tmp_path, monkeypatch)


def start_builder(home: Path, project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BUILDER), str(home), str(project)], stdout=subprocess.PIPE, text=True
    )


def test_builders_in_processes_and_threads_share_one_build(
    tmp_path: Path, project: Path, build: Build, slow_uv: SlowUv
) -> None:
    home = tmp_path / "home"
    with start_builder(home, project) as one, start_builder(home, project) as two:
        reports: list[list[str]] = [[], []]
        results: list[PreparedEnvironment] = []
        threads = [
            threading.Thread(target=lambda lines=lines: results.append(build("six", home=home, report=lines.append)))
            for lines in reports
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outputs = [one.communicate()[0].splitlines(), two.communicate()[0].splitlines()]
    assert len(slow_uv.installs()) == 1
    ends = [output[-1] for output in outputs] + [
        f"{'reused' if result.reused else 'built'} {result.directory}" for result in results
    ]
    assert sorted(end.split()[0] for end in ends) == ["built", "reused", "reused", "reused"]
    assert len({end.split()[1] for end in ends}) == 1
    said = [*outputs[0], *outputs[1], *reports[0], *reports[1]]
    waiting = [line for line in said if line.startswith("waiting for environment ")]
    assert waiting
    assert all(", which is being built by pid " in line for line in waiting)


def test_after_a_killed_builder_the_next_one_starts_over(
    tmp_path: Path, project: Path, build: Build, slow_uv: SlowUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with start_builder(home, project) as builder:
        while not slow_uv.installs():
            time.sleep(0.02)
        os.kill(builder.pid, signal.SIGKILL)
    assert half_built(home)
    monkeypatch.setenv("SLOW_UV_SECONDS", "0")
    environment = build("six", home=home)  # while the uv of the killed one still sleeps
    assert not environment.reused
    time.sleep(1.5)  # the killed one's uv has come to its end, wherever it wrote
    assert len(slow_uv.installs()) == 2
    assert run(environment, "python -c 'import six; print(six.__name__)'") == "six"
    assert environment.directory is not None
    assert environment.directory.exists()


def test_a_long_build_says_that_it_goes_on(
    tmp_path: Path, build: Build, slow_uv: SlowUv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.flows.environments.builder._PROGRESS_EVERY", 0.3)
    report: list[str] = []
    build("six", home=tmp_path / "home", report=report.append)
    assert any(line.startswith("still building environment ") for line in report)


# -- removing ----------------------------------------------------------------------------------------


def age(home: Path, key: str, seconds: float) -> None:
    """Let an environment look as if it had not been used for so long."""
    folder = home / "envs" / key
    for file in (folder / "ready.json", *(folder / "used-by").iterdir()):
        os.utime(file, (time.time() - seconds, time.time() - seconds))


def test_unused_environments_are_listed_and_removed(build: Build, tmp_path: Path) -> None:
    old, kept, young = (build(f"six=={version}", home=tmp_path) for version in ("1.15.0", "1.16.0", "1.17.0"))
    for environment in (old, kept):
        age(tmp_path, environment.key, 10_000)
    assert prune(tmp_path, older_than=5_000) == []  # they are in use
    for environment in (old, kept, young):
        environment.release()
    listed = prune(tmp_path, keep={kept.key}, older_than=5_000, dry_run=True)
    assert [(unused.key, unused.size > 1_000) for unused in listed] == [(old.key, True)]
    assert old.directory is not None
    assert old.directory.exists()
    assert [unused.key for unused in prune(tmp_path, keep={kept.key}, older_than=5_000)] == [old.key]
    assert not (tmp_path / "envs" / old.key).exists()
    again = build("six==1.16.0", home=tmp_path)
    again.release()
    assert again.reused  # and now it counts as used
    assert prune(tmp_path, older_than=5_000) == []
    assert build("six==1.17.0", home=tmp_path).directory == young.directory


def test_an_environment_that_is_being_built_is_not_removed(tmp_path: Path, project: Path, slow_uv: SlowUv) -> None:
    home = tmp_path / "home"
    with start_builder(home, project) as builder:
        while not slow_uv.installs():
            time.sleep(0.02)
        assert prune(home, older_than=-1) == []
        assert builder.communicate()[0].splitlines()[-1].startswith("built ")
