"""Files of runs on pages: what each kind looks like, and that no file does anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import look
from server import Server, serving
from shown import HOSTILE, Shown

import toolkit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Place = tuple[Server, Shown]

_NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "[x](javascript:alert(1))"]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["one\n"]}]},
    ]
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server with a run that has a file of each kind."""
    import pandas
    from PIL import Image

    folder = tmp_path_factory.mktemp("files")
    home = folder / "home"
    own = folder / "own"
    own.mkdir()
    frame = pandas.DataFrame({"a": range(300), "<b>b</b>": ["x"] * 300})
    frame.to_csv(own / "table.csv", index=False)
    frame.to_parquet(own / "table.parquet")
    Image.new("RGB", (40, 20), "red").save(own / "red.png")
    (own / "code.py").write_text("def f(x):\n    return x  # <script>alert(1)</script>\n")
    (own / "data.json").write_text('{"a": [1, 2]}')
    (own / "wrong.json").write_text("{nothing")
    (own / "book.ipynb").write_text(json.dumps(_NOTEBOOK))
    (own / "read.md").write_text(f"# Hello\n\n{HOSTILE}\n")
    (own / "page.html").write_text("<h1>hi</h1><script>parent.document.title = 'taken'; alert(1)</script>")
    (own / "bytes.bin").write_bytes(bytes(range(256)))
    (own / "broken.parquet").write_bytes(b"PAR1 nothing")
    (own / "empty.txt").write_text("")
    (own / "latin.txt").write_bytes("é".encode("latin-1"))
    (own / "deep").mkdir()
    (own / "deep" / 'na me".txt').write_text("deep")
    with serving(home) as server:
        run = server.stores.runs
        client = toolkit.Client(tracking_uri=f"sqlite:///{home / 'toolkit.db'}")
        run_id = client.create_run("0", run_name="files").info.run_id
        client.log_artifacts(run_id, str(own))
        assert run.get_run(run_id)
        yield server, run_id


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("table.csv", "the first 200 rows"),
        ("table.parquet", "the first 200 of 300 rows"),
        ("code.py", "<script>alert(1)</script>"),
        ("data.json", '"a": ['),
        ("wrong.json", "{nothing"),
        ("book.ipynb", "print(1)"),
        ("read.md", "Hello"),
        ("bytes.bin", "this is no text"),
        ("broken.parquet", "this table cannot be read"),
        ("latin.txt", "é"),
        ('deep/na me".txt', "deep"),
    ],
)
def test_a_file_is_shown_as_what_it_is(browser: Browser, files: tuple[Server, str], path: str, found: str) -> None:
    server, run_id = files
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/artifacts")
        page.click(f"nav.tree a:text-is({json.dumps(path.rpartition('/')[2])})")
        page.wait_for_selector(".shown h2")
        assert page.locator(".shown h2").inner_text() == path
        assert found in page.inner_text(".shown")
        seen.shot(f"artifact-{path.replace('/', '-').replace(chr(34), '').replace(' ', '-')}")
        seen.check()


def test_pictures_and_pages_are_framed_and_do_nothing(browser: Browser, files: tuple[Server, str]) -> None:
    server, run_id = files
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/artifacts?path=red.png")
        assert page.locator("img.picture").evaluate("each => each.naturalWidth") == 40
        assert seen.wrong == []
        page = seen.go(f"/runs/{run_id}/artifacts?path=page.html")
        page.frame_locator("iframe").locator("h1").wait_for()
        assert page.frame_locator("iframe").locator("h1").inner_text() == "hi"
        assert "taken" not in page.title()
        assert [each for each in seen.wrong if "dialog" in each] == []
        seen.wrong.clear()
        page = seen.go(f"/runs/{run_id}/view/page.html")
        assert page.title() != "taken"
        assert [each for each in seen.wrong if "dialog" in each] == []


@pytest.mark.parametrize("path", ["../../x", "code.py", "nothing.png", "a/../../b.png", "%2e%2e/x.png"])
def test_only_files_of_the_run_that_browsers_show_are_given(files: tuple[Server, str], path: str) -> None:
    server, run_id = files
    assert server.call("GET", f"/runs/{run_id}/view/{path}").status in (400, 404)


def test_a_file_that_is_not_there_is_said_so(files: tuple[Server, str]) -> None:
    server, run_id = files
    answer = server.call("GET", f"/runs/{run_id}/artifacts", None, {}, path="nothing.txt")
    assert answer.status == 400
    assert "this run has no file" in answer.body.decode()


def test_hostile_files_of_a_run_do_nothing(browser: Browser, shown: Place) -> None:
    server, there = shown
    with look(browser, server.url) as seen:
        for path in ("page.html", "picture.svg"):
            seen.go(f"/runs/{there.hostile_run}/artifacts?path={path}")
            seen.page.wait_for_selector("iframe.frame")
            seen.go(f"/runs/{there.hostile_run}/view/{path}")
        assert [each for each in seen.wrong if "dialog" in each] == []


def test_previews_are_bounded(tmp_path: Path) -> None:
    import io

    from toolkit.server.pages import previews

    wide = ",".join(["x" * 1000] * 200) + "\n"
    data = (wide * 50).encode()
    made = previews.preview("x.csv", io.BytesIO(data), len(data))
    assert max(len(row) for row in made.rows) <= previews.COLUMNS
    assert max(len(cell) for row in made.rows for cell in row) <= 300
    deep = b"[" * 100_000
    assert previews.preview("x.json", io.BytesIO(deep), len(deep)).kind == "html"
    assert previews.preview("x.ipynb", io.BytesIO(b'{"cells": 3}'), 12).kind == "html"
