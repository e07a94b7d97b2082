"""Files of runs on pages: what each kind looks like, and that no file does anything."""

from __future__ import annotations

import base64
import json
import wave
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


_FILM = """async () => {
  const canvas = document.createElement('canvas'), drawing = canvas.getContext('2d'), got = [];
  canvas.width = 64;
  canvas.height = 48;
  const recorder = new MediaRecorder(canvas.captureStream(20), {mimeType: 'video/webm'});
  recorder.ondataavailable = (event) => got.push(event.data);
  recorder.start();
  for (let i = 0; i < 12; i++) {
    drawing.fillStyle = `hsl(${i * 30} 80% 50%)`;
    drawing.fillRect(0, 0, 64, 48);
    await new Promise((done) => setTimeout(done, 50));
  }
  await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
  const bytes = new Uint8Array(await new Blob(got).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}"""


def _media(browser: Browser, folder: Path) -> None:
    """Write a sound, a film that the browser records, and a PDF that it prints."""
    with wave.open(str(folder / "tone.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(8000))
    page = browser.new_page()
    (folder / "film.webm").write_bytes(base64.b64decode(page.evaluate(_FILM)))
    page.set_content("<h1>A paper</h1>")
    page.pdf(path=folder / "paper.pdf")
    page.close()


@pytest.fixture(scope="module")
def files(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
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
    _media(browser, own)
    for step in (1, 2, 3):
        Image.new("RGB", (step, 10), "blue").save(own / f"epoch_{step:02}.png")
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


def test_sounds_and_films_are_played_from_any_place(browser: Browser, files: tuple[Server, str]) -> None:
    server, run_id = files
    with look(browser, server.url) as seen:
        for path, kind in (("tone.wav", "audio"), ("film.webm", "video")):
            page = seen.go(f"/runs/{run_id}/artifacts?path={path}")
            media = page.locator(f".shown {kind}")
            media.evaluate("each => { each.preload = 'auto'; each.muted = true; return each.play(); }")  # it can
            assert media.evaluate("each => each.error") is None
            assert media.evaluate("each => each.videoWidth ?? 0") == (64 if kind == "video" else 0)
            media.evaluate("each => each.pause()")
            seen.check()
    path = f"/runs/{run_id}/view/tone.wav"
    whole = server.call("GET", path).body
    answer = server.call("GET", path, None, {"Range": "bytes=10-19"})
    assert (answer.status, answer.body) == (206, whole[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert server.call("GET", path, None, {"Range": f"bytes={len(whole)}-"}).status == 416


def test_a_paper_is_shown_by_the_browser(browser: Browser, files: tuple[Server, str]) -> None:
    server, run_id = files
    with look(browser, server.url) as seen:
        with seen.page.expect_response(lambda answer: answer.url.endswith("/view/paper.pdf")) as got:
            page = seen.go(f"/runs/{run_id}/artifacts?path=paper.pdf")
        assert got.value.status == 200
        assert got.value.headers["content-type"] == "application/pdf"
        page.locator("iframe.frame").wait_for()
        page.wait_for_timeout(500)  # the viewer is no page that could be asked
        seen.shot("artifact-paper")
        assert seen.wrong == []


def test_keys_walk_through_the_files(browser: Browser, files: tuple[Server, str]) -> None:
    server, run_id = files
    with look(browser, server.url) as seen:
        page = seen.go(f"/runs/{run_id}/artifacts")
        walked = []
        for key in ("]", "]", "]", "["):
            with page.expect_navigation():
                page.keyboard.press(key)
            walked.append(page.locator(".shown h2").inner_text())
        assert walked == ["book.ipynb", "broken.parquet", "bytes.bin", "broken.parquet"]
        assert "2 of 20" in page.inner_text(".shown")


@pytest.mark.parametrize("dark", [False, True])
def test_pictures_are_shown_together_by_their_step(browser: Browser, files: tuple[Server, str], dark: bool) -> None:
    server, run_id = files
    with look(browser, server.url, dark=dark, width=390 if dark else 1280) as seen:
        page = seen.go(f"/runs/{run_id}/artifacts")
        with page.expect_navigation():
            page.get_by_role("link", name="All pictures").click()
        cards = page.locator("#pictures li")
        assert [" ".join(text.split()) for text in cards.all_inner_texts()] == ["epoch_*.png step 3", "red.png"]
        width = "each => each.decode().then(() => each.naturalWidth)"
        assert cards.first.locator("img").evaluate(width) == 3
        page.locator("input[type=range]").fill("0")
        page.wait_for_selector("#pictures li:has-text('step 1')")
        assert cards.first.locator("img").evaluate(width) == 1
        assert page.evaluate("location.search").startswith("?at=0")
        page.get_by_label("Size").select_option("large")
        page.wait_for_selector("#pictures .pictures.large")
        assert page.evaluate("location.search") == "?at=0&size=large"
        assert "step 1" in cards.first.inner_text()
        seen.check()
        seen.shot(f"run-pictures{'-dark' if dark else ''}")
    with look(browser, server.url, script=False) as seen:
        page = seen.go(f"/runs/{run_id}/pictures?at=1")
        assert "step 2" in page.inner_text("#pictures")


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
