"""A real browser for tests of pages: Debian's Chromium, steered by Playwright; and what is wrong on a page."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

AXE = Path(__file__).parent / "axe-4.14.1" / "axe.min.js"
SHOTS = "TEST_SCREENSHOTS"
"""The variable that says where pictures of pages go."""

_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def why_not() -> str | None:
    """Return why there is no browser here; ``None`` if there is one."""
    if _program() is None:
        return "there is no Chromium here: apt-get install chromium"
    return None


def _program() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """Start a browser, and end it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = [*_QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=_program(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """A page that is shown, and what went wrong on it.

    Attributes:
        page: Playwright's page.
        base: The server's address.
        wrong: Errors of the console and of scripts, in their order.
    """

    page: Page
    base: str
    wrong: list[str] = field(default_factory=list)

    def refuse(self, dialog: Dialog) -> None:
        """Note that a script has opened a dialog, and close it."""
        self.wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def go(self, path: str) -> Page:
        """Show a page of the server."""
        self.page.goto(self.base + path)
        self.page.wait_for_load_state("load")
        return self.page

    def check(self) -> None:
        """Hold the page against the rules of accessibility, and the console against silence.

        Raises:
            AssertionError: Something serious is wrong.
        """
        serious = self.serious()
        assert serious == [], serious
        assert self.wrong == [], self.wrong

    def in_the_dark(self) -> list[tuple[str, str, list[str]]]:
        """Return what of the page is hard to read where the system is dark; then it is light again."""
        self.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found = self.serious("color-contrast")
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        return found

    def serious(self, *rules: str) -> list[tuple[str, str, list[str]]]:
        """Return what keeps somebody from using the page: each rule, how bad it is, and the first places.

        Args:
            rules: The only rules to hold the page against; none are all.
        """
        if not self.page.evaluate("typeof axe !== 'undefined'"):
            self.page.evaluate(AXE.read_text())
        found: Any = self.page.evaluate(
            """async (rules) => (await axe.run(document, {
                resultTypes: ['violations'], ...(rules.length ? {runOnly: rules} : {}),
            })).violations""",
            list(rules),
        )
        return [
            (each["id"], each["impact"], [node["html"][:160] for node in each["nodes"][:3]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    def shot(self, name: str) -> None:
        """Keep a picture of what is shown, if somebody wants it."""
        if folder := os.environ.get(SHOTS):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@contextlib.contextmanager
def look(browser: Browser, base: str, *, dark: bool = False, width: int = 1280, script: bool = True) -> Iterator[Seen]:
    """Open a page of a server.

    Args:
        browser: The browser.
        base: The server's address.
        dark: Whether the system is dark.
        width: Of the window, in pixels.
        script: Whether scripts run.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 850},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        bypass_csp=False,
    )
    context.set_default_timeout(120_000)
    page = context.new_page()
    seen = Seen(page=page, base=base)
    page.on(
        "console", lambda message: seen.wrong.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: seen.wrong.append(str(error)))
    page.on("dialog", seen.refuse)
    try:
        yield seen
    finally:
        context.close()
