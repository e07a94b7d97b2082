"""What a folder does beyond the contract: links, permissions, full disks, death in the middle."""

from __future__ import annotations

import io
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from toolkit.artifacts.key import STAGING
from toolkit.artifacts.local import LocalArtifactStore, local_artifact_root
from toolkit.errors import ArtifactError, Conflict, InvalidSetting, InvalidValue, NotFound
from toolkit.testing.artifact_store import keys, put, read


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifactStore:
    return LocalArtifactStore(tmp_path / "root")


def staged(store: LocalArtifactStore) -> list[Path]:
    return list(local_artifact_root(store.root).joinpath(STAGING).iterdir())


def test_files_are_read_only_and_nothing_stays_in_staging(store: LocalArtifactStore) -> None:
    put(store, "dir/x")
    path = store.local_path("dir/x")
    assert path is not None
    before = os.umask(0o027)
    try:
        put(store, "strict")
    finally:
        os.umask(before)
    strict = store.local_path("strict")
    assert strict is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o444 & ~before
    assert stat.S_IMODE(strict.stat().st_mode) == 0o440
    assert staged(store) == []
    put(store, "dir/x", b"a read-only file is replaced all the same")


def test_the_staging_folder_is_out_of_reach(store: LocalArtifactStore) -> None:
    for call in (store.open, store.delete, store.local_path, lambda key: put(store, key), lambda key: keys(store, key)):
        for key in (STAGING, f"{STAGING}/x"):
            with pytest.raises(InvalidValue, match="keeps for itself"):
                call(key)
    put(store, f"dir/{STAGING}")
    (local_artifact_root(store.root) / STAGING / "left").write_bytes(b"x")
    assert keys(store) == [f"dir/{STAGING}"]


def test_staging_is_cleared_of_what_is_old(store: LocalArtifactStore) -> None:
    old, new = (local_artifact_root(store.root) / STAGING / name for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 1_000, time.time() - 1_000))
    assert store.clear_staging(older_than=500) == 1
    assert staged(store) == [new]


def test_links_are_not_followed(store: LocalArtifactStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    root = local_artifact_root(store.root)
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "broken").symlink_to("nowhere")
    for key in ("link/secret", "file", "link", "broken"):
        with pytest.raises(NotFound):
            store.open(key)
        with pytest.raises(NotFound):
            store.get_file(key, tmp_path / "target")
        assert store.local_path(key) is None
        assert keys(store, key) == []
    with pytest.raises(Conflict):
        put(store, "link/new")
    store.delete("link/secret")
    assert keys(store) == []
    assert [path.name for path in outside.iterdir()] == ["secret"]
    put(store, "file", b"mine")  # the link is replaced, its target is not
    assert read(store, "file") == b"mine"
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_link_that_is_swapped_in_wins_nothing(store: LocalArtifactStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"secret")
    root = local_artifact_root(store.root)
    put(store, "dir/x", b"fine")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "dir").rename(root / "aside")
            (root / "dir").symlink_to(outside)
            (root / "dir").unlink()
            (root / "aside").rename(root / "dir")

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                seen.add(read(store, "dir/x"))
            except NotFound:
                seen.add(b"")
            try:
                store.delete("dir/y")
                keys(store)
            except NotFound:
                pass
    finally:
        stop.set()
        swapper.join()
    assert seen <= {b"fine", b""}
    assert [path.name for path in outside.iterdir()] == ["x"]


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    store = LocalArtifactStore(tmp_path / "root")
    put(store, "x")
    assert keys(store) == ["x"]


def test_names_of_other_programs_are_no_keys(store: LocalArtifactStore) -> None:
    root = local_artifact_root(store.root)
    for name in (b"a\\b", b"a\nb", b"\xff"):
        Path(os.fsdecode(os.path.join(os.fsencode(root), name))).write_bytes(b"x")  # noqa: PTH118 - bytes
    os.mkfifo(root / "pipe")
    with pytest.raises(NotFound):
        store.open("pipe")
    assert keys(store) == []


def test_folders_and_files_in_the_way(store: LocalArtifactStore, tmp_path: Path) -> None:
    put(store, "dir/x")
    with pytest.raises(Conflict, match="'dir'"):
        put(store, "dir")
    with pytest.raises(Conflict, match="'dir/x/y'"):
        put(store, "dir/x/y")
    with pytest.raises(Conflict):
        store.get_file("dir/x", tmp_path)
    with pytest.raises(InvalidValue, match="longer than the file system allows"):
        put(store, "x" * 300)
    assert keys(store) == ["dir/x"]
    assert staged(store) == []


def test_deleting_leaves_no_empty_folders(store: LocalArtifactStore) -> None:
    for key in ("a/b/c", "a/d"):
        put(store, key)
    store.delete("a/b/c")
    assert store.local_path("a/b") is None
    store.delete("a/d")
    assert store.local_path("a") is None
    assert local_artifact_root(store.root).is_dir()


def test_a_full_disk_is_told_and_leaves_nothing(store: LocalArtifactStore, tmp_path: Path) -> None:
    put(store, "there", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        for key in ("there", "new"):
            with pytest.raises(ArtifactError, match="no space left"):
                put(store, key, b"x" * 3_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert keys(store) == ["there"]
    assert read(store, "there") == b"old"
    assert staged(store) == []
    put(store, "new", b"x" * 3_000_000)


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Conflict, match="artifact root"):
        LocalArtifactStore(tmp_path / "file" / "root")


_WRITER = """
import sys
from pathlib import Path
from toolkit.artifacts.local import LocalArtifactStore

class Endless:
    def read(self, size):
        sys.stdout.write("."); sys.stdout.flush()
        return b"new" * 1000
LocalArtifactStore(Path(sys.argv[1])).put_stream(sys.argv[2], Endless())
"""


@pytest.mark.parametrize("key", ["there", "new/x"])
def test_a_writer_that_is_killed_leaves_nothing_visible(store: LocalArtifactStore, key: str) -> None:
    put(store, "there", b"old")
    root = local_artifact_root(store.root)
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(root), key], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(50)
        process.send_signal(signal.SIGKILL)
    assert keys(store) == ["there"]
    assert read(store, "there") == b"old"
    assert len(staged(store)) == 1
    assert store.clear_staging(older_than=0) == 1


def test_a_large_file_takes_no_memory(store: LocalArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(200 << 20)
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom toolkit.artifacts.local import LocalArtifactStore\n"
        "store = LocalArtifactStore(Path(sys.argv[1]))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "stored = store.put_file('large', Path(sys.argv[2]))\n"
        "store.get_file('large', Path(sys.argv[2] + '.copy'), sha256=stored.sha256)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    argv = [sys.executable, "-c", script, str(local_artifact_root(store.root)), str(source)]
    grown = int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    assert grown < 20_000, "kilobytes"


def test_a_downloaded_file_is_the_users_own(store: LocalArtifactStore, tmp_path: Path) -> None:
    put(store, "x")
    store.get_file("x", tmp_path / "copy")
    (tmp_path / "copy").write_bytes(b"changed")
    assert read(store, "x") == b"content"


def test_a_source_that_cannot_be_read(store: LocalArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        store.put_file("x", tmp_path)
    assert keys(store) == []


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("file:///srv/art%20ifacts", "/srv/art ifacts"),
        ("file://localhost/srv/x", "/srv/x"),
        ("file:/srv/x", "/srv/x"),
        ("/srv/a b%20", "/srv/a b%20"),
        ("/srv/a:b#c?d", "/srv/a:b#c?d"),
    ],
)
def test_local_roots(location: str, path: str) -> None:
    assert local_artifact_root(location) == Path(path)


def test_relative_and_home_roots() -> None:
    assert local_artifact_root("x/y") == Path.cwd() / "x/y"
    assert local_artifact_root("~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    "location",
    [
        "s3://bucket/x",
        "http://host/x",
        "file://host/x",
        "file:x",
        "file:///x?y=1",
        "file:///x#y",
        "simplecache::file:///x",
    ],
)
def test_other_roots_are_refused(location: str) -> None:
    with pytest.raises(InvalidSetting):
        local_artifact_root(location)


def test_a_stream_of_wrong_type_is_not_hidden(store: LocalArtifactStore) -> None:
    with pytest.raises(TypeError):
        store.put_stream("x", io.StringIO("text"))  # type: ignore[arg-type]
    assert staged(store) == []
