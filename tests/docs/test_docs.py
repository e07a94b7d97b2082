"""The documentation says what the code does: every name is in it, every link leads somewhere, snippets are sound."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import AliasChoices, ByteSize, TypeAdapter
from typer.exceptions import Exit, TyperException

import toolkit
from toolkit.cli import main as cli
from toolkit.recording import context
from toolkit.recording.lease import PROCESS_TAG
from toolkit.registry.history import EVENTS, Action
from toolkit.registry.policy_file import read_policies
from toolkit.registry.promotion import RequestState
from toolkit.settings import Settings
from toolkit.spec import deploying, entry_point, function, parameter, parameter_type, reader, scope, workflow

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SCRIPTS = ("track-your-code", "use-mlflow-scripts")
COMPLETION = {"--install-completion", "--show-completion"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"(?m)^```(\w*)\n(.*?)^```$", text, re.DOTALL):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page=page, line=line, language=found[1], text=found[2])


def blocks_in(language: str, pages: Iterable[Path] = tuple(PAGES)) -> list[Block]:
    """Return all blocks in a language."""
    return [block for page in pages for block in blocks(page) if block.language == language]


def doc(path: str) -> str:
    """Return a page."""
    return (ROOT / "docs" / path).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))


def sections(text: str, level: str = "## ") -> dict[str, str]:
    """Return the sections of a page by heading."""
    parts = re.split(rf"(?m)^{level}(.+)$", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def code(text: str) -> set[str]:
    """Return what stands in backquotes."""
    return {span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", text)}


def words(text: str) -> set[str]:
    """Return the words of all code spans."""
    return {word for span in code(text) for word in re.findall(r"\w+", span)}


def table(text: str) -> list[list[str]]:
    """Return the cells of all table rows."""
    rows = [line.strip().strip("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]


# -- the command line ------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    """Return each command by its full name."""
    found: dict[str, Any] = {"toolkit": typer.main.get_command(cli.app)}
    for name, (module, _) in cli.COMMANDS.items():
        command = typer.main.get_command(importlib.import_module(module).app)
        found |= below(f"toolkit {name}", command)
    return found


def below(name: str, command: Any) -> dict[str, Any]:  # noqa: ANN401 - Typer's own types
    """Return a command, or those of a group, by their full names."""
    inner = getattr(command, "commands", None)
    if not inner:
        return {name: command}
    return {full: one for key, each in inner.items() for full, one in below(f"{name} {key}", each).items()}


@pytest.mark.parametrize("name", commands())
def test_commands_page_has_each_option_of_a_command_and_no_other(name: str) -> None:
    parts = sections(doc("reference/commands.md"))
    assert name in parts, f"docs/reference/commands.md has no section '## {name}'"
    known = {
        option
        for item in commands()[name].params
        for option in (*item.opts, *item.secondary_opts)
        if option.startswith("-")
    }
    shared = {"--help", "-h", "--debug"} | COMPLETION
    spans = " ".join(cell for row in table(parts[name]) for cell in code(row[0]))
    documented = set(re.findall(r"(?<!\S)--?[A-Za-z][\w-]*", spans))
    assert known - shared <= documented
    assert documented - shared <= known


def console_lines() -> list[tuple[str, list[str]]]:
    """Return the arguments of each call of toolkit in a console block."""
    found = []
    for block in blocks_in("console"):
        for line in block.text.splitlines():
            if line.startswith("$ "):
                lexer = shlex.shlex(line[2:], posix=True, punctuation_chars="|&;<>")
                lexer.whitespace_split, lexer.commenters = True, ""
                arguments = list(lexer)
                end = next((n for n, word in enumerate(arguments) if set(word) <= set("|&;<>")), len(arguments))
                if arguments[0] == "toolkit":
                    found.append((f"{block}: {line}", arguments[1:end]))
    return found


@pytest.mark.parametrize(("line", "arguments"), console_lines(), ids=[line for line, _ in console_lines()])
def test_command_lines_parse(line: str, arguments: list[str]) -> None:
    arguments = [word for word in arguments if word != "--debug"]
    known = commands()
    depth = next((n for n in (4, 3, 2, 1) if " ".join(["toolkit", *arguments[:n]]) in known), 0)
    assert depth, f"{line} calls no command of toolkit"
    command = known[" ".join(["toolkit", *arguments[:depth]])]
    try:
        command.make_context("toolkit", arguments[depth:])
    except Exit:
        pass
    except TyperException as error:
        pytest.fail(f"{line}: {error.format_message()}")


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", Settings.model_fields)
def test_settings_page_has_each_setting(name: str) -> None:
    field = Settings.model_fields[name]
    assert isinstance(field.validation_alias, AliasChoices)
    variable, *others = [str(choice) for choice in field.validation_alias.choices]
    rows = {next(iter(code(row[0])), ""): row for row in table(doc("reference/settings.md"))}
    assert variable in rows, f"docs/reference/settings.md has no row for {variable}"
    row = rows[variable]
    assert code(row[1]) == set(others)
    if variable.startswith("TOOLKIT_"):
        assert code(row[2]) == {name}
    if isinstance(field.default, ByteSize):
        (given,) = code(row[3])
        assert TypeAdapter(ByteSize).validate_python(given) == field.default
    elif isinstance(field.default, bool):
        assert code(row[3]) == {str(field.default).lower()}
    elif isinstance(field.default, int | float):
        assert code(row[3]) == {f"{field.default:g}"}
    elif field.default is not None:
        assert code(row[3]) == {str(field.default)}


@pytest.mark.parametrize("block", blocks_in("toml"), ids=str)
def test_configuration_snippets_hold_settings(block: Block) -> None:
    values = tomllib.loads(block.text)
    values = values.get("tool", {}).get("toolkit", values)
    assert values
    assert values.keys() <= Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("Keys of the file", reader.KEYS),
        ("Keys of an entry point", entry_point.KEYS),
        ("Keys of a workflow", workflow.WORKFLOW_KEYS),
        ("Keys of a step", workflow.STEP_KEYS),
        ("Register", workflow.REGISTER_KEYS),
        ("Deploy", deploying.DEPLOY_KEYS),
        ("Parameters", (*parameter.KEYS, *parameter_type.TYPES)),
        ("Expressions", (*scope.STEP_FIELDS, *scope.RUN_FIELDS, *scope.OUTPUT_FIELDS)),
    ],
)
def test_mlproject_page_has_each_key(section: str, names: Iterable[str]) -> None:
    text = sections(doc("reference/mlproject.md"))[section]
    assert set(names) <= words(text)


def test_mlproject_page_has_each_function_and_no_other() -> None:
    text = sections(doc("reference/mlproject.md"))["Expressions"]
    spans = " ".join(cell for row in table(text) for cell in code(row[0]))
    assert set(re.findall(r"(\w+)\(", spans)) == set(function.FUNCTIONS)


@pytest.mark.parametrize("name", toolkit.__all__)
def test_python_page_has_each_name_with_its_arguments(name: str) -> None:
    rows = [span for row in table(doc("reference/python.md")) for span in code(row[0])]
    shown = [span for span in rows if re.match(rf"{name}\b", span)]
    assert shown, f"docs/reference/python.md has no row for {name}"
    if name != "ActiveRun":
        arguments = inspect.signature(getattr(toolkit, name)).parameters
        assert set(arguments) <= set(re.findall(r"\w+", shown[0]))


def test_python_page_has_no_other_name() -> None:
    text = doc("reference/python.md")
    names = {re.split(r"\W", span)[0] for row in table(text) for span in code(row[0])}
    assert names == set(toolkit.__all__)


def module_names() -> Iterator[tuple[str, Any]]:
    """Return each name of the modules that scripts use, with what it calls."""
    for name, method in inspect.getmembers(toolkit.Client, inspect.isfunction):
        if not name.startswith("_") and name not in ("search_page", "place_of"):
            yield name, method
    for module in (toolkit.data, toolkit.artifacts):
        names = getattr(module, "__all__", toolkit._HANDED_OUT["toolkit.artifacts"])
        yield from ((name, getattr(module, name)) for name in names if name.islower())


@pytest.mark.parametrize(("name", "thing"), list(module_names()))
def test_modules_page_has_each_name_with_its_arguments(name: str, thing: Any) -> None:  # noqa: ANN401 - any callable
    rows = [span for row in table(doc("reference/python-modules.md")) for span in code(row[0])]
    arguments = set(inspect.signature(thing).parameters) - {"self"}
    assert any(re.match(rf"{name}\(", span) and arguments <= set(re.findall(r"\w+", span)) for span in rows)


def test_recorded_page_has_each_tag() -> None:
    tags = {value for name, value in vars(context).items() if name.isupper() and isinstance(value, str)}
    assert {*tags, PROCESS_TAG} <= code(doc("reference/what-is-recorded.md"))


# -- links -----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as GitHub forms them."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}, which has no such heading"


def test_index_links_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", prose(index))}
    assert set(PAGES) - {index} <= linked


# -- snippets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks_in("python"), ids=str)
def test_python_snippets_compile(block: Block) -> None:
    compile(block.text, str(block), "exec")


def runnable() -> list[Block]:
    """Return the snippets that are whole scripts and need no server."""
    found = blocks_in("python", [ROOT / "README.md", *(ROOT / "docs/how-to" / f"{name}.md" for name in SCRIPTS)])
    return [block for block in found if "@toolkit.flow" not in block.text]


@pytest.mark.parametrize("block", runnable(), ids=str)
def test_tracking_snippets_run(block: Block, workdir: Path, toolkit_home: Path) -> None:
    script = workdir / "snippet.py"
    script.write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert (toolkit_home / "toolkit.db").exists()


def project_snippets() -> list[Block]:
    """Return the snippets that are whole MLproject files."""
    return [block for block in blocks_in("yaml") if "entry_points" in yaml.safe_load(block.text)]


@pytest.mark.parametrize("block", project_snippets(), ids=str)
def test_project_snippets_are_read(block: Block, workdir: Path) -> None:
    project = reader.parse_project(block.text, directory=workdir)
    assert project.entry_points
    assert [warning.message for warning in project.warnings] == []


def step_snippets() -> list[Block]:
    """Return the snippets that show steps only."""
    others = [*project_snippets(), *gate_snippets()]
    return [block for block in blocks_in("yaml") if block not in others]


def test_registry_page_has_each_change_event_and_state() -> None:
    parts = sections(doc("reference/registry.md"))
    for heading, known in (("Changes", set(Action)), ("Events", set(EVENTS)), ("Requests", set(RequestState))):
        assert set().union(*(code(row[0]) for row in table(parts[heading]))) == known


def gate_snippets() -> list[Block]:
    """Return the snippets that show gates."""
    return [block for block in blocks_in("yaml") if re.search(r"(?m)^  gates:", block.text)]


@pytest.mark.parametrize("block", gate_snippets(), ids=str)
def test_gate_snippets_are_read(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "gates.yaml"
    file.write_text(block.text, encoding="utf-8")
    assert all(policy.says for policy in read_policies(file))


@pytest.mark.parametrize("block", step_snippets(), ids=str)
def test_step_snippets_have_known_keys(block: Block) -> None:
    read = yaml.safe_load(block.text)
    flows = read["workflows"].values() if "workflows" in read else [read]
    for flow in flows:
        assert flow.keys() <= set(workflow.WORKFLOW_KEYS)
        for step in flow["steps"].values():
            assert step.keys() <= set(workflow.STEP_KEYS)


# -- what the pages show ---------------------------------------------------------------------------


def shown_after(page: Path, command: str) -> str:
    """Return the output that a page shows for a command, up to the next one."""
    for block in blocks_in("console", [page]):
        found = re.search(rf"(?ms)^\$ {re.escape(command)}\n(.*?)(?=^\$ |\Z)", block.text)
        if found:
            return found[1].strip()
    raise AssertionError(f"{page} shows no {command}")


def test_readme_shows_the_graph_of_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compile", str(ROOT / "examples/wine-quality")]) == 0
    assert capsys.readouterr().out.strip() == shown_after(ROOT / "README.md", "toolkit compile examples/wine-quality")


def test_readme_shows_the_command_of_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(ROOT / "examples/single-step"), "--dry-run"]) == 0
    shown = shown_after(ROOT / "README.md", "toolkit run examples/single-step --dry-run")
    assert capsys.readouterr().out.strip() == shown


def test_tutorial_shows_the_graph_of_its_workflow(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs/tutorial/first-workflow.md"
    (workdir / "MLproject").write_text(blocks_in("yaml", [page])[-1].text, encoding="utf-8")
    assert cli.main(["compile", "."]) == 0
    assert capsys.readouterr().out.strip() == shown_after(page, "toolkit compile .")


def test_tutorial_scripts_do_what_it_says(workdir: Path) -> None:
    page = ROOT / "docs/tutorial/first-workflow.md"
    prepare, train, more = (block.text for block in blocks_in("python", [page]))
    (workdir / "prepare.py").write_text(prepare, encoding="utf-8")
    (workdir / "train.py").write_text(f"import json\n{train}{more}", encoding="utf-8")
    for command in ("python prepare.py", "python train.py series.txt --alpha 0.3"):
        argv = [sys.executable, *command.split()[1:]]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == shown_after(page, command)
    assert (workdir / "model.json").exists()
    assert (workdir / "metrics.json").exists()


def test_benchmarks_page_has_each_row() -> None:
    script = (ROOT / "benchmarks/run_overhead.py").read_text(encoding="utf-8")
    measured = set(re.findall(r'work="([^"]+)"', script))
    assert measured
    assert measured <= {row[0] for row in table(doc("benchmarks.md"))}
