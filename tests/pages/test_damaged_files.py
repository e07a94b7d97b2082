"""Files that are damaged, or made to be costly, are shown as far as they can be: no page fails for them."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from server import Server, serving

import toolkit
from toolkit.deployments.endpoint import ask
from toolkit.recording.log_pieces import piece_path
from toolkit.server.artifacts.address import Address
from toolkit.server.artifacts.files import File, Files
from toolkit.server.pages import deployment_trial, log_lines
from toolkit.server.pages.indented import MOST, indented

LOG = "logs/output.log"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("damaged") / "home") as made:
        yield made


def _client(server: Server) -> toolkit.Client:
    return toolkit.Client(tracking_uri=f"sqlite:///{server.home / 'toolkit.db'}")


def _kept(server: Server, folder: Path, path: str, content: bytes) -> str:
    """Return the id of a run that keeps a file."""
    client = _client(server)
    run_id = str(client.create_run("0").info.run_id)
    client.set_terminated(run_id)
    place = folder / run_id / Path(path).name
    place.parent.mkdir()
    place.write_bytes(content)
    client.log_artifact(run_id, str(place), str(Path(path).parent))
    return run_id


# -- zip files ---------------------------------------------------------------------------------------


def _zip(text: bytes, method: int) -> bytearray:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as packed:
        packed.writestr("a.py", text)
    return bytearray(made.getvalue())


def _content(data: bytearray) -> None:
    start = 30 + len("a.py")
    packed_by_lzma = data[8] == zipfile.ZIP_LZMA  # whose first bytes say how
    data[start + 6 * packed_by_lzma : start + 14] = b"\xff" * (14 - 6 * packed_by_lzma)


def _unknown(data: bytearray) -> None:
    data[data.index(b"PK\x01\x02") + 6] = 99


def _letter(data: bytearray) -> None:
    entry = data.index(b"PK\x01\x02")
    data[entry + 9] |= 8
    data[entry + 46] = 0xFF


@pytest.mark.parametrize(
    ("method", "damage", "said"),
    [
        (zipfile.ZIP_DEFLATED, _content, "cannot be unpacked"),
        (zipfile.ZIP_LZMA, _content, "cannot be unpacked"),
        (zipfile.ZIP_BZIP2, _content, "cannot be unpacked"),
        (zipfile.ZIP_DEFLATED, _unknown, "is no zip file"),
        (zipfile.ZIP_DEFLATED, _letter, "is no zip file"),
    ],
    ids="deflate lzma bzip2 version name".split(),
)
def test_code_in_a_damaged_zip_is_not_compared(
    server: Server, tmp_path: Path, method: int, damage: Callable[[bytearray], None], said: str
) -> None:
    damaged = _zip(b"import this\n" * 50 + bytes(range(32, 127)), method)
    damage(damaged)
    runs = [
        _kept(server, tmp_path, "source/snapshot.zip", bytes(each))
        for each in (damaged, _zip(b"print()\n", zipfile.ZIP_DEFLATED))
    ]
    answer = server.call("GET", "/compare", None, {}, runs=",".join(runs), tab="code")
    assert answer.status == 200
    assert said in answer.body.decode()


# -- JSON --------------------------------------------------------------------------------------------


def test_half_a_letter_in_json_is_shown_as_a_question_mark(server: Server, tmp_path: Path) -> None:
    run_id = _kept(server, tmp_path, "told/half.json", b'{"said": "\\ud83d!"}')
    answer = server.call("GET", f"/runs/{run_id}/artifacts", None, {}, path="told/half.json")
    assert answer.status == 200
    assert "?!" in answer.body.decode()
    part = server.call("GET", f"/runs/{run_id}/artifacts", None, {"HX-Request": "true"}, path="told/half.json")
    assert part.status == 200


def test_json_that_would_become_very_long_is_shown_as_it_came() -> None:
    rows = [json.loads("[" * 200 + "]" * 200) for _ in range(200)]
    text = json.dumps(rows)
    assert len(text) < 100_000
    assert len(json.dumps(rows, indent=2)) > 4 * MOST
    assert indented(text) == text
    assert indented('{"é":[1]}') == '{\n  "é": [\n    1\n  ]\n}'
    assert indented("nothing") == "nothing"
    assert indented("[" * 100_000) == "[" * 100_000
    assert len(deployment_trial.shown(text.encode())) < 30_000


def test_of_an_answer_without_an_end_a_part_is_read() -> None:
    class Endless(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"1" * 65536)
            except OSError:  # whoever asked has gone
                pass

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with HTTPServer(("127.0.0.1", 0), Endless) as service:
        thread = threading.Thread(target=service.handle_request)
        thread.start()
        address = f"http://127.0.0.1:{service.server_port}"
        came = ask(address, "/invocations", b"{}", limit=deployment_trial.READ + 1)
        thread.join(120)
    assert len(came.body) == deployment_trial.READ + 1
    assert "more than 4 MB: it was not read to its end" in deployment_trial.shown(came.body)


# -- logs --------------------------------------------------------------------------------------------


def test_a_log_whose_pieces_become_others_while_it_is_downloaded_comes_whole(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.server.pages.log_text.BLOCK", 1024)
    client = _client(server)
    run_id = str(client.create_run("0").info.run_id)
    told = [f"{place} ".encode() * 4096 for place in range(3)]
    ends = [0, 8192, 16384, 24576]
    paths = [piece_path(LOG, ends[place], ends[place + 1]) for place in range(3)]
    for path, content in zip(paths, told, strict=True):
        client.log_text(run_id, content.decode(), path)
    opened: list[str] = []
    original = Files.open

    def merges(self: Files, address: Address) -> File:
        opened.append(address.path)
        if len(opened) == 2:  # the first piece was sent
            client.log_text(run_id, b"".join(told).decode() + "end\n", LOG)
            server.stores.runs.forget_artifacts(run_id, paths)
        return original(self, address)

    monkeypatch.setattr(Files, "open", merges)
    answer = server.call("GET", f"/runs/{run_id}/logs/raw", None, {}, file=LOG)
    assert answer.body == b"".join(told) + b"end\n"
    assert opened == [paths[0], paths[1], LOG]


def test_levels_are_not_looked_for_behind_what_is_shown_of_a_line(server: Server) -> None:
    client = _client(server)
    run_id = str(client.create_run("0").info.run_id)
    client.log_text(run_id, "a" * 5000 + " WARNING: x\nUserWarning: y\n" + "warn" + "a" * 50_000 + "\n", LOG)
    answer = server.call("GET", f"/runs/{run_id}/logs", None, {}, level="warning")
    assert answer.status == 200
    assert 'id="L2"' in answer.body.decode()
    assert 'id="L1"' not in answer.body.decode()
    for _, marks in log_lines.LEVELS.values():
        for mark in marks:
            assert not any(part.startswith((rb"\w*", rb"\w+")) for part in mark.pattern.split(b"|"))
