"""The files that pages load: what is of others is what was named, all of it is in the wheel, and pages stay small."""

from __future__ import annotations

import gzip
import hashlib
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from server import Server
from shown import Shown

from toolkit.server.pages import static
from toolkit.server.pages.render import TEMPLATES

ROOT = Path(__file__).parents[2]
VENDOR = static.FOLDER / "vendor"
BUDGET = 450_000


def test_what_is_of_others_is_what_was_named() -> None:
    told = tomllib.loads((VENDOR / "vendor.toml").read_text())["package"]
    named = set()
    for each in told:
        assert hashlib.sha256((VENDOR / each["file"]).read_bytes()).hexdigest() == each["sha256"], each["name"]
        assert all((VENDOR / name).stat().st_size > 100 for name in each["licence_files"])
        named |= {each["file"], *each["licence_files"]}
    there = {path.relative_to(VENDOR).as_posix() for path in VENDOR.glob("*-*/*")}
    assert named == there


def test_all_of_it_is_in_the_wheel() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = build["tool"]["setuptools"]["package-data"]["toolkit.server"]
    server = ROOT / "toolkit" / "server"
    wanted = [*TEMPLATES.glob("*.html"), *static.files().values(), *VENDOR.glob("*-*/*")]
    left = [path for path in wanted if not any(fnmatch(path.relative_to(server).as_posix(), each) for each in patterns)]
    assert left == []


def test_scripts_load_nothing_from_elsewhere() -> None:
    for name, path in static.files().items():
        if name.endswith(".js") and not name.startswith("vendor/"):
            text = path.read_text()
            loaded = re.findall(r"""^(?:import|export) [^;]*? from ["']([^"']+)|\bimport\(["']([^"']+)""", text, re.M)
            assert all("".join(place).startswith(("./", "../")) for place in loaded), name
            assert "eval(" not in text, name
            assert "http://" not in text.replace("http://www.w3.org/", ""), name
            assert "https://" not in text, name


def test_templates_hold_no_script_and_no_style() -> None:
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text()
        assert re.findall(r"\sstyle=|\son[a-z]+=|javascript:|\| *safe\b", text) == [], path.name
        for attributes, inside in re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL):
            assert "src=" in attributes or 'type="application/json"' in attributes, path.name
            assert not inside.strip() or 'type="application/json"' in attributes, path.name


def _loaded(server: Server, page: str) -> set[str]:
    """Return the files that a page loads: those that it names, and what their modules import."""
    found: set[str] = set()
    waiting = re.findall(rf"/static/{static.digest()}/([^\"#]+)\.(js|css)", page)
    names = [f"{name}.{end}" for name, end in waiting]
    while names:
        name = names.pop()
        if name in found:
            continue
        found.add(name)
        text = static.files()[name].read_text()
        folder = (static.FOLDER / name).parent
        told = re.findall(r"""(?:from|import\()\s*["'](\.{1,2}/[^"']+)["']""", text)
        names += [(folder / each).resolve().relative_to(static.FOLDER.resolve()).as_posix() for each in told]
    return found


@pytest.mark.parametrize("place", ["/", "experiment", "charts", "compare"])
def test_what_a_page_loads_is_within_its_budget(shown: tuple[Server, Shown], place: str) -> None:
    server, there = shown
    path = {
        "experiment": f"/experiments/{there.experiment}",
        "charts": f"/runs/{there.run}/charts",
        "compare": f"/compare?runs={there.run},{there.parent}&tab=scatter",
    }.get(place, place)
    files = _loaded(server, server.call("GET", path).body.decode())
    assert "js/boot.js" in files
    size = sum(len(gzip.compress(static.files()[name].read_bytes(), 9)) for name in files)
    assert size <= BUDGET, f"{path} loads {size} bytes"
    if place in ("/", "experiment"):
        assert not any("echarts" in name for name in files), "charts are loaded where there are some"


@pytest.mark.parametrize(("template", "first"), [("base.html", "boot"), ("charts.html", "charts")])
def test_modules_are_fetched_together(template: str, first: str) -> None:
    """What a module needs is named where it is: a browser that finds it only in the module asks later."""
    named = "".join(re.findall(r"{% for name in \((.*?)\) %}", (TEMPLATES / template).read_text()))
    needed, new = {first}, [first]
    while new:
        text = (static.FOLDER / "js" / f"{new.pop()}.js").read_text()
        found = set(re.findall(r'^import .* from "\./(\w+)\.js";$', text, re.MULTILINE)) - needed
        needed |= found
        new += found
    assert needed <= {first, *re.findall(r'"(\w+)"', named)}
