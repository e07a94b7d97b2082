"""Read a project: its MLproject file, or what a directory without one is by convention."""

from __future__ import annotations

import os.path
from pathlib import Path

from toolkit.errors import ProjectError, ProjectNotFound
from toolkit.spec.declared_environment import KEYS as ENVIRONMENT_KEYS
from toolkit.spec.declared_environment import declared_environment, found_environment
from toolkit.spec.document import Node, parse_document, read_text
from toolkit.spec.entry_point import OUR_KEYS as ENTRY_KEYS
from toolkit.spec.entry_point import entry_point, read_entry_points
from toolkit.spec.graph import check_workflow
from toolkit.spec.lint import Findings
from toolkit.spec.project import Project
from toolkit.spec.workflow import read_workflows

__all__ = ["entry_point", "find_file", "parse_project", "read_project"]

FILE_NAME = "mlproject"
"""The file's name in lower case; any spelling will do."""

KEYS = ("name", *ENVIRONMENT_KEYS, "entry_points", "databricks_spark_job", "workflows", "description")
"""The keys of the file."""

_DATABRICKS_KEYS = ("python_file", "parameters", "python_libraries")


def read_project(directory: Path) -> Project:
    """Read the project in a directory.

    Args:
        directory: Where its MLproject file is. A directory without one is a project, too: its scripts are its entry
            points.

    Raises:
        ProjectNotFound: There is no such directory.
        ProjectError: The file cannot be read, or what it says cannot be run.
    """
    if not directory.is_dir():
        raise ProjectNotFound(
            f"{directory} is a file: give the directory that it is in"
            if directory.exists()
            else f"there is no directory {directory}: give a project's directory or the URL of its repository"
        )
    file = find_file(directory)
    if file is None:
        absolute = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links
        return Project(directory=absolute, environment=found_environment(absolute))
    return parse_project(read_text(file), directory=directory, file=file)


def find_file(directory: Path) -> Path | None:
    """Return the MLproject file of a directory, whatever the case of its name; the first of several."""
    names = sorted(path.name for path in directory.iterdir() if path.name.lower() == FILE_NAME and path.is_file())
    return directory / names[0] if names else None


def parse_project(text: str, *, directory: Path, file: Path | None = None) -> Project:
    """Read the text of an MLproject file.

    Args:
        text: Its text.
        directory: The project's directory, where environment files are looked for.
        file: The file, for messages; default: ``MLproject``.

    Raises:
        ProjectError: It is not YAML, or what it says cannot be run.
    """
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links
    root = parse_document(text, file=str(file or "MLproject"))
    if root is None:
        return Project(directory=directory, file=file, environment=found_environment(directory))
    fields = root.mapping("an MLproject file")
    findings = Findings()
    findings.unknown_keys(root, KEYS, "the file")
    _lint_duplicates(root, findings)
    typed = _uses_our_keys(root)
    databricks = _databricks(root, findings)
    environment = declared_environment(root, directory=directory, owner="the file")
    name = fields["name"].string("'name'") if "name" in fields and not fields["name"].is_null else None
    if environment is None and not databricks:
        environment = found_environment(directory)
    elif environment is not None and environment.docker and not name:
        raise ProjectError("a project with docker_env needs a name: write name: NAME", mark=environment.mark)
    entries = read_entry_points(fields.get("entry_points"), directory=directory, findings=findings, typed=typed)
    project = Project(
        directory=directory,
        file=file,
        name=name,
        environment=environment,
        docker=environment.docker if environment else None,
        entry_points=entries,
        workflows=read_workflows(fields.get("workflows"), directory=directory, entry_points=entries),
        databricks=databricks,
        typed=typed,
        warnings=findings.warnings,
    )
    for workflow in project.workflows.values():
        check_workflow(project, workflow)
    return project


def _uses_our_keys(root: Node) -> bool:
    """Tell whether a file uses keys that MLflow does not know."""
    if "workflows" in root.fields:
        return True
    entries = root.fields.get("entry_points")
    fields = entries.fields.values() if entries is not None else ()
    return any(key in entry.fields for entry in fields for key in ENTRY_KEYS)


def _lint_duplicates(root: Node, findings: Findings) -> None:
    """Warn about keys that stand there twice; those in ``workflows`` are errors, and found elsewhere."""
    findings.duplicates(root)
    for key, field in root.fields.items():
        if key != "workflows":
            for inner in field.walk():
                findings.duplicates(inner)


def _databricks(root: Node, findings: Findings) -> bool:
    """Tell whether the file is a Databricks Spark job; what it says about it is checked as MLflow does."""
    job = root.fields.get("databricks_spark_job")
    if job is None or job.is_null:
        return False
    fields = job.mapping("'databricks_spark_job'")
    findings.unknown_keys(job, _DATABRICKS_KEYS, "'databricks_spark_job'")
    mark = root.key_marks["databricks_spark_job"]
    for key in ENVIRONMENT_KEYS:
        if key in root.fields:
            raise ProjectError(f"a databricks_spark_job cannot have {key} as well: keep one", mark=root.key_marks[key])
    if "python_file" in fields and "entry_points" in root.fields:
        raise ProjectError(
            "a databricks_spark_job with a python_file cannot have entry_points as well: keep one", mark=mark
        )
    if "python_file" not in fields and "entry_points" not in root.fields:
        raise ProjectError("a databricks_spark_job needs a python_file, or entry_points beside it", mark=mark)
    return True
