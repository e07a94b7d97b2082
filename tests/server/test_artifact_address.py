"""What a request names: read once, cleanly, or refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import Forbidden, InvalidValue
from toolkit.server.artifacts import address, span

RUN = "0f" * 16
MODEL = "m-" + RUN


def test_a_runs_file() -> None:
    found = address.read(f"1/{RUN}/artifacts/a/b.txt")

    assert (found.folder, found.owner, found.is_model, found.path) == (f"1/{RUN}/artifacts", RUN, False, "a/b.txt")
    assert found.key == f"1/{RUN}/artifacts/a/b.txt"


def test_a_models_file() -> None:
    found = address.read(f"1/models/{MODEL}/artifacts/MLmodel")

    assert (found.folder, found.owner, found.is_model, found.path) == (
        f"1/models/{MODEL}/artifacts",
        MODEL,
        True,
        "MLmodel",
    )


def test_the_first_owner_in_a_key_is_the_one() -> None:
    assert address.read(f"1/{RUN}/artifacts/2/{'0' * 32}/artifacts/x").owner == RUN


@pytest.mark.parametrize("key", ["a", "1/a", "artifacts/a", f"1/{RUN}/a", "1/../artifacts", "1/a b/artifacts/x"])
def test_what_is_nobodys(key: str) -> None:
    with pytest.raises((Forbidden, InvalidValue)):
        address.read(key)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_clean_key_or_refused(raw: bytes) -> None:
    try:
        found = address.read(address.of_path(raw))
    except (Forbidden, InvalidValue):
        return
    assert not {"", ".", ".."} & set(found.key.split("/"))
    assert "\\" not in found.key


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=30))
def test_a_name_is_what_was_encoded(name: str) -> None:
    if name in (".", "..") or (len(name) > 1 and name[1] == ":"):
        return
    key = f"1/{RUN}/artifacts/{name}"
    assert address.read(address.of_path(quote(key).encode())).path == name
    assert address.of_query(f"path={quote(key, safe='')}".encode(), "path")["path"] == key


@pytest.mark.parametrize("query", [b"path=%ff", b"path=\xff", b"path=%c0%ae"])
def test_a_query_that_is_no_text(query: bytes) -> None:
    with pytest.raises(InvalidValue):
        address.of_query(query, "path")


@given(
    st.one_of(st.binary(max_size=40), st.from_regex(rb"bytes=[0-9]{0,6}-[0-9]{0,6}", fullmatch=True)),
    st.integers(0, 999),
)
def test_a_span_is_in_the_file(header: bytes, size: int) -> None:
    try:
        found = span.read(header, size)
    except span.Unsatisfiable:
        return
    if found is not None:
        assert found.start >= 0
        assert found.length >= 1
        assert found.start + found.length <= size
