"""Images, figures and tables: what may be logged, and how it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import toolkit
from toolkit.errors import InvalidValue, NotFound


def stored(run_id: str, path: str) -> Path:
    return Path(toolkit.artifacts.download_artifacts(run_id=run_id, artifact_path=path))


def paths(run_id: str, path: str | None = None) -> list[str]:
    return [each.path for each in toolkit.artifacts.list_artifacts(run_id=run_id, artifact_path=path)]


# -- images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "mode", "pixel"),
    [
        (np.full((4, 5), 200, dtype=np.uint8), "L", 200),
        (np.full((4, 5), 200, dtype=np.int64), "L", 200),
        (np.full((4, 5, 1), 7, dtype=np.int16), "L", 7),
        (np.full((4, 5, 3), 9, dtype=np.uint8), "RGB", (9, 9, 9)),
        (np.full((4, 5, 4), 9, dtype=np.uint16), "RGBA", (9, 9, 9, 9)),
        (np.full((4, 5), 0.5), "L", 127),
        (np.full((4, 5), True), "L", 255),
    ],
)
def test_arrays_become_images(array: np.ndarray, mode: str, pixel: object) -> None:
    with toolkit.start_run() as run:
        toolkit.log_image(array, "a.png")
    image = toolkit.artifacts.load_image(f"runs:/{run.info.run_id}/a.png")
    assert (image.size, image.mode, image.getpixel((4, 3))) == ((5, 4), mode, pixel)


def test_floats_beyond_one_are_scaled_with_a_warning() -> None:
    with toolkit.start_run() as run, pytest.warns(UserWarning, match=r"acceptable range \[0\.0, 1\.0\]"):
        toolkit.log_image(np.array([[-1.0, 0.0], [1.0, 3.0]]), "a.png")
    image = toolkit.artifacts.load_image(f"runs:/{run.info.run_id}/a.png")
    assert np.asarray(image).tolist() == [[0, 63], [127, 255]]


@pytest.mark.parametrize(
    ("image", "arguments", "said"),
    [
        (np.full((2, 2), 256), {"artifact_file": "a.png"}, r"\[0, 255\]"),
        (np.full((2, 2), -1), {"artifact_file": "a.png"}, r"\[0, 255\]"),
        (np.zeros((2, 2, 2)), {"artifact_file": "a.png"}, "channel length: 2"),
        (np.zeros(4), {"artifact_file": "a.png"}, "2D or 3D"),
        (np.zeros((2, 2), dtype=complex), {"artifact_file": "a.png"}, "data type"),
        ("no image", {"artifact_file": "a.png"}, "image object type"),
        (np.zeros((2, 2)), {}, "artifact_file"),
        (np.zeros((2, 2)), {"artifact_file": "a.png", "key": "k"}, "alone"),
        (np.zeros((2, 2)), {"key": "a#b"}, "image key"),
    ],
)
def test_what_is_no_image_is_refused(image: object, arguments: dict[str, str], said: str) -> None:
    with toolkit.start_run() as run, pytest.raises(InvalidValue, match=said):
        toolkit.log_image(image, **arguments)  # type: ignore[arg-type]  # names of arguments
    assert paths(run.info.run_id) == []


def test_a_series_of_images() -> None:
    with toolkit.start_run() as run:
        for step in range(2):
            toolkit.log_image(PIL.Image.new("RGB", (512, 256)), key="val/cat 1", step=step, timestamp=17)
        assert run.data.tags["mlflow.loggedImages"] == "True"
    names = sorted(path.rpartition("/")[2] for path in paths(run.info.run_id, "images"))
    assert len(names) == 4
    assert [name.split("+")[:5] for name in names[::2]] == [
        ["val~cat 1", "step", str(step), "timestamp", "17"] for step in range(2)
    ]
    small = next(path for path in paths(run.info.run_id, "images") if path.endswith("+compressed.webp"))
    assert toolkit.artifacts.load_image(f"runs:/{run.info.run_id}/{small}").size == (256, 128)


def test_an_image_of_its_own(tmp_path: Path) -> None:
    image = toolkit.Image([[0, 128], [255, 1]])
    image.save(tmp_path / "a.png")
    again = toolkit.Image(str(tmp_path / "a.png"))
    assert (again.to_list(), again.size) == ([0, 128, 255, 1], (2, 2))
    assert again.resize((4, 4)).to_array().shape == (4, 4)
    assert toolkit.Image(PIL.Image.new("RGB", (1, 1), "red")).to_list() == [(255, 0, 0)]
    with pytest.raises(InvalidValue):
        toolkit.Image(7)


# -- figures ---------------------------------------------------------------------------------------


def test_figures_of_two_libraries() -> None:
    import matplotlib.figure
    import plotly.graph_objects

    drawn = matplotlib.figure.Figure()
    drawn.add_subplot().plot([1, 2])
    other = plotly.graph_objects.Figure(plotly.graph_objects.Scatter(x=[0, 1], y=[2, 3]))
    with toolkit.start_run() as run:
        toolkit.log_figure(drawn, "plots/a.png")
        toolkit.log_figure(drawn, "plots/a.pdf", save_kwargs={"bbox_inches": "tight"})
        toolkit.log_figure(other, "plots/b.html")
        with pytest.raises(InvalidValue, match=r"b\.txt"):
            toolkit.log_figure(other, "plots/b.txt")
        with pytest.raises(InvalidValue, match="figure object"):
            toolkit.log_figure(object(), "plots/c.png")
    assert paths(run.info.run_id, "plots") == ["plots/a.pdf", "plots/a.png", "plots/b.html"]
    assert "cdn" in stored(run.info.run_id, "plots/b.html").read_text()


# -- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eval/t.json", "t.parquet"])
def test_tables_grow(name: str) -> None:
    with toolkit.start_run() as run:
        toolkit.log_table({"a": [1, 2**53 + 1], "b": ["x", None]}, name)
        toolkit.log_table(pd.DataFrame({"a": [3], "b": ["ü"]}), name)
        toolkit.log_table({"a": 4, "b": "alone"}, name)
    table = toolkit.load_table(name, extra_columns=["run_id"])
    assert table["a"].tolist() == [1, 2**53 + 1, 3, 4]
    assert [None if value != value else value for value in table["b"]] == ["x", None, "ü", "alone"]
    assert set(table["run_id"]) == {run.info.run_id}
    told = json.loads(toolkit.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"])
    assert told == [{"path": name, "type": "table"}]


def test_tables_of_several_runs() -> None:
    for number in range(2):
        with toolkit.start_run() as run:
            toolkit.log_param("n", number)
            toolkit.log_table({"x": [number]}, "t.json")
            toolkit.log_table({"y": [number]}, "u.json")
    with toolkit.start_run():
        toolkit.log_text("{}", "t.json")
    table = toolkit.load_table("t.json", extra_columns=["params.n", "start_time"])
    assert sorted(zip(table["x"].tolist(), table["params.n"].tolist(), strict=True)) == [(0, "0"), (1, "1")]
    assert str(table["start_time"].dtype).endswith("UTC]")
    assert toolkit.load_table("u.json", run_ids=[run.info.run_id])["y"].tolist() == [1]
    with pytest.raises(NotFound, match="No runs found"):
        toolkit.load_table("nope.json")
    with pytest.raises(InvalidValue, match=r"params"):
        toolkit.load_table("t.json", extra_columns=["nothing"])


def test_images_in_tables() -> None:
    with toolkit.start_run() as run:
        toolkit.log_table({"q": ["a"], "image": [toolkit.Image([[1, 2]])]}, "deep/t.json")
    (told,) = toolkit.load_table("deep/t.json")["image"]
    assert told["type"] == "image"
    assert toolkit.artifacts.load_image(f"runs:/{run.info.run_id}/{told['filepath']}").size == (2, 1)
    assert stored(run.info.run_id, told["compressed_filepath"]).exists()


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        ({"a": [1]}, "t.csv", "parquet"),
        ({"a": [1]}, "a:b.json", "forbidden"),
        ([1, 2], "t.json", "DataFrame"),
    ],
)
def test_tables_that_cannot_be_logged(data: object, name: str, said: str) -> None:
    with toolkit.start_run() as run, pytest.raises(InvalidValue, match=said):
        toolkit.log_table(data, name)
    assert paths(run.info.run_id) == []


# -- getting files ---------------------------------------------------------------------------------


def test_folders_are_listed_and_downloaded(tmp_path: Path) -> None:
    with toolkit.start_run() as run:
        for name in ("a b.txt", "dir/c%d.txt", "dir/sub/[e]+f.txt", "dir2.txt"):
            toolkit.log_text(name, name)
    run_id = run.info.run_id
    listed = toolkit.artifacts.list_artifacts(run_id=run_id)
    assert [(each.path, each.is_dir, each.file_size) for each in listed] == [
        ("a b.txt", False, 7),
        ("dir", True, None),
        ("dir2.txt", False, 8),
    ]
    assert paths(run_id, "dir/") == ["dir/c%d.txt", "dir/sub"]
    assert paths(run_id, "dir2.txt") == paths(run_id, "nowhere") == []
    here = toolkit.artifacts.download_artifacts(run_id=run_id, dst_path=tmp_path / "all")
    names = sorted(path.relative_to(here).as_posix() for path in Path(here).rglob("*") if path.is_file())
    assert names == ["a b.txt", "dir/c%d.txt", "dir/sub/[e]+f.txt", "dir2.txt"]
    assert stored(run_id, "dir/sub").joinpath("[e]+f.txt").read_text() == "dir/sub/[e]+f.txt"
    uri = f"{run.info.artifact_uri}/dir/sub/[e]+f.txt"
    assert toolkit.artifacts.load_text(uri) == "dir/sub/[e]+f.txt"
    (tmp_path / "mine.json").write_text('{"a": 1}')
    assert toolkit.artifacts.load_dict(str(tmp_path / "mine.json")) == {"a": 1}


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda _: toolkit.artifacts.download_artifacts(), InvalidValue),
        (lambda run_id: toolkit.artifacts.download_artifacts("runs:/x", run_id=run_id), InvalidValue),
        (lambda run_id: toolkit.artifacts.download_artifacts(f"runs:/{run_id}/nope.txt"), NotFound),
        (lambda _: toolkit.artifacts.download_artifacts(f"runs:/{'0' * 32}/nope.txt"), NotFound),
        (lambda _: toolkit.artifacts.download_artifacts("/nowhere/x.txt"), NotFound),
        (lambda _: toolkit.artifacts.download_artifacts("ftp://host/x"), InvalidValue),
        (lambda run_id: toolkit.artifacts.load_dict(f"runs:/{run_id}/plain.txt"), InvalidValue),
        (lambda _: toolkit.artifacts.list_artifacts("/tmp"), InvalidValue),
        (lambda run_id: toolkit.artifacts.download_artifacts(run_id=run_id, artifact_path="../../x"), ValueError),
    ],
)
def test_what_cannot_be_had_is_said(call: Callable[[str], object], kind: type[Exception]) -> None:
    with toolkit.start_run() as run:
        toolkit.log_text("no json", "plain.txt")
    with pytest.raises(kind):
        call(run.info.run_id)
