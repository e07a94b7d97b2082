"""Workflows: reading, checking, ordering."""

import textwrap
from pathlib import Path

import pytest

from toolkit.errors import ExpressionError, InvalidParameter, MissingParameters, ProjectError, UnknownWorkflow
from toolkit.spec.expression import OutputRef, Scope, StepResult
from toolkit.spec.project import EntryPoint, Project, Step
from toolkit.spec.reader import parse_project
from toolkit.spec.workflow import check_workflow, dependencies, order, workflow

HEAD = """\
entry_points:
  prepare:
    parameters: {size: {type: float, default: 0.25}}
    command: "prepare {size}"
    outputs: {data: data.parquet}
  train:
    parameters: {data: path, alpha: {type: float, default: 0.5}, name: {default: x}}
    command: "train {data} {alpha} {name}"
    outputs: {model: model}
    metrics: metrics.json
  report: {command: "report", parameters: {models: {type: list, default: []}}}
"""
STEPS = HEAD + "workflows:\n  main:\n    parameters: {alphas: {type: list, default: [0.1, 0.5]}, n: int}\n    steps:\n"
FIRST_STEP = STEPS.count("\n") + 1


def parse(text: str, directory: Path = Path("/nowhere")) -> Project:
    return parse_project(text, directory=directory)


def with_steps(text: str) -> Project:
    return parse(STEPS + textwrap.indent(textwrap.dedent(text), "      "))


def step(text: str, name: str = "train") -> Step:
    return with_steps(text).workflows["main"].steps[name]


def error(text: str) -> str:
    """Return the error; its line is counted from the first step."""
    with pytest.raises(ProjectError) as caught:
        with_steps(text)
    message = str(caught.value)
    assert "\n" not in message
    file, line, rest = message.split(":", 2)
    assert file == "MLproject"
    return f"{int(line) - FIRST_STEP + 1}:{rest}"


EXAMPLE = """\
prepare: {cache: true}
train:
  foreach: {alpha: "${{ parameters.alphas }}"}
  parameters: {data: "${{ steps.prepare.outputs.data }}"}
  retries: 2
  timeout: 600
promote:
  register: {model: wine, from: "${{ best(steps.train, 'rmse', 'min').outputs.model }}", alias: champion, stage: S}
  when: "${{ best(steps.train, 'rmse', 'min').metrics.rmse < 0.8 }}"
"""


def test_a_workflow_is_read() -> None:
    project = with_steps(EXAMPLE)
    assert project.typed
    main = workflow(project, "main")
    assert list(main.steps) == ["prepare", "train", "promote"]
    prepare, train, promote = main.steps.values()
    assert (prepare.entry_point, prepare.cache, prepare.timeout, prepare.retries) == ("prepare", True, None, 0)
    assert (train.retries, train.timeout, train.cache, train.entry_point) == (2, 600.0, False, "train")
    assert promote.entry_point is None
    assert promote.register is not None
    assert (promote.register.model, promote.register.alias, promote.register.stage) == ("wine", "champion", "S")
    assert [dependencies(step) for step in main.steps.values()] == [set(), {"prepare"}, {"train"}]
    assert order(main) == [["prepare"], ["train"], ["promote"]]
    assert str(train.mark) == f"MLproject:{FIRST_STEP + 1}:7"
    assert str(main.mark) == f"MLproject:{HEAD.count(chr(10)) + 2}:3"


def test_the_example_evaluates() -> None:
    steps = with_steps(EXAMPLE).workflows["main"].steps
    ref = OutputRef(run_id="p", path="data.parquet")
    scope = Scope(
        parameters={"alphas": [0.1, 0.5]},
        steps={
            "prepare": StepResult(name="prepare", run_id="p", status="FINISHED", outputs={"data": ref}),
            "train": tuple(
                StepResult(
                    name="train",
                    run_id=f"t{rmse}",
                    status="FINISHED",
                    metrics={"rmse": rmse},
                    outputs={"model": OutputRef(run_id=f"t{rmse}", path="model")},
                )
                for rmse in (0.9, 0.7)
            ),
        },
    )
    assert steps["train"].foreach["alpha"].evaluate(scope) == [0.1, 0.5]
    assert steps["train"].parameters["data"].evaluate(scope) == ref
    promote = steps["promote"]
    assert promote.when is not None
    assert promote.when.evaluate(scope) is True
    assert promote.register is not None
    assert str(promote.register.source.evaluate(scope)) == "runs:/t0.7/model"


def test_every_key_of_a_step(tmp_path: Path) -> None:
    (tmp_path / "gpu.yaml").touch()
    text = STEPS + textwrap.indent(
        textwrap.dedent(
            """\
            first: {entry_point: prepare}
            other: {entry_point: prepare, parameters: , needs: }
            train:
              entry_point: train
              parameters: {data: "${{ steps.first.outputs.data }}", name: "a ${{ parameters.n }}"}
              needs: [other, other]
              foreach: {alpha: [0.1, "${{ parameters.n }}"]}
              when: true
              retries: 3
              retry_delay: 10s
              timeout: 1h30m
              cache: no
              env: gpu.yaml
              concurrency: 2
              register: {model: m, from: "${{ steps.first.outputs.data }}"}
            """
        ),
        "      ",
    )
    read = parse(text, tmp_path).workflows["main"].steps["train"]
    assert read.needs == ("other",)
    assert dependencies(read) == {"first", "other"}
    assert read.when is not None
    assert read.when.evaluate(Scope(parameters={})) is True
    assert (read.retries, read.retry_delay, read.timeout, read.concurrency) == (3, 10.0, 5400.0, 2)
    assert read.environment is not None
    assert (read.environment.kind, read.environment.path) == ("python_env", "gpu.yaml")
    assert read.register is not None
    assert read.entry_point == "train"
    assert read.foreach["alpha"].evaluate(Scope(parameters={"n": 7})) == [0.1, 7]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("0.5", 0.5), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1d1h1m1.5s", 90061.5), ("2h", 7200)],
)
def test_times_are_seconds_or_texts(value: str, seconds: float) -> None:
    assert step(f"prepare: {{timeout: {value}}}", "prepare").timeout == seconds


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        ("conda-gpu.yaml", "conda_env"), ("environment.yml", "conda_env"), ("gpu.yaml", "python_env"),
        ("requirements-gpu.txt", "requirements"), ("pyproject.toml", "pyproject"),
        ("{conda_env: gpu.yaml}", "conda_env"),
        ("{docker_env: {image: x}}", "docker_env"), ("", None), ("{}", None),
    ],
)  # fmt: skip
def test_the_environment_of_a_step(tmp_path: Path, env: str, kind: str | None) -> None:
    if env.strip("{}"):
        (tmp_path / env.strip("{}").split(" ")[-1]).touch()
    read = parse(STEPS + f"      prepare: {{env: {env}}}\n", tmp_path).workflows["main"].steps["prepare"]
    assert (read.environment.kind if read.environment else None) == kind


def test_small_forms() -> None:
    main = with_steps("prepare:\ntrain: {needs: prepare, parameters: {data: .}}\n").workflows["main"]
    assert main.steps["prepare"].entry_point == "prepare"
    assert main.steps["train"].needs == ("prepare",)
    project = parse(HEAD + "workflows: {train: {description: all of it, steps: {prepare: }}}\n")
    assert workflow(project, "train").description == "all of it"
    assert project.entry_points["train"]
    assert parse(HEAD + "workflows:\n").workflows == {}


def test_an_unknown_workflow_lists_the_known_ones() -> None:
    with pytest.raises(UnknownWorkflow, match=r"there is no workflow 'mian' in /nowhere: did you mean 'main'\?"):
        workflow(with_steps("prepare:\n"), "mian")
    with pytest.raises(UnknownWorkflow, match="it declares none"):
        workflow(parse("name: x"), "main")


def test_names_may_be_anything() -> None:
    text = HEAD + (
        "  a-b: {command: a, outputs: {'x.y': o}}\n  class: {command: c}\n"
        "workflows:\n  w:\n    steps:\n      a-b:\n"
        "      class: {when: \"${{ steps['a-b'].outputs['x.y'].path == 'o' }}\"}\n"
        "      42: {entry_point: class, needs: [class]}\n"
        "      x: {entry_point: class, when: \"${{ steps['42'].run_id }}\"}\n"
    )
    assert order(parse(text).workflows["w"]) == [["a-b"], ["class"], ["42"], ["x"]]


def test_levels_are_in_the_order_of_the_file() -> None:
    main = with_steps(
        """\
        c: {entry_point: prepare, needs: a}
        b: {entry_point: prepare}
        a: {entry_point: prepare}
        d: {entry_point: prepare, needs: [b, c]}
        e: {entry_point: prepare, needs: b}
        """
    ).workflows["main"]
    assert order(main) == [["b", "a"], ["c", "e"], ["d"]]


def test_a_fan_out_over_a_fan_out() -> None:
    main = with_steps(
        """\
        prepare: {foreach: {size: [0.1, 0.2]}}
        train: {foreach: {data: "${{ steps.prepare.outputs.data }}", alpha: "${{ parameters.alphas }}"}}
        report: {parameters: {models: "${{ steps.train.outputs.model }}"}}
        """
    ).workflows["main"]
    assert order(main) == [["prepare"], ["train"], ["report"]]
    assert list(main.steps["train"].foreach) == ["data", "alpha"]


def test_the_example_of_several_steps_has_the_edges_of_its_references() -> None:
    project = parse(
        textwrap.dedent(
            """\
            entry_points:
              load: {command: l, outputs: {ratings: r}}
              etl: {parameters: {ratings: path}, command: "e {ratings}", outputs: {data: d}}
              als: {parameters: {data: path}, command: "a {data}", outputs: {model: m}}
              keras: {parameters: {data: path, als: uri}, command: "k {data} {als}"}
            workflows:
              main:
                steps:
                  keras: {parameters: {data: "${{ steps.etl.outputs.data }}", als: "${{ steps.als.outputs.model }}"}}
                  als: {parameters: {data: "${{ steps.etl.outputs.data }}"}}
                  load:
                  etl: {parameters: {ratings: "${{ steps.load.outputs.ratings }}"}}
            """
        )
    )
    assert order(project.workflows["main"]) == [["load"], ["etl"], ["als"], ["keras"]]
    assert dependencies(project.workflows["main"].steps["keras"]) == {"etl", "als"}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        # names
        ("prepair:", "1:7: step 'prepair': there is no entry point 'prepair' in /nowhere"),
        ("x: {entry_point: trian}", "there are 'prepare', 'train', 'report'; did you mean 'train'?"),
        ("x: {entry_point: x.py}", "step 'x': there is no entry point 'x.py'"),
        ("prepare: {cach: true}", "1:17: step 'prepare' has the unknown key 'cach': did you mean 'cache'?"),
        ("prepare: {xyz: true}", "unknown key 'xyz': there are 'entry_point', 'parameters', 'needs'"),
        ("prepare: {needs: prepair}", "'prepair', and workflow 'main' has no such step: it has no other"),
        ("prepare:\nx: {entry_point: prepare, needs: [prepaer]}", "2:7: step 'x' refers to 'prepaer', and workflow"
         " 'main' has no such step: did you mean 'prepare'?"),
        ("prepare: {needs: prepare}", "1:7: step 'prepare' refers to itself"),
        ("prepare:\nprepare:", "2:7: the key 'prepare' stands there twice: keep one"),
        ("prepare: {cache: true, cache: false}", "1:30: the key 'cache' stands there twice"),
        # references
        ("prepare: {when: '${{ steps.prepare.run_id }}'}", "1:28: step 'prepare' refers to itself"),
        ("prepare: {when: '${{ steps.x.run_id }}'}", "1:28: step 'prepare' refers to 'x', and workflow 'main' has no"),
        ("prepare: {when: '${{ parameters.alpha }}'}", "1:28: workflow 'main' has no parameter 'alpha': did you mean"
         " 'alphas'?"),
        ("prepare: {when: '${{ run.nam }}'}", "1:28: run has no 'nam': did you mean 'name'?"),
        ("prepare:\nreport: {when: '${{ steps.prepare.outputs.dat }}'}",
        "2:27: entry point 'prepare' declares no output"
         " 'dat': did you mean 'data'?"),
        ("report:\nprepare: {when: '${{ steps.report.outputs.x }}'}", "entry point 'report' declares no output 'x': it"
         " declares none; add outputs:"),
        ("prepare:\nreport: {when: '${{ steps.prepare.outputs.data.url }}'}",
        "an output has no 'url': did you mean 'uri'?"),
        ("prepare:\nreport: {when: '${{ steps.prepare.output.data }}'}",
        "a step has no 'output': did you mean 'outputs'?"),
        ("prepare:\nreport: {when: '${{ steps.prepare.parameters.siz }}'}",
        "entry point 'prepare' has no parameter 'siz':"
         " did you mean 'size'?"),
        ("r: {register: {model: m, from: '${{ 1 }}'}}\nprepare: {when: '${{ steps.r.outputs.m }}'}",
         "step 'r', which only registers, declares no output 'm'"),
        ("prepare:\nr: {register: {model: m, from: '${{ steps.prepare.outputs.x }}'}}", "2:43: entry point 'prepare'"
         " declares no output 'x'"),
        ("prepare: {when: '${{ steps }}'}", "1:28: 'steps' is no value of its own"),
        ("prepare: {when: '${{ 1 + }}'}", "this is not an expression"),
        ("prepare: {when: '${{ 1'}", "1:24: '${{' is never closed"),
        ("prepare: {when: \"a\n    ${{ foo }}\"}", "2:"),
        # parameters
        ("train: {parameters: {alpha: 1}}", "1:7: No value given for missing parameters: 'data'; entry point 'train'"
         " requires it: give it under parameters or foreach of step 'train'"),
        ("train: {parameters: {data: ., alfa: 1}}",
        "1:43: step 'train' gives 'alfa', and entry point 'train' has no such"
         " parameter: did you mean 'alpha'?"),
        ("train: {parameters: {data: }}", "No value given for missing parameters: 'data'"),
        ("train: {foreach: {data: [.], x: [1]}}",
        "step 'train' gives 'x', and entry point 'train' has no such parameter"),
        ("train: {parameters: {data: ., alpha: x}}",
        "1:44: step 'train': parameter 'alpha' is 'x', but it wants a number"),
        ("train: {parameters: {data: .}, foreach: {alpha: [1, x]}}", "parameter 'alpha' is 'x', but it wants a number"),
        ("train: {parameters: {data: .}, foreach: {data: [a]}}",
        "step 'train' gives 'data' under parameters and under"),
        ("r: {register: {model: m, from: a}, parameters: {x: 1}}", "step 'r' only registers a model: it has no command"
         " that could take 'x'"),
        # cycles
        ("a: {entry_point: prepare, needs: b}\nb: {entry_point: prepare, needs: c}\n"
         "c: {entry_point: prepare, needs: b}",
         "2:7: the steps of workflow 'main' need each other in a circle: b -> c -> b; take one of these edges away"),
        # values
        ("train: {parameters: {data: ${{ steps.prepare.outputs.data }}}}", "a text with '${{ }}' needs quotes where"),
        ("prepare: x", "1:16: step 'prepare' must be a mapping (name: value), not 'x'"),
        ("prepare: {entry_point: [a]}", "'entry_point' of step 'prepare' must be a text, not a list"),
        ("prepare: {parameters: [a]}", "'parameters' of step 'prepare' must be a mapping"),
        ("prepare: {needs: {a: b}}", "'needs' of step 'prepare' must be a list, not a mapping"),
        ("prepare: {needs: [[a]]}", "an item of 'needs' of step 'prepare' must be a text"),
        ("prepare: {foreach: {size: 1}}", "'size' in 'foreach' of step 'prepare' must be a list, or an expression that"
         " gives one, not '1'"),
        ("prepare: {foreach: {size: text}}", "must be a list, or an expression"),
        ("prepare: {foreach: {}}", "'foreach' of step 'prepare' is empty: write {PARAMETER: [values]}"),
        ("prepare: {foreach: [1]}", "'foreach' of step 'prepare' must be a mapping"),
        ("prepare: {when: steps.a}", "'when' of step 'prepare' is 'steps.a': it must be an expression, such as"),
        ("prepare: {retries: -1}", "1:26: 'retries' of step 'prepare' must be a whole number, 0 or more, not '-1'"),
        ("prepare: {retries: yes}", "must be a whole number, 0 or more"),
        ("prepare: {concurrency: 0}", "'concurrency' of step 'prepare' must be a whole number, 1 or more, not '0'"),
        ("prepare: {retry_delay: soon}", "must be seconds or a time such as 90s, 10m or 1h30m, not 'soon'"),
        ("prepare: {retry_delay: -1}", "must be seconds or a time"),
        ("prepare: {retry_delay: ''}", "must be seconds or a time"),
        ("prepare: {timeout: .inf}", "must be seconds or a time"),
        ("prepare: {timeout: [1]}", "must be seconds or a time such as 90s, 10m or 1h30m, not a list"),
        ("prepare: {timeout: 0}", "'timeout' of step 'prepare' must be more than 0 seconds"),
        ("prepare: {cache: often}", "'cache' of step 'prepare' must be true or false, not 'often'"),
        ("prepare: {env: x.yaml}", "'env' of step 'prepare' names the file 'x.yaml', and there is none in /nowhere"),
        ("prepare: {env: {conda: x}}", "'env' of step 'prepare' has the unknown key 'conda'"),
        ("prepare: {env: [x]}", "'env' of step 'prepare' must be a mapping"),
        ("r: {register: {model: m}}", "'register' of step 'r' needs 'from': write {model: NAME, from:"),
        ("r: {register: {from: '${{ 1 }}', model: }}", "'register' of step 'r' needs 'model'"),
        ("r: {register: {model: m, from: a, tag: b}}", "'register' of step 'r' has the unknown key 'tag'"),
        ("r: {register: m}", "'register' of step 'r' must be a mapping"),
        ("r: {register: {model: [m], from: a}}", "'model' in 'register' of step 'r' must be a text"),
        ("d: {deploy: {name: a}}", "'deploy' of step 'd' needs 'model': write {name: NAME, model:"),
        ("d: {deploy: {model: m/1}}", "'deploy' of step 'd' needs 'name'"),
        ("d: {deploy: {name: a, model: m/1, port: 3}}", "'deploy' of step 'd' has the unknown key 'port'"),
        ("d: {deploy: {name: a, model: [m]}}", "'model' in 'deploy' of step 'd' is one value, not a list"),
        ("d: {deploy: {name: a, model: m/1, options: {a b: 1}}}", "'a b' in 'options' in 'deploy' of step 'd': wanted"),
        ("d: {deploy: {name: a, model: m/1, options: {p: [1]}}}", "'p' in 'options' in 'deploy' of step 'd' is one"),
        ("prepare: {deploy: {name: a, model: m/1}}", "step 'prepare' deploys, and has an entry point of its name"),
        ("d: {deploy: {name: a, model: m/1}, foreach: {x: [1]}}", "step 'd' deploys, and has 'foreach' as well: give"),
        ("d: {deploy: {name: a, model: '${{ steps.p.parameters.uri }}'}}", "'p'"),
        ("d: {deploy: {name: a, model: m/1}}\nprepare: {when: '${{ steps.d.outputs.x }}'}",
         "entry point 'd' declares no output 'x'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_line_with_its_place(steps: str, message: str) -> None:
    found = error(steps)
    assert found.startswith(message) if message[0].isdigit() else message in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workflows: [a]", "'workflows' must be a mapping"),
        ("workflows: {w: }", "workflow 'w' has no steps: write steps: {NAME: {…}}"),
        ("workflows: {w: {steps: }}", "workflow 'w' has no steps"),
        ("workflows: {w: {steps: [a]}}", "'steps' of workflow 'w' must be a mapping"),
        ("workflows: {w: {step: {a: }}}", "workflow 'w' has the unknown key 'step': did you mean 'steps'?"),
        ("workflows: {w: {}, w: {}}", "the key 'w' stands there twice"),
        ("workflows: {w: {parameters: [a], steps: {prepare: }}}", "'parameters' of workflow 'w' must be a mapping"),
        (
            "workflows: {w: {parameters: {a: flaot}, steps: {prepare: }}}",
            "parameter 'a' of workflow 'w' has the unknown type 'flaot': did you mean 'float'?",
        ),
        (
            "workflows: {w: {parameters: {a: {type str, default: 1}}, steps: {prepare: }}}",
            "parameter 'a' of workflow 'w' has the unknown key 'type str': did you mean 'type'?",
        ),
    ],
)
def test_a_workflow_of_another_shape_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProjectError) as caught:
        parse(HEAD + text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"MLproject:{HEAD.count(chr(10)) + 1}:")


def test_a_default_of_a_workflow_must_have_its_type() -> None:
    with pytest.raises(InvalidParameter, match=r"parameter 'a' is 'x', but it wants a list such as \[0.1, 1\]"):
        parse(HEAD + "workflows: {w: {parameters: {a: {type: list, default: x}}, steps: {prepare: }}}")
    project = parse(HEAD + "workflows: {w: {parameters: {a: {type: list, default: '[1]'}}, steps: {prepare: }}}")
    assert project.workflows["w"].parameters["a"].default == "[1]"


def test_errors_have_their_class() -> None:
    for steps, kind in {
        "prepare: {when: '${{ 1 + }}'}": ExpressionError,
        "train:": MissingParameters,
        "train: {parameters: {data: ., alpha: x}}": InvalidParameter,
    }.items():
        with pytest.raises(kind):
            with_steps(steps)


def test_a_script_takes_any_parameter(tmp_path: Path) -> None:
    (tmp_path / "x.py").touch()
    text = HEAD + (
        "workflows: {w: {steps: {a: {entry_point: x.py, parameters: {any: 1}},"
        " b: {entry_point: x.py, when: '${{ steps.a.parameters.any }}'}}}}"
    )
    assert order(parse(text, tmp_path).workflows["w"]) == [["a"], ["b"]]


def test_a_workflow_that_was_made_by_hand_can_be_checked() -> None:
    project = with_steps(EXAMPLE)
    check_workflow(project, project.workflows["main"])
    assert dependencies(Step(name="x", entry_point=None)) == frozenset()
    assert EntryPoint(name="x", command="y").leaves_files is False


def test_parameters_of_a_step_may_be_null_to_take_the_default() -> None:
    assert step("train: {parameters: {data: ., alpha: }}").parameters["alpha"].evaluate(Scope(parameters={})) is None


def test_what_a_workflow_says_of_the_cache_holds_for_steps_that_do_not_say() -> None:
    text = HEAD + "workflows: {main: {cache: true, steps: {prepare: {}, report: {cache: false}}}}\n"
    steps = parse(text).workflows["main"].steps
    assert (steps["prepare"].cache, steps["report"].cache) == (True, False)
    with pytest.raises(ProjectError, match="'cache' of workflow 'main' must be true or false, not 'often'"):
        parse(text.replace("cache: true", "cache: often"))


@pytest.mark.parametrize(
    ("declared", "inputs", "closed"),
    [
        ("", None, False),
        ("inputs: prepare.py", ("prepare.py",), False),
        ("inputs: [prepare.py, 'lib/*.py'], outputs: {}", ("prepare.py", "lib/*.py"), True),
        ("inputs: [], outputs: {data: data.csv}", (), True),
        ("metrics: metrics.json", None, True),
        ("outputs:", None, False),
    ],
)
def test_what_an_entry_point_reads_and_leaves(declared: str, inputs: tuple[str, ...] | None, closed: bool) -> None:
    """An empty mapping says that nothing is left; nothing said says nothing."""
    entry = parse(f"entry_points: {{go: {{command: go, {declared}}}}}\n").entry_points["go"]
    assert (entry.inputs, entry.closed) == (inputs, closed)


@pytest.mark.parametrize("inputs", ["[/etc/passwd]", "../data.csv", "[lib/../../x]"])
def test_inputs_are_the_projects(inputs: str) -> None:
    with pytest.raises(ProjectError, match=r"'inputs' of entry point 'go' is .*: it must be a path inside"):
        parse(f"entry_points: {{go: {{command: go, inputs: {inputs}}}}}\n")
