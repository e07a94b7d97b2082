"""Inputs that were vulnerabilities of other servers, by the names of the advisories; and the paths behind them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from server import API, PROXY, Answer, Server, serving

CANARY = b"canary-5f1c0b"


class Scene:
    """A server with a run, and what must not be reached: a file beside the root, and a link in the root to it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.outside = folder / "secret.txt"
        self.outside.write_bytes(CANARY)
        self.run = server.new_run()
        self.base = f"0/{self.run}/artifacts"
        server.call("PUT", f"{PROXY}/{self.base}/fine.txt", b"fine")
        self.folder = server.artifacts / "0" / self.run / "artifacts"
        (self.folder / "link").symlink_to(folder)
        (self.folder / "filelink").symlink_to(self.outside)
        self.before = self.tree(folder)
        self.parent = folder

    @staticmethod
    def tree(folder: Path) -> dict[str, tuple[int, int]]:
        found = {}
        for place, _, files in os.walk(folder):
            for name in files:
                path = Path(place, name)
                if not path.name.startswith("toolkit.db") and path.parent.name != "turns":
                    found[str(path)] = (path.lstat().st_ino, path.lstat().st_mtime_ns)
        return found

    def check(self, answers: list[Answer]) -> None:
        for answer in answers:
            assert 400 <= answer.status < 500 or answer.body in (b"{}", b""), answer
            assert CANARY not in answer.body
            assert str(self.parent).encode() not in answer.body
        assert self.outside.read_bytes() == CANARY
        assert self.tree(self.parent) == self.before

    def every_way(self, path: str) -> list[Answer]:
        """Name a path in each way that there is, as it stands."""
        call = self.server.call
        return [
            call("GET", f"{PROXY}/{path}"),
            call("HEAD", f"{PROXY}/{path}"),
            call("PUT", f"{PROXY}/{path}", b"overwritten"),
            call("PUT", f"{PROXY}/{path}", b"o" * 1_500_000),
            call("DELETE", f"{PROXY}/{path}"),
            call("GET", f"{PROXY}?path={path}"),
            call("GET", f"/get-artifact?run_id={self.run}&path={path}"),
            call("GET", f"/get-artifact?run_uuid={self.run}&path={path}"),
            call("GET", f"{API}artifacts/list?run_id={self.run}&path={path}"),
        ]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with serving(tmp_path / "home") as server:
        yield Scene(server, tmp_path)


# Below a run, each of these is refused, or is not there.
BAD = [
    "../secret.txt",
    "./../secret.txt",
    "p/../../secret.txt",
    "../../../../../secret.txt",
    "../" * 20 + "etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "/etc/passwd%00.jpg",
    "file:///etc/passwd",
    "file://a%23/..//etc/passwd",
    "file://etc/passwd",
    "%2E%2E%2Fsecret.txt",
    "..%2fsecret.txt",
    "%2e%2e/secret.txt",
    "%252e%252e%252fsecret.txt",
    "%2%0952e%2%0952e/secret.txt",
    "..%5csecret.txt",
    "%5c..%5c..%5csecret.txt",
    "C:%5cx",
    "C:/x",
    "%5c%5c?%5cC:%5cx",
    "//host/share",
    "a/./b",
    "a//b",
    ".",
    "..",
    "a/..",
    "a%0ab",
    "a%00b",
    "%ff%fe",
    "link/secret.txt",
    "filelink",
    "link",
    "x" * 256 + "/../../secret.txt",
    "a/" * 2500 + "b",
    "%e2%80%a5/../secret.txt",
    "proc/self/../../../../../secret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "..;/secret.txt/..",
    "a?b=../../secret.txt",
]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path[:30])
def test_no_path_leads_out_of_a_run(scene: Scene, path: str) -> None:
    answers = scene.every_way(f"{scene.base}/{path}") + scene.every_way(path)

    written = [answer for answer in answers if answer.status == 200 and answer.body == b"{}"]
    scene.server.call("DELETE", f"{PROXY}/{scene.base}/{path}")
    for answer in answers:
        assert answer.status < 500, answer
        assert CANARY not in answer.body
        assert str(scene.parent).encode() not in answer.body
    assert scene.outside.read_bytes() == CANARY
    outside = {name: kept for name, kept in scene.tree(scene.parent).items() if str(scene.folder) not in name}
    assert outside == {name: kept for name, kept in scene.before.items() if str(scene.folder) not in name}
    assert (scene.folder / "fine.txt").read_bytes() == b"fine"
    assert len(written) <= 4  # lists of folders that are not there; literal names


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        ".staging/x",
        "toolkit.db",
        "0",
        "0/x",
        "*",
        "?",
        "[x]",
        "{a,b}",
        "~root",
        "-rf",
        "CON",
        "NUL",
        "artifacts",
    ],
)
def test_what_is_no_runs_is_not_reached(scene: Scene, path: str) -> None:
    for answer in scene.every_way(quote(path))[:6]:
        assert 400 <= answer.status < 500
    assert scene.tree(scene.parent) == scene.before


def test_another_runs_files_are_reached_by_its_own_id_only(scene: Scene) -> None:
    other = scene.server.new_run()
    scene.server.call("PUT", f"{PROXY}/0/{other}/artifacts/theirs.txt", b"theirs")

    for path in (f"../../{other}/artifacts/theirs.txt", f"..%2f..%2f{other}%2fartifacts%2ftheirs.txt"):
        for answer in scene.every_way(f"{scene.base}/{path}"):
            assert answer.body != b"theirs"
            assert answer.status < 500
    nested = scene.server.call("GET", f"{PROXY}/{scene.base}/0/{other}/artifacts/theirs.txt")
    assert nested.status == 404


def test_a_link_that_is_swapped_in_wins_nothing(scene: Scene) -> None:
    """A folder of the root is replaced by a link to elsewhere and back while files are read and written in it."""
    folder, aside = scene.folder / "d", scene.folder / "aside"
    scene.server.call("PUT", f"{PROXY}/{scene.base}/d/secret.txt", b"ours")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            folder.rename(aside)
            folder.symlink_to(scene.parent)
            folder.unlink()
            aside.rename(folder)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(60):
            got = scene.server.call("GET", f"{PROXY}/{scene.base}/d/secret.txt")
            assert got.body == b"ours" or got.status in (404, 503)
    finally:
        stop.set()
        swapping.join()
    assert scene.outside.read_bytes() == CANARY


# -- by advisory -------------------------------------------------------------------------------------


def test_cve_2023_30172_get_artifact_with_a_path_that_leads_out(scene: Scene) -> None:
    answer = scene.server.call("GET", f"/get-artifact?path=../../../../../../etc/passwd&run_uuid={scene.run}")
    assert answer.status == 400


def test_cve_2023_1176_an_absolute_artifact_path(scene: Scene) -> None:
    for path in (str(scene.outside), "/etc/passwd"):
        there = scene.server.call("GET", f"{API}artifacts/list", run_id=scene.run, path=path)
        missing = scene.server.call("GET", f"{API}artifacts/list", run_id=scene.run, path=path + "-missing")
        assert (there.status, missing.status) == (400, 400)  # it does not tell whether there is such a file


@pytest.mark.parametrize(
    "advisory",
    [
        pytest.param("..%2f..%2f..%2f..%2fsecret.txt", id="cve_2023_6015"),
        pytest.param("../../../../secret.txt", id="cve_2023_6018"),
        pytest.param("C:%5c..%5csecret.txt", id="cve_2023_6753"),
        pytest.param("%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret.txt", id="cve_2023_6976"),
        pytest.param("....//....//secret.txt", id="cve_2026_2033"),
    ],
)
def test_put_outside_of_the_root(scene: Scene, advisory: str) -> None:
    for path in (advisory, f"{scene.base}/{advisory}"):
        answer = scene.server.call("PUT", f"{PROXY}/{path}", b"overwritten")
        assert 400 <= answer.status < 500
    assert scene.tree(scene.parent) == scene.before


@pytest.mark.parametrize(
    "advisory",
    [
        pytest.param("..%2f..%2f..%2f..%2f", id="cve_2023_6831"),
        pytest.param("%252e%252e%252f%252e%252e%252f", id="cve_2024_1560"),
    ],
)
def test_delete_outside_of_the_root(scene: Scene, advisory: str) -> None:
    for path in (advisory + "secret.txt", f"{scene.base}/{advisory}secret.txt", f"{scene.base}/{advisory}"):
        answer = scene.server.call("DELETE", f"{PROXY}/{path}")
        assert 400 <= answer.status < 500
    assert scene.tree(scene.parent) == scene.before


LOCATIONS = {
    "cve_2023_6909": "http://127.0.0.1:{trap}/x?a=../../../../../{secret}",
    "cve_2023_6975": "http://127.0.0.1:{trap}/\\..\\..\\{secret}",
    "cve_2024_1483": "http:///#/../../../../../{secret}",
    "cve_2024_1593": "http://127.0.0.1:{trap}/;..%2F..%2F{secret}",
    "cve_2024_1594": "http://127.0.0.1:{trap}/a#/{secret}",
    "cve_2024_2928": "http://127.0.0.1:{trap}/#../../../{secret}",
    "cve_2024_3848": "http://127.0.0.1:{trap}#/{secret}",
    "cve_2024_8859": "dbfs:/{secret}",
    "ghsa_mr9f": "ftp://127.0.0.1:{trap}/",
    "ghsa_mr9f_sftp": "sftp://127.0.0.1:{trap}/",
    "ghsa_mr9f_hdfs": "hdfs://127.0.0.1:{trap}/",
    "ghsa_vf52": "http://127.0.0.1:{trap}/latest/meta-data",
    "file": "file://{secret}",
    "plain": "{secret}",
    "upper case": "FILE://{secret}",
    "one letter": "c:{secret}",
    "proc": "//proc/self/root{secret}",
    "memory": "memory://{secret}",
    "chain": "simplecache::file://{secret}",
    "zip": "zip://a::file://{secret}",
    "reference": "reference://{secret}",
    "github": "github://a:b@main{secret}",
    "s3": "s3://bucket/{secret}",
    "proxied": "mlflow-artifacts:/../..{secret}",
    "proxied host": "mlflow-artifacts://127.0.0.1:{trap}/x",
    "proxied staging": "mlflow-artifacts:/.staging",
    "root": "{root}/../..",
    "encoded": "file://%2e%2e{secret}",
}


@pytest.mark.parametrize("name", LOCATIONS)
def test_a_location_that_a_client_names_is_never_opened(scene: Scene, name: str) -> None:
    server = scene.server
    folder = scene.parent / "elsewhere"
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        location = LOCATIONS[name].format(trap=trap.getsockname()[1], secret=folder, root=server.stores.artifact_root)
        made = server.call("POST", f"{API}experiments/create", {"name": "e", "artifact_location": location})
        assert made.status in (200, 400)
        if made.status == 200:
            run = server.new_run(made.json["experiment_id"])
            there = folder / run / "artifacts"
            there.mkdir(parents=True)
            (there / "secret.txt").write_bytes(CANARY)
            number = made.json["experiment_id"]
            answers = [
                server.call("GET", "/get-artifact", run_id=run, path="secret.txt"),
                server.call("GET", f"{API}artifacts/list", run_id=run),
                server.call("GET", f"{PROXY}/{number}/{run}/artifacts/secret.txt"),
                server.call("PUT", f"{PROXY}/{number}/{run}/artifacts/secret.txt", b"overwritten"),
                server.call("DELETE", f"{PROXY}/{number}/{run}/artifacts/secret.txt"),
            ]
            assert (there / "secret.txt").read_bytes() == CANARY
            for answer in answers:
                assert CANARY not in answer.body
                assert answer.status < 500
            assert "files" not in answers[1].json
            assert {answer.status for answer in (answers[0], answers[3])} <= {400, 403, 404}
        with pytest.raises(TimeoutError):
            trap.accept()
    assert scene.outside.read_bytes() == CANARY


def test_names_with_patterns_mean_only_themselves(scene: Scene) -> None:
    """fsspec would have deleted every file beside one of this name."""
    for name in ("*", "model[1].bin", "a?b", "model1.bin", "axb"):
        scene.server.call("PUT", f"{PROXY}/{scene.base}/d/{quote(name)}", name.encode())

    for name in ("*", "model[1].bin", "a?b"):
        assert scene.server.call("GET", f"{PROXY}/{scene.base}/d/{quote(name)}").body == name.encode()
        assert scene.server.call("DELETE", f"{PROXY}/{scene.base}/d/{quote(name)}").status == 200
    assert sorted(path.name for path in (scene.folder / "d").iterdir()) == ["axb", "model1.bin"]


@pytest.mark.parametrize("name", ["x.svg", "x.html", "x.js", "x.ipynb", "x.xml", "x", "x.md", "x.xhtml", "MLmodel"])
def test_no_artifact_is_a_page_of_ours(scene: Scene, name: str) -> None:
    scene.server.call("PUT", f"{PROXY}/{scene.base}/{name}", b"<svg onload=alert(1)>", {"Content-Type": "text/html"})

    for answer in (
        scene.server.call("GET", f"{PROXY}/{scene.base}/{name}"),
        scene.server.call("GET", "/get-artifact", run_id=scene.run, path=name),
    ):
        assert answer.headers["content-type"] in ("text/plain; charset=utf-8", "application/octet-stream")
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_a_name_cannot_break_out_of_its_header(scene: Scene) -> None:
    name = 'a";b="c\r\nX-Evil: 1.txt'
    assert scene.server.call("PUT", f"{PROXY}/{scene.base}/{quote(name)}", b"1").status in (400, 404)
    quoted = 'a";filename="..'
    scene.server.call("PUT", f"{PROXY}/{scene.base}/{quote(quoted)}", b"1")
    told = scene.server.call("GET", f"{PROXY}/{scene.base}/{quote(quoted)}").headers["content-disposition"]
    assert told.count('"') == 2


def test_cve_2025_62727_a_long_range_is_read_at_once(scene: Scene) -> None:
    answer = scene.server.call("GET", f"{PROXY}/{scene.base}/fine.txt", None, {"Range": "bytes=" + "0-0," * 12_000})
    assert answer.status in (200, 431)


SOURCES = {
    "cve_2023_1177": "file://{secret}",
    "ghsa_83fm": "{secret}",
    "cve_2023_2356": "http://127.0.0.1:{trap}/../../..{secret}",
    "cve_2023_2356_proxied": "mlflow-artifacts:/../../..{secret}",
    "cve_2023_2356_s3": "s3://bucket/../../..{secret}",
    "cve_2023_2780": "file://\\..\\..\\{secret}",
    "cve_2023_6977": "//proc/self/root{secret}",
    "cve_2024_1558": "runs:/{run}/../../../..{secret}",
    "cve_2024_3573": "FILE:{secret}",
    "cve_2024_8859": "dbfs:/{run}/artifacts/a%3f/../../../..{secret}",
    "cve_2025_11201": "{root}/0/{run}/artifacts/../../../..{secret}",
    "encoded": "{root}/0/{run}/artifacts/%2e%2e/%2e%2e{secret}",
    "chain": "simplecache::file://{secret}",
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("prompt", [False, True], ids=["version", "prompt (cve_2026_2614)"])
def test_a_source_that_a_client_names_is_never_opened(scene: Scene, name: str, prompt: bool) -> None:
    server = scene.server
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        places = {"trap": trap.getsockname()[1], "secret": scene.parent, "root": server.stores.artifact_root}
        source = SOURCES[name].format(run=scene.run, **places)
        tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}] if prompt else []
        server.call("POST", f"{API}registered-models/create", {"name": "m", "tags": tags})
        made = server.call("POST", f"{API}model-versions/create", {"name": "m", "source": source, "tags": tags})
        assert made.status in (200, 400, 403, 404)
        for path in ("secret.txt", "../secret.txt", "link/secret.txt"):
            got = server.call("GET", "/model-versions/get-artifact", name="m", version="1", path=path)
            assert 400 <= got.status < 500
            assert CANARY not in got.body
        with pytest.raises(TimeoutError):
            trap.accept()


def test_cve_2024_6838_endless_names_are_refused(scene: Scene) -> None:
    for body in (
        {"name": "1" * 1_000_000},
        {"name": "e", "artifact_location": "s3://" + "a" * 1_000_000},
        {"name": "e", "tags": [{"key": "k" * 1_000_000, "value": "v"}]},
        {"name": "e", "tags": [{"key": "k", "value": "v" * 1_000_000}]},
    ):
        answer = scene.server.call("POST", f"{API}experiments/create", body)
        assert answer.status == 400
        assert len(answer.body) < 20_000
    many = {"name": "e", **{f"k{number}": number for number in range(100_000)}}
    assert scene.server.call("POST", f"{API}experiments/create", many).status in (200, 400)
