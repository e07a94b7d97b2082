"""``toolkit ui``: the address of the pages, with a server behind it."""

from __future__ import annotations

import urllib.request
import webbrowser

import pytest
from calls import Cli


def test_the_pages_are_there_and_a_browser_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def browse(place: str) -> bool:
        opened.append(place)
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    try:
        first = cli("ui")
        place = first.out.strip()
        assert (first.code, opened) == (0, [place])
        with urllib.request.urlopen(place, timeout=300) as answer:
            assert b"Nothing has run yet" in answer.read()
        found = cli("ui", "a b/c", "--no-open")
        assert (found.out, len(opened)) == (f"{place}find?q=a%20b%2Fc\n", 1)
    finally:
        assert cli("down").code == 0


def test_where_no_browser_can_be_opened_the_address_is_there_all_the_same(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", "http://tracking.example:5000/ml/")
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    answer = cli("ui")
    assert (answer.code, answer.out) == (0, "http://tracking.example:5000/ml/\n")
    assert "no browser" in answer.err
