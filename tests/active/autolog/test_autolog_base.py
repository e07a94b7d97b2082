"""What autolog stands on: being told of imports, putting functions back, nothing loaded before its time."""

from __future__ import annotations

import importlib
import inspect
import json
import operator
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import toolkit
from toolkit.active.autolog import hook, nesting
from toolkit.active.autolog.patches import Patches
from toolkit.active.autolog.switch import FLAVORS
from toolkit.errors import InvalidValue
from toolkit.settings import environment

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "autolog.md"


class Watcher:
    """Notes what it is told of."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.told: list[str] = []

    def watches(self, module: str) -> bool:
        return module.partition(".")[0] == self.package

    def imported(self, module: ModuleType) -> None:
        self.told.append(module.__name__)
        vars(module)["seen"] = True


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with a module, which nothing has imported."""
    name = "a_library_to_watch"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import part\nclass Model:\n    def fit(self):\n        return 1\n")
    (folder / "part.py").write_text("def train():\n    return 2\n")
    (folder / "late.py").write_text("")
    (folder / "broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def test_a_watcher_is_told_of_what_is_imported_before_and_after(library: str) -> None:
    early, late = Watcher(library), Watcher(library)
    hook.watch(early)
    module = importlib.import_module(library)
    hook.watch(late)
    importlib.import_module(f"{library}.late")
    assert early.told == [f"{library}.part", library, f"{library}.late"]
    assert sorted(late.told) == sorted(early.told)
    assert vars(module)["seen"]
    assert module.__spec__ is not None
    assert type(module.__loader__) is type(module.__spec__.loader) is importlib.machinery.SourceFileLoader
    assert inspect.getsource(module.part.train).startswith("def train")
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(f"{library}.broken")
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        importlib.import_module(f"{library}.no_such")
    for each in (early, late):
        hook.forget(each)
    assert not [each for each in sys.meta_path if type(each).__module__ == hook.__name__]


def test_functions_and_methods_are_replaced_once_and_put_back(library: str) -> None:
    module = importlib.import_module(library)
    original = module.part.train, vars(module.Model)["fit"]
    patches = Patches()
    for _ in range(2):
        patches.replace(module.part, "train", lambda original, *args: ["ours", original(*args)])
        patches.replace(module.Model, "fit", lambda original, *args: ["ours", original(*args)])
        patches.replace(module.Model, "nothing", lambda original: original())
    assert (module.part.train(), module.Model().fit()) == (["ours", 2], ["ours", 1])
    assert pickle.loads(pickle.dumps(module.part.train)) is module.part.train
    patches.undo()
    assert (module.part.train, vars(module.Model)["fit"]) == original


def test_what_somebody_else_has_replaced_in_turn_stays(library: str) -> None:
    part = importlib.import_module(library).part
    patches = Patches()
    patches.replace(part, "train", lambda original: original())
    theirs = part.train = lambda: 3
    patches.undo()
    assert part.train is theirs


def test_a_task_of_a_training_knows_it_wherever_it_runs() -> None:
    tasks: list[nesting.Task] = [(nesting.inside, (), {})]
    (function, args, kwargs) = next(nesting.carried(tasks, callable))
    assert pickle.loads(pickle.dumps(function))(*args, **kwargs) is not None
    assert nesting.inside() is None


@pytest.mark.parametrize(
    ("flavor", "arguments"),
    [
        ("keras", {"log_every_n_steps": 5}),
        ("keras", {"log_every_epoch": False}),
        ("pytorch", {"checkpoint_mode": "best"}),
        ("pytorch", {"log_every_n_epoch": 0}),
        ("sklearn", {"max_tuning_runs": -5}),
    ],
    ids=["both", "neither", "mode", "epochs", "runs"],
)
def test_what_cannot_be_meant_is_refused(flavor: str, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match="wanted"):
        getattr(toolkit, flavor).autolog(**arguments)


ROWS = re.findall(r"(?m)^\| `toolkit\.([\w.]+)\((.*?)\)` \|", PAGE.read_text())


def test_the_page_has_each_call_with_its_arguments() -> None:
    assert {name for name, _ in ROWS} == {"autolog", *(f"{flavor}.autolog" for flavor in FLAVORS)}
    for name, arguments in ROWS:
        parameters = inspect.signature(operator.attrgetter(name)(toolkit)).parameters
        assert re.findall(r"(\w+)=", arguments) == list(parameters), name


SCRIPT = """
import json, sys
import toolkit
toolkit.autolog()
before = sorted({each.partition(".")[0] for each in sys.modules} & set(LIBRARIES))
import sklearn.linear_model
fit = vars(sklearn.linear_model.LogisticRegression)["fit"]
print(json.dumps([before, hasattr(fit, "__wrapped__"), "xgboost" in sys.modules, "pandas" in sys.modules]))
"""
LIBRARIES = ["numpy", "pandas", "sklearn", "xgboost", "lightgbm", "statsmodels", "torch", "lightning", "keras"]


def test_autolog_imports_no_library_and_watches_those_that_come_later(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"LIBRARIES = {LIBRARIES}\n{SCRIPT}"],
        cwd=tmp_path,
        env=environment(TOOLKIT_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, watched, *loaded = json.loads(done.stdout)
    assert (before, watched) == ([], True)
    assert loaded[0] is False
    assert list(tmp_path.iterdir()) == []  # no store was opened, either
