"""`toolkit lint`: findings with their place, their rule, and an exit code that a script can use."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import Cli

from toolkit.spec.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "mlprojects"

CLEAN = """name: demo
python_env: python_env.yaml
entry_points:
  main:
    parameters:
      rate: {type: float, default: 0.5}
    command: "python train.py --rate {rate}"
"""
ENVIRONMENT = 'python: "3.11"\ndependencies: ["numpy>=2,<3"]\n'


def write(folder: Path, text: str = CLEAN, environment: str = ENVIRONMENT) -> None:
    (folder / "MLproject").write_text(text)
    (folder / "python_env.yaml").write_text(environment)
    (folder / "train.py").write_text("")


def found(cli: Cli, *options: str) -> list[tuple[str, str, int]]:
    """Return rule, file and line of each finding."""
    answer = cli("lint", *options, "--json")
    assert answer.code in (0, 1), answer
    return [(one["rule"], Path(one["file"]).name, one["line"]) for one in answer.json["findings"]]


def test_a_project_that_is_well_is_left_alone(cli: Cli, workdir: Path, toolkit_home: Path) -> None:
    write(workdir)
    answer = cli("lint")
    assert (answer.code, answer.out, answer.err) == (0, "", "MLproject: nothing to say\n")
    assert not (toolkit_home / "toolkit.db").exists()


@pytest.mark.parametrize(
    ("old", "new", "rule", "line"),
    [
        ("entry_points:", "entrypoint: {}\nentry_points:", "unknown-key", 3),
        ("{type: float, default", "{tpye: float, type: float, default", "unknown-key", 6),
        ("name: demo", "name: demo\nname: demo", "duplicate-key", 2),
        ("default: 0.5", "default: fast", "default-type", 6),
        ("--rate {rate}", "--rate 1", "unused-parameter", 6),
        ("{rate}", "{rat}", "undeclared-parameter", 7),
        ("{rate}", "{rate} && (", "shell-syntax", 7),
        ("{rate}", "{rate} | tail -1", "pipe", 7),
        ("{rate}", "${rate}", "dollar-placeholder", 7),
        ("python train.py", "python tarin.py", "missing-file", 7),
        ("python_env.yaml", "env.yaml", "missing-file", 2),
        ("python_env.yaml", "python_env.yaml\nconda_env: x", "invalid", 3),
        ("default: 0.5", "default: 1e-1", "unquoted-value", 6),
        ("float, default: 0.5", "string, default: no", "unquoted-value", 6),
        ("float, default: 0.5", "string, default: 010", "unquoted-value", 6),
        ("float, default: 0.5", "string, default: 1.10", "unquoted-value", 6),
        ("float, default: 0.5", "string, default: 12:30:00", "unquoted-value", 6),
        ("type: float, default: 0.5", "default: 0.5", "missing-type", 6),
        ("type: float", "type: flaot", "unknown-type", 6),
        ("float, default: 0.5", "string, default: train.py", "path-type", 6),
        ("float, default: 0.5", "string, default: 's3://bucket/x'", "uri-type", 6),
        ("name: demo\n", "", "no-name", 1),
        ("  main:", "  train:", "no-main", 1),
    ],
)
def test_a_finding_has_its_rule_and_its_place(
    cli: Cli, workdir: Path, old: str, new: str, rule: str, line: int
) -> None:
    assert old in CLEAN
    write(workdir, CLEAN.replace(old, new))
    assert (rule, "MLproject", line) in found(cli)


@pytest.mark.parametrize(
    ("environment", "rule", "line"),
    [
        ("python: 3.11\ndependencies: []", "unquoted-value", 1),
        ("dependencies: []", "unpinned-python", 1),
        ('python: "3.8"\ndependencies: []', "old-python", 1),
        ('python: "3.11"\ndependencies:\n  - numpy', "unpinned", 3),
        ('python: "3.11"\ndependencies:\n  - numpy ; python_version > "3"', "unpinned", 3),
        ('python: "3.11"\nchannels: [x]\ndependencies: []', "unknown-key", 2),
        ("dependencies: 5", "invalid", 1),
    ],
)
def test_an_environment_is_looked_at_too(cli: Cli, workdir: Path, environment: str, rule: str, line: int) -> None:
    write(workdir, environment=environment)
    assert (rule, "python_env.yaml", line) in found(cli)


def test_conda_files_have_rules_of_their_own(cli: Cli, workdir: Path) -> None:
    write(workdir, CLEAN.replace("python_env: python_env.yaml", "conda_env: conda.yaml"))
    text = "channels: [defaults]\ndependencies:\n- python=3.11\n- libgomp\n- pip:\n  - numpy\n"
    (workdir / "conda.yaml").write_text(text)
    rules = found(cli)
    assert {("defaults-channel", "conda.yaml", 1), ("unpinned", "conda.yaml", 4)} <= set(rules)
    assert {("unpinned", "conda.yaml", 6), ("conda-packages", "conda.yaml", 1)} <= set(rules)
    assert ("old-fashioned", "MLproject", 2) in rules


WORKFLOW = """
workflows:
  flow:
    parameters: {unused: {type: int, default: 1}}
    steps:
      first: {entry_point: main}
      second: {entry_point: main, needs: [first]}
      alone: {entry_point: main}
"""


def test_workflows_are_looked_at(cli: Cli, workdir: Path) -> None:
    write(workdir, CLEAN + WORKFLOW)
    rules = found(cli)
    assert rules == [("unused-parameter", "MLproject", 11), ("lone-step", "MLproject", 15)]
    write(
        workdir, CLEAN + WORKFLOW.replace("first: {entry_point: main}", "first: {entry_point: main, needs: [second]}")
    )
    assert [rule for rule, _, _ in found(cli)] == ["circle"]
    write(workdir, CLEAN + WORKFLOW.replace("alone: {entry_point: main}", "alone: {entry_point: mian}"))
    assert [rule for rule, _, _ in found(cli)] == ["unknown-entry-point"]


def test_the_exit_code_and_the_lines_are_for_scripts(cli: Cli, workdir: Path) -> None:
    write(workdir, CLEAN.replace("name: demo\n", ""))
    notes = cli("lint")
    assert notes.code == 0
    assert notes.out.startswith("MLproject:1: note: the project has no name")
    assert notes.out.endswith("[no-name]\n")
    write(workdir, CLEAN.replace("--rate {rate}", ""))
    warned = cli("lint")
    assert warned.code == 1
    assert warned.out.startswith("MLproject:6:7: warning: ")
    assert warned.err == "MLproject: 1 warning\n"
    assert cli("lint", "--ignore", "unused-parameter").code == 0
    assert "did you mean 'unused-parameter'?" in cli("lint", "--ignore", "unused-parametr").err


@pytest.mark.parametrize("text", ["name: [", "\ta: 1", "- a list"])
def test_a_file_that_cannot_be_read_is_exit_code_2(cli: Cli, workdir: Path, text: str) -> None:
    write(workdir, text)
    answer = cli("lint")
    assert answer.code in (1, 2)
    assert "MLproject:1" in answer.err + answer.out
    (workdir / "MLproject").unlink()
    assert cli("lint").is_one_clear_error()
    assert cli("lint", "nowhere").is_one_clear_error()


def test_the_rules_are_listed(cli: Cli) -> None:
    listed = cli("lint", "--rules").out.splitlines()
    assert [line.partition("\t")[0] for line in listed] == list(RULES)


@pytest.mark.parametrize("example", ["wine-quality", "single-step"])
def test_our_own_examples_have_notes_at_most(cli: Cli, example: str) -> None:
    assert cli("lint", str(ROOT / "examples" / example)).code == 0


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real MLproject files is not there: ../shared/mlprojects")
def test_real_projects_give_sensible_findings(cli: Cli) -> None:
    seen = set()
    for folder in sorted(path for path in CORPUS.iterdir() if path.is_dir()):
        answer = cli("lint", str(folder), "--json")
        assert answer.code in (0, 1), (folder, answer.err)
        for one in answer.json["findings"]:
            seen.add(one["rule"])
            assert one["rule"] in RULES
            assert one["line"] > 0
            assert Path(one["file"]).exists()
    assert {"unused-parameter", "unknown-key", "unquoted-value", "unpinned", "missing-file", "uri-type"} <= seen
    assert "invalid" not in seen
    assert "shell-syntax" not in seen
