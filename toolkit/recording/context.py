"""Where a run comes from: the user, the machine, the script; as tags with MLflow's names."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from toolkit.recording.plain import plain
from toolkit.recording.process import host_name

USER = "mlflow.user"
RUN_NAME = "mlflow.runName"
PARENT = "mlflow.parentRunId"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
GIT_COMMIT = "mlflow.source.git.commit"
GIT_REPO = "mlflow.source.git.repoURL"
GIT_BRANCH = "mlflow.source.git.branch"
GIT_DIRTY = "mlflow.source.git.dirty"
ENTRY_POINT = "mlflow.project.entryPoint"
PROJECT_ENV = "mlflow.project.env"
PROJECT_BACKEND = "mlflow.project.backend"
NOTE = "mlflow.note.content"
HOST = "toolkit.host"
PYTHON = "toolkit.python"


def user_name() -> str:
    """Return the login name of the user, or ``unknown`` where the system does not know one."""
    try:
        return plain(getpass.getuser())
    except (KeyError, OSError):  # KeyError up to Python 3.12, OSError since
        return "unknown"


def script_tags() -> dict[str, str]:
    """Return the tags of a run that a script starts by itself."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    return {
        SOURCE_NAME: plain(str(Path(file).absolute()) if file else (sys.argv[0] or "<interactive>")),
        SOURCE_TYPE: "LOCAL",
        HOST: host_name(),
        PYTHON: ".".join(str(part) for part in sys.version_info[:3]),
    }
