"""`toolkit compile -o`: flows as files of Python that a person can read."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from projects import CHAIN, plan

from toolkit.errors import NotYetSupported
from toolkit.flows.export import flow_file

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "mlprojects"
RUFF = Path(sys.executable).parent / "ruff"


def assert_ruff_passes(target: Path, *command: str) -> None:
    """Check a file, or all files of a folder, by our own rules; a parameter may be unused in an MLproject, too."""
    done = subprocess.run(
        [
            *(str(RUFF), *(command or ("check", "--ignore", "S108,ARG001"))),
            *("--no-cache", "--config", str(ROOT / "pyproject.toml"), str(target)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def body(text: str) -> list[str]:
    """Return the lines of the flow's function, without its docstring."""
    tree = ast.parse(text)
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [line for node in function.body[1:] for line in ast.unparse(node).splitlines()]


def workflow(steps: str, parameters: str = "{n: {type: int, default: 3}, names: {type: list, default: [a]}}") -> str:
    return f"""
name: demo
entry_points:
  make:
    parameters: {{x: {{default: "1"}}, "odd-name": {{default: "2"}}}}
    command: "make {{x}} {{odd-name}}"
    outputs: {{data: data.txt}}
  use: {{parameters: {{x: {{default: ""}}}}, command: "use {{x}}"}}
workflows:
  main:
    parameters: {parameters}
    steps:
{steps}
"""


def test_a_chain_reads_like_a_flow_that_a_person_wrote(tmp_path: Path) -> None:
    text = flow_file(plan(tmp_path / "wine", CHAIN), tmp_path / "wine" / "flow.py")
    assert "project=Path(__file__).parent" in text
    (tmp_path / "flow.py").write_text(text)
    assert_ruff_passes(tmp_path / "flow.py")
    assert_ruff_passes(tmp_path / "flow.py", "format", "--check")
    assert "retries=2" in text
    assert 'timeout="5m"' in text
    assert "def main(alphas: Sequence[Any] = (0.1, 0.5), report: bool = True) -> None:" in text
    assert body(text) == [
        "prepare_run = prepare.submit()",
        "train_runs = train.foreach({'alpha': alphas}, data=prepare_run.outputs['data'])",
        "if report:",
        "    report_step.submit(error=best(train_runs, 'error', 'min').metrics['error'])",
    ]


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ("use: {parameters: {x: '${{ parameters.n + 1 }}'}}", ["use.submit(x=n + 1)"]),
        ("use: {parameters: {x: 'n is ${{ parameters.n }}'}}", ["use.submit(x=f'n is {n}')"]),
        ("use: {parameters: {x: '${{ steps.make.run_id }}'}}", ["use.submit(x=make_run.run_id)"]),
        ("use: {parameters: {x: '${{ steps.make.outputs.data }}'}}", ["use.submit(x=make_run.outputs['data'])"]),
        ("use: {parameters: {x: 'a $${{ b'}}", ["use.submit(x='a ${{ b')"]),
        ("use: {parameters: {x: [1, '${{ parameters.n }}']}}", ["use.submit(x=[1, n])"]),
        ("use: {needs: [make]}", ["use.submit(after=make_run)"]),
        ("use: {foreach: {x: '${{ range(parameters.n) }}'}}", ["use.foreach({'x': list(range(n))})"]),
        ("use: {foreach: {x: [1, 2]}, parameters: {}}", ["use.foreach({'x': [1, 2]})"]),
        (
            "use: {when: '${{ parameters.n > 1 and len(parameters.names) < 2 }}'}",
            ["if n > 1 and len(names) < 2:", "    use.submit()"],
        ),
        (
            "use: {when: \"${{ steps.make.metrics['a b'] < 1 }}\"}",
            ["if make_run.metrics['a b'].result() < 1:", "    use.submit()"],
        ),
        (
            "use: {parameters: {x: '${{ steps.make.metrics.a * 2 }}'}}",
            ["use.submit(x=expression('${{ steps.make.metrics.a * 2 }}', steps={'make': make_run}))"],
        ),
        (
            "use: {parameters: {x: \"${{ parameters.n if parameters.names == None else 'x' }}\"}}",
            [
                "use.submit(x=expression(\"${{ parameters.n if parameters.names == None else 'x' }}\","
                " parameters={'n': n, 'names': names}))"
            ],
        ),
        ("use: {parameters: {x: '${{ run.name }}'}}", ["use.submit(x=workflow.run.name)"]),
    ],
)
def test_values_become_python(tmp_path: Path, step: str, written: list[str]) -> None:
    text = flow_file(plan(tmp_path / "p", workflow(f"      make: {{}}\n      {step}")), tmp_path / "flow.py")
    first = [] if any("make_run" in line for line in written) else ["make.submit()"]
    assert body(text) == [*(first or ["make_run = make.submit()"]), *written]
    (tmp_path / "flow.py").write_text(text)
    assert_ruff_passes(tmp_path / "flow.py")


def test_what_needs_a_step_that_may_be_skipped_may_be_skipped(tmp_path: Path) -> None:
    steps = """
      make: {when: "${{ parameters.n > 1 }}"}
      use: {parameters: {x: "${{ steps.make.outputs.data }}"}}
      again: {entry_point: use, needs: [use]}
"""
    assert body(flow_file(plan(tmp_path, workflow(steps)), Path("-"))) == [
        "make_run = None",
        "if n > 1:",
        "    make_run = make.submit()",
        "use_run = None",
        "if make_run is not None:",
        "    use_run = use.submit(x=make_run.outputs['data'])",
        "if use_run is not None:",
        "    again.submit(after=use_run)",
    ]


def test_names_that_python_has_taken_are_given_others(tmp_path: Path) -> None:
    steps = """
      make: {parameters: {odd-name: "${{ parameters['odd-name'] }}"}}
      main: {entry_point: use}
      import: {entry_point: use}
      list: {entry_point: use}
      workflow: {entry_point: use}
      make_run: {entry_point: use, needs: [make]}
      1st: {entry_point: use}
"""
    parameters = "{odd-name: {type: string, default: x}, lambda: {type: int, default: 1}}"
    text = flow_file(plan(tmp_path / "p", workflow(steps, parameters)), tmp_path / "flow.py")
    assert "make.submit({'odd-name': odd_name})" in "\n".join(body(text))
    (tmp_path / "flow.py").write_text(text)
    assert_ruff_passes(tmp_path / "flow.py")


def test_a_step_that_registers_beside_its_command_is_refused(tmp_path: Path) -> None:
    made = plan(tmp_path, workflow("      make: {}"))
    raw = (tmp_path / "MLproject").read_text()
    (tmp_path / "MLproject").write_text(raw.replace("make: {}", "make: {register: {model: m, from: x}}"))
    with pytest.raises(NotYetSupported, match="'register' beside a command"):
        flow_file(made, Path("-"))


def test_an_entry_point_alone_takes_what_was_given(tmp_path: Path) -> None:
    text = "entry_points: {main: {parameters: {old: {type: float, default: 5}, a: float}, command: 'go {a} {old}'}}"
    made = plan(tmp_path, text, to_show=True, parameters={"more": "x y"})
    written = flow_file(made, Path("-"))
    assert 'def main_flow(*, old: int | float = 5, a: float, more: str = "x y") -> None:' in written
    assert 'command="go {a} {old} --more {more}"' in written
    assert "single=True" in written


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real MLproject files is not there: ../shared/mlprojects")
def test_each_real_project_can_be_written(tmp_path: Path) -> None:
    from toolkit.flows.plan import Target, make_plan
    from toolkit.flows.source import fetch

    written = 0
    for folder in sorted(CORPUS.iterdir()):
        if not folder.is_dir() or folder.name == "rapids_mlflow_project":  # its environment file is not there
            continue
        source = fetch(str(folder), caller=tmp_path)
        for entry in make_plan(source, Target(to_show=True, entry_point=_first(folder))).project.entry_points:
            made = make_plan(source, Target(to_show=True, entry_point=entry))
            (tmp_path / f"flow_{written}.py").write_text(flow_file(made, tmp_path / "flow.py"))
            written += 1
    assert written > 50
    assert_ruff_passes(tmp_path)


def _first(folder: Path) -> str:
    from toolkit.spec.reader import read_project

    return next(iter(read_project(folder).entry_points))
