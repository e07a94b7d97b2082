"""What pages of comparisons reckon: lines that differ, packages, ranks, and which way a metric is better."""

from __future__ import annotations

import pytest

from toolkit.server.pages.compare_pictures import series_of
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.importance import importance, ranked
from toolkit.server.pages.line_diff import LINES, line_diff
from toolkit.server.pages.packages import packages, place_of
from toolkit.tracking.records import ArtifactEntry


def test_lines_around_a_change_are_told_and_the_rest_is_counted() -> None:
    old = [f"line {n}" for n in range(40)]
    new = [*old[:20], "new", *old[21:]]
    told = line_diff("\n".join(old), "\n".join(new))
    assert [(line.kind, line.old, line.new, line.text) for line in told.lines] == [
        ("skip", None, None, "17"),
        ("same", 18, 18, "line 17"),
        ("same", 19, 19, "line 18"),
        ("same", 20, 20, "line 19"),
        ("gone", 21, None, "line 20"),
        ("new", None, 21, "new"),
        ("same", 22, 22, "line 21"),
        ("same", 23, 23, "line 22"),
        ("same", 24, 24, "line 23"),
        ("skip", None, None, "16"),
    ]
    assert (told.new, told.gone) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new", "gone", "added"),
    [("", "", 0, 0), ("a", "", 1, 0), ("", "a\nb", 0, 2), ("a\nb\na", "a\na", 1, 0), ("a", "a\n", 0, 0)],
)
def test_texts_without_lines_in_common(old: str, new: str, gone: int, added: int) -> None:
    told = line_diff(old, new)
    assert (told.gone, told.new) == (gone, added)


def test_what_would_take_too_long_is_told_as_a_block() -> None:
    many = line_diff("\n".join("xy"[n % 2] for n in range(3_000)), "\n".join("yxx"[n % 3] for n in range(3_000)))
    assert many.blocked
    long = line_diff("\n".join(f"a{n}" for n in range(LINES + 1)), "b", shown=10)
    assert long.blocked
    assert (len(long.lines), long.left_out) == (10, LINES - 8)


def test_packages_of_files() -> None:
    lines = ["# made by uv", "NumPy==1.26.4 \\", "    --hash=sha256:0", "ray[tune]>=2 ; python_version > '3'"]
    text = "\n".join([*lines, "-r more.txt", "mine @ x"])
    assert packages("requirements.txt", text) == {"numpy": "1.26.4", "ray": ">=2", "mine": "@ x"}
    conda = (
        "name: env\nchannels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip:\n  - scikit_learn==1.4\nprefix: /x\n"
    )
    assert packages("model/conda.yaml", conda) == {"python": "3.11", "scikit-learn": "1.4"}
    assert place_of(["model/conda.yaml", "model/requirements.txt", "a/b/requirements.txt"]) == "model/requirements.txt"
    assert place_of(["notrequirements.txt"]) is None


def test_importance_by_ranks() -> None:
    assert ranked([3, 1, 3, 2]) == [3.5, 1, 3.5, 2]
    grows = importance("x", [1, 2, 3, 4, 1e9], [1, 2, 3, 4, 5])
    assert grows is not None
    assert grows.strength == pytest.approx(1.0)
    assert (grows.sign, grows.runs) == (1, 5)
    falls = importance("x", [1, 2, 3, None, 4, 5], [9, 8, 7, 6, 5, None])
    assert falls is not None
    assert (falls.sign, falls.runs) == (-1, 4)
    bent = importance("x", list(range(40)), [-((n - 20) ** 2) for n in range(40)])
    assert bent is not None
    assert (bent.bend, bent.sign, bent.by_chance) == (1, 0, False)
    groups = importance("x", ["a", "b"] * 10, [float(n % 2) for n in range(20)])
    assert groups is not None
    assert groups.strength > 0.9
    assert not groups.by_chance
    apart = importance("x", [f"v{n}" for n in range(9)], [float(n) for n in range(9)])
    assert apart is not None
    assert (apart.strength, apart.by_chance) == (0.0, True)  # each has a text of its own: that says nothing
    assert importance("x", [1, 1, 1, 1], [1, 2, 3, 4]) is None
    assert importance("x", [1, 2, 3], [1, 2, 3]) is None


@pytest.mark.parametrize(
    ("key", "lower"),
    [
        ("rmse", True),
        ("val/rmse", True),
        ("train_loss", True),
        ("eval.accuracy", False),
        ("test/roc_auc", False),
        ("f1_score", False),
        ("r2_score", False),
        ("mean_absolute_error", True),
        ("epochs", None),
        ("loss_score", None),
        ("", None),
    ],
)
def test_directions_of_metrics(key: str, lower: bool | None) -> None:
    assert lower_is_better(key) is lower


def test_pictures_are_told_by_what_they_show() -> None:
    logged = "images/val~x+step+{0}+timestamp+{1}+00000000-0000-0000-0000-00000000000{1}"
    first = [logged.format(0, 1) + ".png", logged.format(0, 1) + "+compressed.webp", logged.format(0, 2) + ".png"]
    mlflow = "images/val#x%step%7%timestamp%5%00000000-0000-0000-0000-000000000000.png"
    paths = {"a": [*first, "e/epoch_01.png", "e/epoch_2.png", "v1.png"], "b": [mlflow, "e/epoch_2.png", "plain.jpg"]}
    files = {
        run: [ArtifactEntry(path=path, size=1, sha256="", created=place) for place, path in enumerate(given)]
        for run, given in paths.items()
    }
    found = series_of(files)
    assert {name: list(each.order) for name, each in found.items()} == {
        "val/x": [0, 7],
        "e/epoch_*.png": [1, 2],
        "v1.png": [None],
        "plain.jpg": [None],
    }
    assert found["val/x"].steps[0]["a"] == (first[2], first[2])  # the last one counts
    assert found["e/epoch_*.png"].runs == {"a", "b"}
