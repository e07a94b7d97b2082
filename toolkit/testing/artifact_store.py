"""The contract of `toolkit.artifacts.store.ArtifactStore` as tests.

Point a subclass at a store, and pytest runs them all::

    class TestMyStore(ArtifactStoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.artifacts.store import ArtifactStore, StoredFile
from toolkit.errors import ArtifactCorrupt, ArtifactError, InvalidValue, NotFound
from toolkit.testing.runs import properties

BAD_KEYS = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/./b", "../a", "a/../b", "a/..", "~/../a/.."),
    *("a\\b", "..\\a", "C:/a", "c:a", "a/C:/b", "a\0b", "a\nb", "a\x7f", "a\x85b", "\ud800", "x" * 1_025, "é" * 513),
]
"""Keys that every store refuses."""

LITERAL_KEYS = [
    *("*", "a?", "model[1].bin", "[a-z]", "100%", "%2e%2e/%2f", "a+b", "a b", "#x", "a;b", "~", "...", "..a", "-rf"),
    *("‥/x", "．．/x", "e\u0301", "é", "файл", "🍷", "ab:c", "{x}", "$HOME", "'\"", "ab::c", ".hidden/.x", "\u202ex"),
]
"""Keys that mean nothing but themselves."""


def sha256(content: bytes) -> str:
    """Return the digest of bytes."""
    return hashlib.sha256(content).hexdigest()


def put(store: ArtifactStore, key: str, content: bytes = b"content") -> StoredFile:
    """Store bytes."""
    return store.put_stream(key, io.BytesIO(content))


def read(store: ArtifactStore, key: str) -> bytes:
    """Return the bytes of an object."""
    with store.open(key) as stream:
        return stream.read()


def keys(store: ArtifactStore, prefix: str = "") -> list[str]:
    """Return the keys at or below a prefix."""
    return [stored.key for stored in store.list(prefix)]


class _Broken(io.RawIOBase):
    """A stream that fails after its first bytes."""

    def __init__(self) -> None:
        self._given = False

    def read(self, _size: int = -1, /) -> bytes:
        if self._given:
            raise ConnectionResetError("the client went away")
        self._given = True
        return b"x" * 100


class ArtifactStoreContract:
    """All of the contract. A subclass gives the fixture ``store``: an empty store."""

    def test_put_and_read(self, store: ArtifactStore, tmp_path: Path) -> None:
        """Streams and files, empty ones too, with size and digest."""
        source = tmp_path / "source.bin"
        for content in (b"", b"a", bytes(range(256)) * 20_000):
            source.write_bytes(content)
            wanted = StoredFile(key="dir/x", size=len(content), sha256=sha256(content))
            assert put(store, "dir/x", content) == wanted
            assert store.put_file("dir/x", source) == wanted
            assert read(store, "dir/x") == content
            target = tmp_path / "made" / "target.bin"
            store.get_file("dir/x", target, sha256=wanted.sha256)
            store.get_file("dir/x", target)
            assert target.read_bytes() == content
            assert [path.name for path in target.parent.iterdir()] == ["target.bin"]
        assert ":/" in store.root

    def test_a_stream_that_gives_little_is_read_to_its_end(self, store: ArtifactStore) -> None:
        """A socket gives what it has."""

        class Slow(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(7, 7 if size is None or size < 0 else size))

        assert store.put_stream("x", Slow(b"abc" * 100)).size == 300
        assert read(store, "x") == b"abc" * 100

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_bad_keys_are_refused(self, store: ArtifactStore, tmp_path: Path, key: str) -> None:
        """By every method, and nothing is made."""
        source = tmp_path / "source"
        source.write_bytes(b"x")
        calls: list[Callable[[], object]] = [
            lambda: put(store, key),
            lambda: store.put_file(key, source),
            lambda: store.open(key),
            lambda: store.get_file(key, tmp_path / "target"),
            lambda: store.delete(key),
            lambda: store.local_path(key),
            *([lambda: keys(store, key)] if key else []),
        ]
        for call in calls:
            with pytest.raises(InvalidValue):
                call()
        assert keys(store) == []
        assert not (tmp_path / "target").exists()

    @pytest.mark.parametrize("key", LITERAL_KEYS)
    def test_all_else_is_literal(self, store: ArtifactStore, tmp_path: Path, key: str) -> None:
        """No pattern, no escape, no scheme: the object is named so, and its neighbours are not touched."""
        neighbours = ["a", "model1.bin", "sub/x", "zz"]
        for other in neighbours:
            put(store, other, b"other")
        put(store, key, b"mine")
        assert read(store, key) == b"mine"
        assert sorted(keys(store)) == sorted([*neighbours, key])
        assert keys(store, key) == [key]
        store.get_file(key, tmp_path / "target", sha256=sha256(b"mine"))
        store.delete(key)
        assert sorted(keys(store)) == sorted(neighbours)

    @properties
    @given(
        parts=st.lists(
            st.text(
                st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=10
            ).filter(lambda part: part not in (".", "..") and part[1:2] != ":"),
            min_size=1,
            max_size=4,
        ),
        content=st.binary(max_size=50),
    )
    def test_any_unicode_is_a_name(self, store: ArtifactStore, parts: list[str], content: bytes) -> None:
        """What was put under a key is found under it."""
        key = "/".join(["names", *parts])
        put(store, key, content)
        assert read(store, key) == content
        assert keys(store, key) == [key]
        store.delete(key)

    def test_missing_objects(self, store: ArtifactStore, tmp_path: Path) -> None:
        """NotFound in MLflow's words; a folder is no object; deleting what is not there is no error."""
        put(store, "dir/x")
        for key in ("nope", "dir", "nope/x", "dir/x/y"):
            with pytest.raises(NotFound) as error:
                store.open(key)
            assert str(error.value) == f"No such artifact: '{key}'"
            with pytest.raises(NotFound):
                store.get_file(key, tmp_path / "target")
            store.delete(key)
        assert keys(store, "nope") == []
        assert store.local_path("nope") is None
        assert keys(store) == ["dir/x"]
        assert not (tmp_path / "target").exists()
        with pytest.raises(NotFound):
            store.put_file("y", tmp_path / "nope")

    def test_list(self, store: ArtifactStore) -> None:
        """Ordered by whole keys; a prefix is a path, not the beginning of a text."""
        names = ["a", "dir/b", "dir/sub/c", "dir-x", "dir.txt", "dirx/d", "z"]
        for number, name in enumerate(reversed(names)):
            put(store, name, b"x" * number)
        assert keys(store) == sorted(names)
        assert keys(store, "dir") == ["dir/b", "dir/sub/c"]
        assert keys(store, "dir/sub") == ["dir/sub/c"]
        assert keys(store, "a") == ["a"]
        assert keys(store, "di") == []
        assert [stored.size for stored in store.list("a")] == [6]

    def test_an_object_is_replaced_whole(self, store: ArtifactStore) -> None:
        """A reader that has the old one open goes on with it; the next one gets the new one."""
        old, new = b"o" * 3_000_000, b"n" * 10
        put(store, "x", old)
        with store.open("x") as stream:
            assert stream.read(1) == b"o"
            put(store, "x", new)
            assert stream.read() == old[1:]
        assert read(store, "x") == new

    def test_a_broken_stream_leaves_nothing(self, store: ArtifactStore) -> None:
        """Neither a new object nor a change to the old one."""
        put(store, "there", b"old")
        for key in ("there", "new", "dir/new"):
            with pytest.raises((OSError, ArtifactError)):
                store.put_stream(key, _Broken())  # type: ignore[arg-type]
        assert keys(store) == ["there"]
        assert read(store, "there") == b"old"

    def test_a_wrong_digest_is_an_error(self, store: ArtifactStore, tmp_path: Path) -> None:
        """And the target is what it was."""
        put(store, "x", b"content")
        target = tmp_path / "target"
        with pytest.raises(ArtifactCorrupt):
            store.get_file("x", target, sha256=sha256(b"other"))
        assert not target.exists()
        target.write_bytes(b"before")
        with pytest.raises(ArtifactCorrupt):
            store.get_file("x", target, sha256="0" * 64)
        assert target.read_bytes() == b"before"

    def test_writers_of_one_key(self, store: ArtifactStore) -> None:
        """The last one wins whole; whoever reads meanwhile sees one of them, whole."""
        contents = [bytes([65 + number]) * 200_000 for number in range(6)]
        start = threading.Barrier(len(contents) + 1)
        put(store, "x", contents[0])

        def write(content: bytes) -> None:
            start.wait()
            for _ in range(4):
                put(store, "x", content)

        threads = [threading.Thread(target=write, args=(content,)) for content in contents]
        for thread in threads:
            thread.start()
        start.wait()
        while any(thread.is_alive() for thread in threads):
            assert read(store, "x") in contents
        for thread in threads:
            thread.join()
        assert read(store, "x") in contents
        assert keys(store) == ["x"]

    def test_writers_and_deleters_of_one_folder(self, store: ArtifactStore) -> None:
        """A folder that becomes empty under a writer is no error of the writer's."""
        stop = threading.Event()

        def clear() -> None:
            while not stop.is_set():
                store.delete("deep/folder/a")

        cleaner = threading.Thread(target=clear)
        cleaner.start()
        try:
            for number in range(60):
                put(store, "deep/folder/a" if number % 2 else "deep/folder/b")
                store.delete("deep/folder/b")
        finally:
            stop.set()
            cleaner.join()
        put(store, "deep/folder/a", b"last")
        assert read(store, "deep/folder/a") == b"last"

    def test_local_path(self, store: ArtifactStore) -> None:
        """A file or a folder of this machine, for reading; or ``None`` from a store elsewhere."""
        put(store, "dir/x", b"content")
        path = store.local_path("dir/x")
        if path is not None:
            assert path.read_bytes() == b"content"
            folder = store.local_path("dir")
            assert folder is not None
            assert folder.is_dir()
