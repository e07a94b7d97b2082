"""What the checks of a journey with MLflow's own client are made of: they are numbered, named, and run one by one."""

import contextlib
import io
import json
import math
import os
import sys
import time
import traceback
import uuid
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT", "1")  # it would import each model elsewhere
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402 - only now does it keep quiet
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

CHECKS = []
_MARK = uuid.uuid4().hex[:6]


class SkipCheck(Exception):
    """A check cannot be made here; the text says why."""


def check(function):
    """Make a function a check; what it raises is why it failed."""
    CHECKS.append((function, None))
    return function


def differs(why):
    """Make a function a check that MLflow's own server is known to fail; ``why`` we want it otherwise."""

    def mark(function):
        CHECKS.append((function, why))
        return function

    return mark


def equal(found, wanted):
    """Complain where two values are not equal."""
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def alike(found, wanted):
    """Complain where two lists of numbers are not equal; NaN equals NaN."""
    same = len(found) == len(wanted) and all(
        one == other or (math.isnan(one) and math.isnan(other))
        for one, other in zip(found, wanted)  # noqa: B905
    )
    assert same, f"found {found!r}, wanted {wanted!r}"


def code(call, *arguments, **named):
    """Return the code of the error that a call raises; ``None`` where it raises none."""
    try:
        call(*arguments, **named)
    except MlflowException as error:
        return error.error_code
    return None


def message(call, *arguments, **named):
    """Return the text of the error that a call raises, of whatever kind it is; what it must raise, it does."""
    try:
        call(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - clients of different ages raise different kinds
        return str(error)
    raise AssertionError("no error is raised")


def client():
    """Return a client of the server."""
    return MlflowClient()


def named(name):
    """Return a name that no other journey to the same server uses."""
    return f"{name} {_MARK}"


def experiment(name):
    """Make an experiment the one that runs are started in; return its id."""
    return mlflow.set_experiment(named(name)).experiment_id


def mine(tags):
    """Return the tags that no part of MLflow sets."""
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


def eventually(look, seconds=15):
    """Wait for what comes a little later."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)
    return found


def _run(function):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            function()
    except SkipCheck as reason:
        return {"skipped": str(reason)}
    except Exception:  # noqa: BLE001 - whatever goes wrong is what the check found
        return {"why": "".join(traceback.format_exc().splitlines(keepends=True)[-9:])}
    finally:
        with contextlib.redirect_stdout(said):
            while mlflow.active_run():
                mlflow.end_run()
    return {}


def run():
    """Run all checks, or those named on the command line; print a line of JSON for each."""
    wanted = set(sys.argv[1:])
    for number, (function, why) in enumerate(CHECKS, 1):
        part = function.__module__.removeprefix("journey_")
        name = f"{part}.{function.__name__}"
        if wanted and not wanted & {part, name}:
            continue
        began = time.perf_counter()
        line = {"number": number, "name": name, "differs": why, **_run(function)}
        print(json.dumps({**line, "seconds": round(time.perf_counter() - began, 3)}), flush=True)
