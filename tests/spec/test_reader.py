"""The MLproject file, with its quirks."""

import textwrap
from pathlib import Path

import pytest

from toolkit.errors import InvalidParameter, ProjectError, ProjectNotFound, UnknownEntryPoint
from toolkit.spec.binding import bind
from toolkit.spec.command import render
from toolkit.spec.project import DockerEnv, EnvironmentRef, Parameter, Project
from toolkit.spec.reader import entry_point, parse_project, read_project


def parse(text: str, directory: Path = Path("/nowhere")) -> Project:
    return parse_project(textwrap.dedent(text), directory=directory)


def error(text: str, directory: Path = Path("/nowhere")) -> str:
    with pytest.raises(ProjectError) as caught:
        parse(text, directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def warnings(text: str) -> list[str]:
    return [f"{warning.mark}: {warning.message}" for warning in parse(text).warnings]


# -- the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MLproject", "MLProject", "mlproject", "MLPROJECT"])
def test_the_file_is_found_in_any_case(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n\n# comment\nname: x\n")
    project = read_project(tmp_path)
    assert (project.name, project.file, project.directory) == ("x", tmp_path / name, tmp_path)


def test_the_first_of_several_files_counts_and_directories_and_suffixes_do_not(tmp_path: Path) -> None:
    (tmp_path / "MLPROJECT").mkdir()
    (tmp_path / "mlproject.yaml").write_text("name: wrong")
    assert read_project(tmp_path).file is None
    (tmp_path / "mlproject").write_text("name: second")
    (tmp_path / "MLproject").write_text("name: first")
    assert read_project(tmp_path).name == "first"


def test_a_directory_that_is_not_there_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectNotFound, match=r"there is no directory .*/x: give a project's directory"):
        read_project(tmp_path / "x")
    (tmp_path / "f").touch()
    with pytest.raises(ProjectNotFound, match=r"/f is a file: give the directory that it is in"):
        read_project(tmp_path / "f")


def test_marks_name_the_file_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "MLproject").write_text("entry_points: [a]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectError, match=r"^MLproject:1:15: 'entry_points' must be a mapping"):
        read_project(Path())


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "name:", "entry_points:", "name: x\nentry_points: {}"])
def test_little_or_nothing_is_a_project(text: str) -> None:
    project = parse(text)
    assert project.entry_points == {}
    assert project.workflows == {}
    assert project.environment is None
    assert project.warnings == ()
    assert not project.typed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "MLproject:1:1: an MLproject file must be a mapping (name: value), not a list"),
        ("just text", "an MLproject file must be a mapping"),
        ("name: [x]", "MLproject:1:7: 'name' must be a text, not a list"),
        ("entry_points: x", "MLproject:1:15: 'entry_points' must be a mapping (name: value), not 'x'"),
        ("entry_points:\n  main:\n", "MLproject:2:8: entry point 'main' is empty: it needs a command"),
        ("entry_points:\n  main: python x.py\n", "MLproject:2:9: entry point 'main' must be a mapping"),
        (
            "entry_points:\n  main: {parameters: {}}\n",
            "MLproject:2:9: entry point 'main' has no command: write command",
        ),
        ("entry_points:\n  main:\n    command:\n", "MLproject:3:13: entry point 'main' has no command"),
        ("entry_points: {main: {command: [a]}}", "the command of entry point 'main' must be a text, not a list"),
        ("entry_points: {main: {command: a, parameters: [x]}}", "'parameters' of entry point 'main' must be a mapping"),
        (
            "entry_points: {main: {command: a, parameters: {x: [float]}}}",
            "parameter 'x' must be a type or a mapping such as {type: float, default: 0.5}, not a list",
        ),
        (
            "entry_points: {main: {command: a, parameters: {x: {type: [a]}}}}",
            "the type of parameter 'x' must be a text",
        ),
        ("name: a\n\tb: c", "MLproject:2:1: this is not valid YAML: a tab"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line_with_its_place(text: str, message: str) -> None:
    assert message in error(text)


def test_unknown_and_double_keys_are_warnings() -> None:
    assert warnings(
        """\
        name: a
        Environment: System
        entry_point: {}
        name: b
        entry_points:
          main:
            data_file: path
            command: a
            command: b
            parameters:
              x: {type: str, defualt: 1}
              y: {type: float, type: int}
        """
    ) == [
        "MLproject:2:1: the file has the unknown key 'Environment', which is ignored",
        "MLproject:3:1: the file has the unknown key 'entry_point', which is ignored; did you mean 'entry_points'?",
        "MLproject:4:1: the key 'name' stands there twice, the last one counts",
        "MLproject:7:5: entry point 'main' has the unknown key 'data_file', which is ignored",
        "MLproject:9:5: the key 'command' stands there twice, the last one counts",
        "MLproject:11:22: parameter 'x' of entry point 'main' has the unknown key 'defualt', which is ignored;"
        " did you mean 'default'?",
        "MLproject:12:24: the key 'type' stands there twice, the last one counts",
    ]


def test_the_last_of_double_keys_counts() -> None:
    assert parse("name: a\nname: b").name == "b"


@pytest.mark.parametrize(
    "keys",
    "uv_env: pyproject.toml|renv_env: renv.lock|user_options: {a: 1}|required_covariates: [a]|adapters: {}|"
    "rest_api_url: x|meta_data: {a: [b]}|target: x".split("|"),
)
def test_dialects_are_read(keys: str) -> None:
    assert len(parse(f"name: x\n{keys}\n").warnings) == 1


# -- parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelling", "kind", "default", "text"),
    [
        ("float", "float", None, None),
        ("{type: float, default: 0.5}", "float", 0.5, "0.5"),
        ("{default: 0.5}", "string", 0.5, "0.5"),
        ('{type str, default: "auto"}', "string", "auto", "auto"),
        ("{type:int, default: 5}", "string", 5, "5"),
        ("{description: what, type: str}", "str", None, None),
        ("{type: float, default: null}", "float", None, None),
        ("{type: float, default: }", "float", None, None),
        ('{type: str, default: ""}', "str", "", ""),
        ("{type: str, default: None}", "str", "None", "None"),
        ("", "string", None, None),
        ("{type: }", "string", None, None),
        ("{}", "string", None, None),
        ("{type: float, default: 1e-1}", "float", "1e-1", "1e-1"),
        ("{type: float, default: .0}", "float", 0.0, ".0"),
        ("{type: str, default: 0.10}", "str", 0.1, "0.10"),
        ("{type: str, default: 3.10}", "str", 3.1, "3.10"),
        ("{type: int, default: 012}", "int", 10, "012"),
        ("{type: int, default: 1_000}", "int", 1000, "1_000"),
        ("{type: boolean, default: yes}", "boolean", True, "yes"),
        ("{type: bool, default: False}", "bool", False, "False"),
        ("{type: str, default: [a, 1]}", "str", ["a", 1], "[a, 1]"),
        ("{type: dict, default: {0: 1.0}}", "dict", {0: 1.0}, "{0: 1.0}"),
        ("{type: str, default: 2024-01-31}", "str", "2024-01-31", "2024-01-31"),
        ("{type: str, default: https://host/a=b;c}", "str", "https://host/a=b;c", "https://host/a=b;c"),
        ('{type: str, default: "a\n        b"}', "str", "a b", "a b"),
        ("{type: number, default: x}", "number", "x", "x"),
        ("{type: path, default: .}", "path", ".", "."),
    ],
)
def test_every_spelling_of_a_parameter(spelling: str, kind: str, default: object, text: str | None) -> None:
    project = parse(f"entry_points:\n  main:\n    command: a\n    parameters:\n      p: {spelling}\n")
    parameter = project.entry_points["main"].parameters["p"]
    assert (parameter.type, parameter.default, parameter.default_text) == (kind, default, text)
    assert type(parameter.default) is type(default)
    assert parameter.required is (default is None)
    assert str(parameter.mark) == "MLproject:5:7"


def test_parameters_may_have_any_name_and_stay_in_order() -> None:
    project = parse(
        """\
        entry_points:
          main:
            parameters: {batch-size: int, path: path, uri: uri, name: string, type: str, default: str, on: str, 1: str}
            command: "a {batch-size} {path} {name} {type} {default} {on}"
        """
    )
    names = ["batch-size", "path", "uri", "name", "type", "default", "on", "1"]
    assert list(project.entry_points["main"].parameters) == names
    assert render(project.entry_points["main"], dict.fromkeys(names, "v")) == "a v v v v v v"
    assert project.warnings == ()


def test_a_description_is_kept() -> None:
    project = parse(
        "entry_points: {main: {command: a, description: trains, parameters: {p: {description: rate, type: str}}}}"
    )
    entry = project.entry_points["main"]
    assert entry.description == "trains"
    assert entry.parameters["p"].description == "rate"


def test_a_default_of_the_wrong_type_is_a_warning_in_a_plain_file_and_an_error_in_one_of_ours() -> None:
    text = "entry_points:\n  main:\n    command: a\n    parameters:\n      p: {type: int, default: auto}\n"
    assert warnings(text) == ["MLproject:5:7: the default of parameter 'p' is 'auto', but it wants a whole number"]
    assert parse(text).entry_points["main"].parameters["p"].default == "auto"
    with pytest.raises(InvalidParameter, match=r"^MLproject:5:7: parameter 'p' is 'auto', but it wants a whole number"):
        parse(text + "    outputs: {model: model}\n")


# -- commands --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelling", "command"),
    [
        ("python x.py {a}", "python x.py {a}"),
        ('"python x.py\n          {a}"', "python x.py {a}"),
        ("|\n      python x.py \\\n        {a}\n", "python x.py \\\n  {a}\n"),
        (">-\n      python x.py\n      {a}\n", "python x.py {a}"),
        ("'it''s {a}'", "it's {a}"),
        ("5", "5"),
    ],
)
def test_every_spelling_of_a_command(spelling: str, command: str) -> None:
    project = parse_project(
        f"entry_points:\n  main:\n    parameters: {{a: str}}\n    command: {spelling}\n", directory=Path("/nowhere")
    )
    assert project.entry_points["main"].command == command
    assert str(project.entry_points["main"].command_mark) == "MLproject:4:14"


def test_lint_knows_pipes_placeholders_and_dollar_signs() -> None:
    assert warnings(
        """\
        entry_points:
          a:
            command: |
              echo "a|b" || true
              train | tail -1
          b: {command: "echo {x}"}
          c: {command: "echo {"}
          d: {parameters: {x: str}, command: "echo ${x}"}
          e: {command: "a >| b; a |& b", description: x}
          f: {command: "echo '|' \\"|\\" # |"}
          g: {parameters: {x: str}, command: "bash -ec 'run {x}'"}
          h: {parameters: {x: str}, command: "bash -c 'run \\"$1\\"' - {x}"}
        """
    ) == [
        "MLproject:5:13: the command of 'a' has a pipe, so a failure before it goes unnoticed: 'strict: true' runs it"
        " under set -euo pipefail",
        "MLproject:6:22: the command of 'b' has the placeholder {x}, but no parameter of that name: declare it under"
        " parameters or write '{{x}}'",
        "MLproject:7:22: a '{' in the command is never closed: write '{{' for a plain brace",
        "MLproject:8:45: ${x} in the command of 'd' is a dollar sign and a placeholder: write ${{x}} for a variable of"
        " the shell",
        "MLproject:9:27: the command of 'e' has a pipe, so a failure before it goes unnoticed: 'strict: true' runs it"
        " under set -euo pipefail",
        "MLproject:11:53: {x} in the command of 'g' is read by a second shell, which takes the value for code: hand it"
        " on as an argument, such as bash -c '… \"$1\"' - {x}",
    ]


def test_a_strict_entry_point_has_no_warning_for_its_pipe() -> None:
    project = parse("entry_points: {main: {command: 'a | b', strict: true}}")
    assert project.entry_points["main"].strict
    assert project.typed
    assert project.warnings == ()
    assert "'strict' of entry point 'main' must be true or false, not 'x'" in error(
        "entry_points: {main: {command: a, strict: x}}"
    )
    assert not parse("entry_points: {main: {command: a, strict: }}").entry_points["main"].strict


# -- our keys --------------------------------------------------------------------------------------


def test_outputs_and_metrics() -> None:
    project = parse(
        """\
        entry_points:
          a: {command: a, outputs: {model: out/model, data: data.csv}, metrics: metrics.json}
          b: {command: b, metrics: [a.json, b.json]}
          c: {command: c, outputs: , metrics: }
        """
    )
    a, b, c = project.entry_points.values()
    assert list(a.outputs.items()) == [("model", "out/model"), ("data", "data.csv")]
    assert a.metrics == ("metrics.json",)
    assert a.leaves_files
    assert b.metrics == ("a.json", "b.json")
    assert not c.leaves_files
    assert project.typed


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("outputs: [a]", "'outputs' of entry point 'main' must be a mapping"),
        ("outputs: {a: [b]}", "output 'a' of entry point 'main' must be a text, not a list"),
        ("outputs: {a: }", "output 'a' of entry point 'main' must be a text, not empty"),
        ("outputs: {a: /etc}", "output 'a' of entry point 'main' is '/etc': it must be a path inside the project's"),
        ("outputs: {a: ../b}", "it must be a path inside the project's directory"),
        ("outputs: {a: ''}", "it must be a path inside the project's directory"),
        ("outputs: {a: b, a: c}", "the key 'a' stands there twice: keep one"),
        ("metrics: {a: b}", "'metrics' of entry point 'main' must be a text, not a mapping"),
        ("metrics: [/a.json]", "it must be a path inside the project's directory"),
        ("python_env: x.yaml", "'python_env' names the file 'x.yaml', and there is none in /nowhere"),
    ],
)
def test_our_keys_are_checked(keys: str, message: str) -> None:
    assert message in error(f"entry_points: {{main: {{command: a, {keys}}}}}")


# -- environments ----------------------------------------------------------------------------------


def test_an_environment_is_declared_by_its_key(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "conda.yml").touch()
    (tmp_path / "gpu.yaml").touch()
    project = parse(
        """\
        conda_env: envs/conda.yml
        entry_points:
          a: {command: a, python_env: gpu.yaml}
          b: {command: b}
        """,
        tmp_path,
    )
    assert project.environment is not None
    assert (project.environment.kind, project.environment.path) == ("conda_env", "envs/conda.yml")
    assert str(project.environment.mark) == "MLproject:1:12"
    own = project.entry_points["a"].environment
    assert own is not None
    assert (own.kind, own.path) == ("python_env", "gpu.yaml")
    assert project.entry_points["b"].environment is None
    assert project.typed


def test_a_declared_environment_must_be_there(tmp_path: Path) -> None:
    assert f"MLproject:2:12: 'conda_env' names the file 'c.yaml', and there is none in {tmp_path}" in error(
        "name: x\nconda_env: c.yaml", tmp_path
    )


def test_two_environments_are_an_error(tmp_path: Path) -> None:
    assert error("python_env: a\nconda_env: b", tmp_path) == (
        "MLproject:2:1: Project cannot contain multiple environment fields: the file has python_env and conda_env;"
        " keep one"
    )
    (tmp_path / "b").touch()
    environment = parse("python_env:\nconda_env: b", tmp_path).environment
    assert environment is not None
    assert environment.kind == "conda_env"


def test_an_undeclared_environment_is_found_by_its_name(tmp_path: Path) -> None:
    assert read_project(tmp_path).environment is None
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    assert read_project(tmp_path).environment is None
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert read_project(tmp_path).environment is None
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert read_project(tmp_path).environment == EnvironmentRef(kind="pyproject", path="pyproject.toml")
    (tmp_path / "requirements.txt").touch()
    assert read_project(tmp_path).environment == EnvironmentRef(kind="requirements", path="requirements.txt")
    (tmp_path / "conda.yaml").touch()
    assert read_project(tmp_path).environment == EnvironmentRef(kind="conda_env", path="conda.yaml")
    (tmp_path / "python_env.yaml").touch()
    assert read_project(tmp_path).environment == EnvironmentRef(kind="python_env", path="python_env.yaml")
    (tmp_path / "MLproject").touch()
    assert read_project(tmp_path).environment == EnvironmentRef(kind="python_env", path="python_env.yaml")
    (tmp_path / "MLproject").write_text("name: x")
    assert read_project(tmp_path).environment == EnvironmentRef(kind="python_env", path="python_env.yaml")


def test_docker_env() -> None:
    project = parse(
        """\
        name: x
        docker_env:
          image: python:3.11
          volumes: ["/a:/b", "/c:/d:ro"]
          environment: [["A", "1 2"], "HOME", [B, 3]]
        """
    )
    assert project.docker == DockerEnv(
        image="python:3.11", volumes=("/a:/b", "/c:/d:ro"), environment=(("A", "1 2"), "HOME", ("B", "3"))
    )
    assert project.environment is not None
    assert (project.environment.kind, project.environment.docker) == ("docker_env", project.docker)
    small = parse("name: x\ndocker_env: {image: i, volumes: , environment: }").docker
    assert small == DockerEnv(image="i")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("docker_env: {image: x}", "MLproject:1:1: a project with docker_env needs a name: write name: NAME"),
        ("name: x\ndocker_env: {}", "MLproject:2:13: 'docker_env' needs an image: write image: NAME"),
        ("name: x\ndocker_env: {image: }", "needs an image"),
        ("name: x\ndocker_env: x", "'docker_env' must be a mapping"),
        ("name: x\ndocker_env: {image: x, volumes: /a}", "'volumes' of docker_env must be a list, not '/a'"),
        ("name: x\ndocker_env: {image: x, environment: [[A]]}", "a name, to copy it from the host, or a pair"),
        ("name: x\ndocker_env: {image: x, environment: [{A: b}]}", "a variable of docker_env must be a list"),
    ],
)
def test_docker_env_is_checked(text: str, message: str) -> None:
    assert message in error(text)


def test_a_databricks_job_is_read() -> None:
    project = parse("databricks_spark_job: {python_file: a.py, parameters: [x], python_libraries: [y], z: 1}")
    assert project.databricks
    assert [warning.message for warning in project.warnings] == [
        "'databricks_spark_job' has the unknown key 'z', which is ignored"
    ]
    assert parse("databricks_spark_job: {}\nentry_points: {main: {command: a}}").databricks
    assert not parse("databricks_spark_job:").databricks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("databricks_spark_job: {python_file: a}\nconda_env: c", "2:1: a databricks_spark_job cannot have conda_env"),
        ("databricks_spark_job: {python_file: a}\nentry_points: {}", "with a python_file cannot have entry_points"),
        ("databricks_spark_job: {}", "needs a python_file, or entry_points beside it"),
        ("databricks_spark_job: [a]", "'databricks_spark_job' must be a mapping"),
    ],
)
def test_a_databricks_job_is_checked(text: str, message: str) -> None:
    assert message in error(text)


# -- entry points by name --------------------------------------------------------------------------


def test_main_is_the_default_and_a_declared_script_wins(tmp_path: Path) -> None:
    (tmp_path / "x.py").touch()
    project = parse("entry_points: {main: {command: a}, x.py: {command: special}}", tmp_path)
    assert entry_point(project).command == "a"
    assert entry_point(project, "x.py").command == "special"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("x.py", "python x.py"),
        ("sub/x y.py", "python 'sub/x y.py'"),
        ("-x.py", "python ./-x.py"),
        ("{x}.py", "python '{x}.py'"),
        ("x.sh", '"${SHELL:-bash}" x.sh'),
        ("x.R", "Rscript -e \"mlflow::mlflow_source('x.R')\" --args"),
        ("x'$(ls).R", "Rscript -e 'mlflow::mlflow_source('\"'\"'x\\'\"'\"'$(ls).R'\"'\"')' --args"),
    ],
)
def test_a_script_is_an_entry_point(tmp_path: Path, name: str, command: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    entry = entry_point(read_project(tmp_path), name)
    assert (entry.name, entry.mark) == (name, None)
    binding = bind(entry.parameters, {"a": "x y"}, owner=name, typed=False)
    assert render(entry, binding.values, binding.extra) == command + " --a 'x y'"


def test_an_unknown_entry_point_lists_the_known_ones(tmp_path: Path) -> None:
    project = parse("entry_points: {train: {command: a}, validate: {command: b}}", tmp_path)
    for name, message in {
        "main": f"there is no entry point 'main' in {tmp_path}, which has no MLproject file (scripts"
        " .py, .sh, .R need no declaration): there are 'train', 'validate'; did you mean 'train'?",
        "trian": "there are 'train', 'validate'; did you mean 'train'?",
        "Train": "did you mean 'train'?",
        "x.java": "there are 'train', 'validate'",
        "x.py": f"and no such file in {tmp_path}: there are 'train', 'validate'",
        ".py": "there are 'train', 'validate'",
    }.items():
        with pytest.raises(UnknownEntryPoint) as caught:
            entry_point(project, name)
        assert message in str(caught.value)
    (tmp_path / "MLproject").write_text("name: x")
    with pytest.raises(UnknownEntryPoint, match=r"in .*/MLproject \(scripts .*: it declares none$"):
        entry_point(read_project(tmp_path))


def test_records_are_what_they_say() -> None:
    assert Parameter(name="x").required
    assert not Parameter(name="x", default="").required
