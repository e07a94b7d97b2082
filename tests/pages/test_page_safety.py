"""What users write does nothing but be shown, in any place on any page; and only our pages change something."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote

import planted
import pytest
from browser import look
from planted import DEPLOYMENT, MARK, MODEL, RUN, Planted, bad
from server import serving
from starlette.routing import Route

from toolkit.server.artifacts.routes import artifact_routes
from toolkit.server.pages.table import MODULES
from toolkit.server.wire import routes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "same-site": {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
    "evil": {"Origin": "http://evil.example"},
    "null": {"Origin": "null"},
}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """A server whose store has script in every place."""
    with serving(tmp_path_factory.mktemp("planted") / "home") as server:
        yield planted.plant(server)


def _table(method: str) -> set[str]:
    return {path for module in MODULES for own, path, _ in module.PAGES if own == method}


def test_every_page_is_looked_at(there: Planted) -> None:
    """A page that is new belongs into `planted.pages`; what only gives a file, into `planted.files`."""
    assert _table("GET") == {*planted.pages(there), *planted.files(there)}


# -- script ------------------------------------------------------------------------------------------

_ALIVE = """() => [
    ...document.querySelectorAll(`img[src="x"], [onerror], [onload], [onfocus], [onmouseover], [style*="planted"],
        [href^="javascript" i], [src^="javascript" i], [action^="javascript" i], iframe:not([sandbox], [src$=".pdf"])`),
    ...[...document.querySelectorAll('script')].filter((each) => !each.src && each.type !== 'application/json'),
].map((each) => each.outerHTML.slice(0, 200))"""
_HELD = ("the document's frame is sandboxed", "ERR_BLOCKED_BY_RESPONSE")
"""What a browser says when a file that is framed wants to run script, or to load something: it may not."""


def _wrong(page: Page, address: str) -> list[str]:
    found = [f"{address}: is alive: {each}" for each in page.evaluate(_ALIVE)]
    ran = [frame for frame in page.frames if frame.evaluate(f"typeof window.{MARK}") != "undefined"]
    return [*found, *(f"{address}: a script ran" for _ in ran)]


_WIDE = """() => {
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= wide) return [];
    return [...document.querySelectorAll('main *, header *, footer *')]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > wide + 1
            && !each.parentElement.closest('.scroll, .strip-box, pre, [class*=scroll]'))
        .map((each) => each.outerHTML.slice(0, 120)).slice(0, 3);
}"""


_HIDDEN = """() => {
    const found = [];
    const bar = document.querySelector('.top').getBoundingClientRect().bottom;
    for (const each of document.querySelectorAll('main a[href], main button, main input, main select, main summary')) {
        if (!each.checkVisibility?.() || each.closest('.unseen, .skip, dialog, [hidden]')) continue;
        each.focus();
        const box = each.getBoundingClientRect();
        if (document.activeElement === each && box.height > 0 && box.bottom <= bar && box.bottom > 0) {
            found.push(each.outerHTML.slice(0, 120));
        }
    }
    return found.slice(0, 3);
}"""


def _first(there: Planted) -> list[str]:
    """Return an address of each page; all of the files that are shown, of runs and what is drawn."""
    told = planted.pages(there)
    many = ("/compare", "/runs/{run_id}", "/runs/{run_id}/artifacts", "/workflows/{run_id}")
    drawn = [
        each for path, addresses in told.items() if path in many or "/workflows/{name" in path for each in addresses
    ]
    return [*dict.fromkeys([*(addresses[0] for addresses in told.values()), *drawn])]


def test_script_in_any_place_does_nothing_and_every_page_fits(browser: Browser, there: Planted) -> None:
    """On a wide screen, with text of twice the size, and on the smallest; and no focus is under the bar.

    Each is held against the rules of accessibility, and what it looks like in the dark against those of contrast.
    """
    wrong: list[str] = []
    with look(browser, there.server.url) as seen:
        for address in _first(there):
            seen.wrong.clear()
            seen.page.set_viewport_size({"width": 1280, "height": 850})
            answer = seen.page.goto(there.server.url + address)
            assert answer is not None
            whole = "</html>" in answer.text()
            if whole:
                seen.page.wait_for_selector("html[data-ready]")
            wrong += _wrong(seen.page, address)
            # A browser says that a page was an error; and of a part that is no page, that it has no icon.
            told = [each for each in seen.wrong if not any(held in each for held in _HELD)]
            if answer.status >= 400 or not whole:
                told = [each for each in told if "Failed to load resource" not in each]
            wrong += [f"{address}: {each}" for each in told]
            if not whole:
                continue
            wrong += [f"{address}: {each}" for each in seen.serious()]
            wrong += [f"{address}: in the dark: {each}" for each in seen.in_the_dark()]
            seen.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            wrong += [f"{address}: hides its focus: {each}" for each in seen.page.evaluate(_HIDDEN)]
            for width in (640, 320):
                seen.page.set_viewport_size({"width": width, "height": 850})
                wrong += [f"{address}: too wide at {width}: {each}" for each in seen.page.evaluate(_WIDE)]
    assert wrong == [], "\n".join(wrong)


def test_no_page_holds_script_that_somebody_wrote(there: Planted) -> None:
    for address in (each for addresses in planted.pages(there).values() for each in addresses):
        answer = there.server.call("GET", address)
        assert answer.status < 500, address
        found = Alive(answer.body.decode())
        assert found.alive == [], address
        if "</html>" in answer.body.decode():
            assert len(found.text) > 200, (address, "it has nothing to read without script")
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")


class Alive(HTMLParser):
    """What of a page would run, and what is read on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.alive: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what runs."""
        told = dict(attrs)
        script = tag == "script" and not told.get("src") and told.get("type") != "application/json"
        acts = any(name.startswith("on") or name == "style" for name in told)
        leads = any(str(told.get(name)).strip().lower().startswith("javascript") for name in ("href", "src", "action"))
        if script or acts or leads or (tag == "img" and told.get("src") == "x"):
            self.alive.append(f"<{tag} {told}>")

    def handle_data(self, data: str) -> None:
        """Note what is read."""
        self.text += data


def test_files_are_given_so_that_they_do_nothing(browser: Browser, there: Planted) -> None:
    shown = []
    for address in (each for addresses in planted.files(there).values() for each in addresses):
        answer = there.server.call("GET", address)
        kind, policy = (answer.headers.get(name, "") for name in ("content-type", "content-security-policy"))
        assert answer.status in (200, 400), address
        assert answer.headers["x-content-type-options"] == "nosniff"
        if (
            answer.status == 200
            and re.search("html|svg|xml|pdf", kind)
            and "attachment" not in str(answer.headers.get("content-disposition"))
        ):
            assert "allow-scripts" not in policy, address
            assert "script-src 'self'" not in policy or "sandbox" in policy or "text/html" in kind, address
            shown.append(address)
    assert any("page.html" in each for each in shown)
    with look(browser, there.server.url) as seen:
        for address in shown:
            if not address.endswith(".pdf"):  # a browser without a viewer downloads it
                seen.page.goto(there.server.url + address)
                assert seen.page.evaluate(f"typeof window.{MARK}") == "undefined", address
        assert not any("a dialog" in each for each in seen.wrong)


@pytest.mark.parametrize("place", ["/runs/", "/experiments/", "/models/", "/nothing/", "/compare?runs=", "/find?q="])
def test_an_error_says_what_was_asked_for_and_runs_none_of_it(there: Planted, place: str) -> None:
    answer = there.server.call("GET", place + quote(bad("asked for")))
    assert answer.status < 500
    if not answer.headers["content-type"].startswith("application/json"):
        text = answer.body.decode()
        assert f"<img src=x onerror={MARK}" not in text
        assert f"<script>{MARK}" not in text


# -- the calls of the API that give what pages show ----------------------------------------------------


def test_every_page_links_the_call_that_gives_what_it_shows(there: Planted) -> None:
    """Of an answer that only a POST gives, the page names the call beside its description."""
    wrong, asked = [], dict[str, str]()
    for address in (each for addresses in planted.pages(there).values() for each in addresses):
        page = there.server.call("GET", address).body.decode()
        if "</html>" not in page:
            continue
        calls = Calls(page).calls
        if not [each for each in calls if each[1] != "API"]:
            wrong.append(f"{address}: links no call")
        for link, text in calls:
            if link.endswith("/openapi.json") and text != "API" and not text.startswith("POST /api/"):
                wrong.append(f"{address}: {text!r} does not say which call")
            if link not in asked:
                answer = there.server.call("GET", link)
                asked[link] = f"{answer.status} {answer.headers.get('content-type', '').partition(';')[0]}"
            refused = asked[link].startswith("400") and 'class="fault"' in page  # as the page says, too
            if asked[link] not in ("200 application/json", "200 text/csv") and not refused:
                wrong.append(f"{address}: {text!r} at {link} answers {asked[link]}")
    assert wrong == [], "\n".join(wrong)
    assert len(asked) > 30


class Calls(HTMLParser):
    """The links at the foot of a page: where each leads, and what it says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self._foot = self._link = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a link of the foot leads."""
        self._foot = self._foot or tag == "footer"
        if self._foot and tag == "a":
            self._link = True
            self.calls.append((str(dict(attrs).get("href")), ""))

    def handle_endtag(self, tag: str) -> None:
        """Note where the foot ends, and a link."""
        self._foot = self._foot and tag != "footer"
        self._link = self._link and tag != "a"

    def handle_data(self, data: str) -> None:
        """Note what a link says."""
        if self._link:
            link, text = self.calls[-1]
            self.calls[-1] = link, text + data


# -- requests of other pages -------------------------------------------------------------------------


def _state(there: Planted) -> str:
    """Return what stands for all that is in the stores."""
    connection = sqlite3.connect(f"file:{there.server.home / 'toolkit.db'}?mode=ro", uri=True)
    try:
        dump = "\n".join(connection.iterdump())
    finally:
        connection.close()
    files = sorted(str(path) for path in there.server.artifacts.rglob("*"))
    return hashlib.sha256("\n".join([dump, *files]).encode()).hexdigest()


_VALUES = {
    "run_id": RUN,
    "experiment_id": "1",
    "name": MODEL,
    "version": "1",
    "number": "1",
    "alias": "champion",
    "deployment_id": "d" * 32,
    "model_id": "m-" + "a" * 32,
}


def _filled(path: str) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: _VALUES.get(found[1], "x"), path)


def _changing(there: Planted) -> set[tuple[str, str]]:
    """Return all that is no GET: of the pages, of our API, of MLflow's, and of artifacts."""
    found = {("POST", path.replace("{name}", DEPLOYMENT if "deploy" in path else MODEL)) for path in _table("POST")}
    document = json.loads(there.server.call("GET", "/api/v1/openapi.json").body)
    found |= {(method.upper(), path) for path, each in document["paths"].items() for method in each if method != "get"}
    stores = there.server.stores
    for route in (*routes.routes(stores, str), *artifact_routes(stores)):
        if isinstance(route, Route):
            found |= {(method, route.path) for method in route.methods or () if method not in ("GET", "HEAD")}
    return {(method, _filled(path)) for method, path in found}


@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_page_of_somebody_else_changes_nothing(there: Planted, headers: Mapping[str, str]) -> None:
    changing, before = _changing(there), _state(there)
    assert len(changing) > 100
    bodies = {
        "POST": (b"action=delete&name=taken", FORM),
        "PUT": (b"{}", {}),
        "PATCH": (b"{}", {}),
        "DELETE": (b"{}", {}),
    }
    for method, path in sorted(changing):
        body, kind = bodies[method]
        answer = there.server.call(method, path, body, {**kind, **headers})
        assert answer.status == 403, (method, path, answer.status)
        assert not any(name.startswith("access-control") for name in answer.headers), path
    assert _state(there) == before


def test_a_form_that_does_not_say_where_it_comes_from_changes_nothing(there: Planted) -> None:
    before = _state(there)
    for path in sorted(_table("POST")):
        for headers in ({}, {"Sec-Fetch-Site": "none"}):
            answer = there.server.call("POST", _filled(path), b"action=delete", {**FORM, **headers})
            assert answer.status == 403, path
    assert _state(there) == before


def test_no_other_origin_is_let_in(there: Planted) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/", f"/runs/{RUN}", "/api/v1/runs", "/api/2.0/mlflow/runs/create"):
        for method in ("OPTIONS", "GET"):
            answer = there.server.call(method, path, None, asked)
            assert not any(name.startswith("access-control") for name in answer.headers), (method, path)


def test_looking_changes_nothing(there: Planted) -> None:
    listed = [
        each for told in (planted.pages(there), planted.files(there)) for all_of in told.values() for each in all_of
    ]
    document = json.loads(there.server.call("GET", "/api/v1/openapi.json").body)
    api = [path for path, each in document["paths"].items() if "get" in each and not re.search("events|stream", path)]
    before = _state(there)
    for path in (*listed, *map(_filled, api)):
        assert there.server.call("GET", path).status < 500, path
        there.server.call("GET", path, None, {"HX-Request": "true"})
    assert _state(there) == before
