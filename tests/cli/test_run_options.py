"""`toolkit run` and `compile` where nothing runs: bad input, dry runs, pictures. Nothing is started or kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calls import Cli
from repositories import make_repository

PROJECT = """name: demo
entry_points:
  main:
    parameters:
      rate: {type: float, default: 0.5}
      count: int
    command: "go --rate {rate} --count {count}"
  make:
    command: "make"
    outputs: {data: data.txt}
  use:
    parameters: {data: path}
    command: "use {data}"
workflows:
  chain:
    parameters: {sizes: {type: list, default: [1, 2]}}
    steps:
      make: {}
      use:
        parameters: {data: "${{ steps.make.outputs.data }}"}
"""


@pytest.fixture
def project(workdir: Path) -> Path:
    (workdir / "MLproject").write_text(PROJECT)
    return workdir


def assert_nothing_happened(home: Path) -> None:
    assert not (home / "services.json").exists(), "a service was started"
    assert not (home / "envs").exists(), "an environment was built"
    assert not (home / "toolkit.db").exists(), "something was recorded"
    assert not (home / "work").exists()


# -- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "compile"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere", "directory"]),
        ([".#nowhere"], ["nowhere"]),
        (["MLproject"], ["MLproject", "directory"]),
        ([""], ["empty"]),
        (["ext::sh -c true"], ["ext::sh", "https://"]),
        ([".", "--version=--upload-pack=x"], ["--upload-pack=x", "branch"]),
        ([".", "-e", "mian"], ["'mian'", "main"]),
        ([".", "-w", "chian"], ["'chian'", "chain"]),
        ([".", "-e", "main", "-w", "chain"], ["-e", "-w"]),
        ([".", "-P", "count"], ["'count'", "'='"]),
        ([".", "-P", "=1"], ["no name"]),
        ([".", "-P", "count=1", "-P", "count=2"], ["twice"]),
        ([".", "-P", "count=many"], ["MLproject:6", "'count'", "'many'", "whole number"]),
        ([".", "-P", "count=1", "-P", "rate=fast"], ["MLproject:5", "'rate'", "'fast'"]),
        ([".", "-w", "chain", "-P", "size=1"], ["'size'", "sizes"]),
        ([".", "-w", "chain", "-P", "sizes=3"], ["MLproject:16", "'sizes'", "list"]),
        ([".", "--param-file", "nowhere.yaml"], ["nowhere.yaml"]),
    ],
)
def test_a_mistake_is_one_clear_line(
    cli: Cli, project: Path, toolkit_home: Path, command: str, arguments: list[str], words: list[str]
) -> None:
    answer = cli(command, *arguments)
    assert answer.is_one_clear_error(), answer
    for word in words:
        assert word in answer.err
    assert_nothing_happened(toolkit_home)


def test_a_missing_value_is_one_clear_line(cli: Cli, project: Path, toolkit_home: Path) -> None:
    answer = cli("run", ".")
    assert answer.is_one_clear_error(), answer
    assert "MLproject:6" in answer.err
    assert "-P count=" in answer.err
    assert_nothing_happened(toolkit_home)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("name: demo", "name: [demo", 2, []),
        ("name: demo", "name:\tdemo\n\tx: 1", 1, ["tab"]),
        ('command: "make"', "comand: make", 9, ["'make'", "command"]),
        ("      make: {}", "      mkae: {}", 18, ["'mkae'", "make"]),
        ("steps.make.outputs.data", "steps.make.outputs.dota", 20, ["'dota'", "data"]),
        ("steps.make.outputs.data", "steps.maek.outputs.data", 20, ["maek", "make"]),
        ("      make: {}", "      make: {needs: [use]}", None, ["make", "use"]),
        ("      make: {}", "      make: {needs: [make]}", 18, ["make"]),
        ("      make: {}", "      make: {retires: 1}", 18, ["'retires'", "retries"]),
        ("      make: {}", "      make: {retries: -1}", 18, ["retries"]),
        ("      make: {}", "      make: {timeout: soon}", 18, ["timeout"]),
        ("      make: {}", "      make: {when: '${{ parameters.sizes + }}'}", 18, []),
        ("      make: {}", "      make: {when: '${{ open(1) }}'}", 18, ["open"]),
        ("{rate} --count {count}", "{rte} --count {count}", 7, ["{rte}", "rate"]),
        ("{rate} --count {count}", "{rate --count {count}", 7, []),
    ],
)
def test_a_wrong_project_is_one_clear_line_with_its_place(
    cli: Cli, project: Path, toolkit_home: Path, old: str, new: str, line: int | None, words: list[str]
) -> None:
    assert old in PROJECT
    (project / "MLproject").write_text(PROJECT.replace(old, new))
    target = ["-e", "main", "-P", "count=1"] if "count" in old else ["-w", "chain"]
    answer = cli("run", ".", *target)
    assert answer.is_one_clear_error(), answer
    assert f"MLproject:{line or ''}" in answer.err
    for word in words:
        assert word in answer.err
    assert_nothing_happened(toolkit_home)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"- a list", b"just text"])
def test_a_file_that_is_no_project_is_one_clear_line(
    cli: Cli, project: Path, toolkit_home: Path, content: bytes
) -> None:
    (project / "MLproject").write_bytes(content)
    answer = cli("run", ".")
    assert answer.is_one_clear_error(), answer
    assert "MLproject" in answer.err
    assert_nothing_happened(toolkit_home)


def test_a_path_that_is_not_there_is_said_before_anything_runs(cli: Cli, project: Path, toolkit_home: Path) -> None:
    answer = cli("run", ".", "-e", "use", "-P", "data=nowhere.csv")
    assert answer.is_one_clear_error(), answer
    assert "nowhere.csv" in answer.err
    assert_nothing_happened(toolkit_home)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--env-manager", "poetry"], ["'poetry'", "uv, conda or local"]),
        (["--experiment-name", "a", "--experiment-id", "0"], ["experiment"]),
    ],
)
def test_options_that_do_not_fit_are_one_clear_line(
    cli: Cli, project: Path, toolkit_home: Path, arguments: list[str], words: list[str]
) -> None:
    answer = cli("run", ".", "-P", "count=1", *arguments)
    assert answer.is_one_clear_error(), answer
    for word in words:
        assert word in answer.err
    assert_nothing_happened(toolkit_home)


def test_an_unknown_experiment_leaves_no_run(cli: Cli, project: Path, toolkit_home: Path) -> None:
    assert cli("run", ".", "-P", "count=1", "--experiment-id", "77").is_one_clear_error()
    assert not (toolkit_home / "services.json").exists()
    assert cli("runs", "list", "--json").json["runs"] == []


def test_debug_shows_the_traceback_of_a_mistake(cli: Cli, project: Path) -> None:
    answer = cli("run", "nowhere", "--debug")
    assert answer.code == 2
    assert answer.err.startswith("Traceback")


# -- what can be looked at before ---------------------------------------------------------------------


def test_a_dry_run_prints_the_commands_and_nothing_else(cli: Cli, project: Path, toolkit_home: Path) -> None:
    answer = cli("run", ".", "--dry-run", "-P", "count=3", "-P", "extra=x y")
    assert (answer.code, answer.out, answer.err) == (0, "go --rate 0.5 --count 3 --extra 'x y'\n", "")
    assert_nothing_happened(toolkit_home)


def test_a_parameter_file_gives_values_and_p_wins(cli: Cli, project: Path) -> None:
    (project / "values.yaml").write_text("count: 4\nrate: 0.25\n")
    assert cli("run", "--dry-run", "--param-file", "values.yaml").out == "go --rate 0.25 --count 4\n"
    (project / "values.json").write_text(json.dumps({"count": 4}))
    answer = cli("run", "--dry-run", "--param-file", "values.json", "-P", "count=5")
    assert answer.out == "go --rate 0.5 --count 5\n"


def test_a_project_may_be_elsewhere(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "sub").mkdir()
    (project / "MLproject").rename(project / "sub" / "MLproject")
    for uri in ("sub", ".#sub", str(project / "sub"), (project / "sub").as_uri()):
        assert cli("run", uri, "--dry-run", "-P", "count=1").out == "go --rate 0.5 --count 1\n"


def test_compile_shows_the_graph(cli: Cli, project: Path, toolkit_home: Path) -> None:
    assert cli("compile", ".", "-w", "chain").out.splitlines() == [
        "demo: chain (sizes=[1, 2])",
        "└── make",
        "    └── use",
    ]
    assert cli("compile", ".", "-w", "chain", "--mermaid").out.startswith("flowchart TD\n")
    document = cli("compile", ".", "-w", "chain", "--json").json
    assert (document["schema"], document["order"]) == (1, [["make"], ["use"]])
    assert cli("compile", ".", "-w", "chain", "--json", "--mermaid").is_one_clear_error()
    assert_nothing_happened(toolkit_home)


def test_compile_shows_the_steps_that_are_chosen(cli: Cli, project: Path, toolkit_home: Path) -> None:
    chosen = cli("compile", ".", "-w", "chain", "--select", "use").out.splitlines()
    assert chosen == ["demo: chain (sizes=[1, 2])", "└── use"]
    assert cli("compile", ".", "-w", "chain", "--select", "+use", "--mermaid").out.count("-->") == 1
    assert cli("compile", ".", "-w", "chain", "--select", "use", "--mermaid").out.count("-->") == 0
    for arguments, word in (
        (("--select", "mka+"), "there is no step 'mka'"),
        (("--select", "status:failed"), "nothing has run yet"),
        (("--select", "x*"), "no step is chosen"),
        (("--publish", "--json"), "--publish and --json"),
        (("--publish", "--select", "use"), "--publish and --select"),
        (("--experiment-name", "e"), "without --publish"),
    ):
        answer = cli("compile", ".", "-w", "chain", *arguments)
        assert (answer.code, word in answer.err) == (2, True), answer.err
    assert_nothing_happened(toolkit_home)


def test_compile_warns_of_what_mlflow_would_ignore(cli: Cli, project: Path) -> None:
    (project / "MLproject").write_text(PROJECT + "entrypoints: {}\n")
    answer = cli("compile", ".", "-w", "chain")
    assert answer.code == 0
    assert "warning: " in answer.err
    assert "entrypoints" in answer.err


def test_ctrl_c_before_the_run_begins_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toolkit.cli.run.run_project", interrupted)
    answer = cli("run", str(tmp_path))
    assert answer.code == 130
    assert answer.err == "error: interrupted before the run began: nothing was recorded\n"


def test_a_repository_at_a_version_is_shown(
    cli: Cli, workdir: Path, toolkit_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    made = make_repository(workdir / "demo")
    (made.work / "MLproject").write_text("not: committed\n")
    for command, wanted in (("compile", "whole"), ("run", "cat version.txt; echo said none")):
        dry = ["--dry-run"] if command == "run" else []
        answer = cli(command, "demo", "--version", "v1", *dry)
        assert answer.code == 0, answer.err
        assert answer.out.startswith(wanted)
    assert (toolkit_home / "sources").is_dir()
    assert not (toolkit_home / "work").exists(), "nothing ran"
    answer = cli("compile", "demo", "-v", "mian")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "did you mean 'main'?" in answer.err


# -- files that are written ---------------------------------------------------------------------------


def test_a_flow_file_is_never_overwritten_unasked(cli: Cli, project: Path, toolkit_home: Path) -> None:
    written = cli("compile", ".", "-w", "chain", "-P", "sizes=[3]", "-o", "flow.py")
    assert (written.code, written.out) == (0, "")
    assert "python flow.py --help" in written.err
    text = (project / "flow.py").read_text()
    assert "def chain(sizes: Sequence[Any] = (3,)) -> None:" in text
    (project / "flow.py").write_text("mine")
    again = cli("compile", ".", "-w", "chain", "-o", "flow.py")
    assert again.is_one_clear_error()
    assert "--force" in again.err
    assert (project / "flow.py").read_text() == "mine"
    assert cli("compile", ".", "-w", "chain", "-P", "sizes=[3]", "-o", "flow.py", "--force").code == 0
    assert (project / "flow.py").read_text() == text
    assert cli("compile", ".", "-w", "chain", "-P", "sizes=[3]", "-o", "-").out.startswith('"""The flow demo: chain.')
    assert sorted(path.name for path in project.iterdir()) == ["MLproject", "flow.py"]


@pytest.mark.parametrize("target", [".", "nowhere/flow.py", "MLproject/flow.py"])
def test_a_place_where_no_file_can_be_is_one_clear_line(cli: Cli, project: Path, target: str) -> None:
    assert cli("compile", ".", "-w", "chain", "-o", target).is_one_clear_error()
    assert cli("compile", ".", "-w", "chain", "-o", "flow.py", "--json").is_one_clear_error()
