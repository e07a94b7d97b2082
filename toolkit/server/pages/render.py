"""Templates become pages: everything is escaped, and a name that is not there is an error, not an empty place."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

from toolkit.server.pages import markdown, numbers, static, times
from toolkit.server.pages.states import badge, icon, state_of

if TYPE_CHECKING:
    from jinja2 import Environment

    from toolkit.server.pages.asked import Asked

TEMPLATES = Path(__file__).parent.parent / "templates"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "object-src 'none'; frame-ancestors 'none'"
)
"""What a page may do: nothing of other hosts, and no script or style that stands in the page itself."""

HTMX = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
        "historyCacheSize": 0,
        "refreshOnHistoryMiss": True,
        "disableInheritance": True,
        "defaultSwapStyle": "outerHTML",
        "scrollBehavior": "instant",
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "304", "swap": False},
            {"code": "[23]..", "swap": True},
            {"code": "422", "swap": True},
            {"code": "[45]..", "swap": False, "error": True},
        ],
    }
)

NAVIGATION = (
    ("home", "Home", "house", ()),
    ("experiments", "Experiments", "flask-conical", ("experiments",)),
    ("workflows", "Workflows", "workflow", ("workflows",)),
    ("models", "Models", "box", ("models",)),
    ("deployments", "Deployments", "rocket", ("deployments",)),
)


@functools.cache
def environment(prefix: str = "") -> Environment:
    """Return what holds the templates, made once.

    Args:
        prefix: What stands in front of each path of the server.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - not before a page is asked for

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        metric=numbers.metric,
        integer=numbers.integer,
        size=numbers.size,
        rate=numbers.rate,
        relative=times.relative,
        absolute=times.absolute,
        iso=times.iso,
        duration=times.duration,
        markdown=markdown.html,
        short=lambda text, length=8: str(text)[:length],
    )
    made.globals.update(
        icon=functools.partial(icon, prefix=prefix),
        badge=functools.partial(badge, prefix=prefix),
        state_of=state_of,
        navigation=NAVIGATION,
        htmx_config=HTMX,
        now=times.now,
    )
    return made


def part(asked: Asked, template: str, /, **values: Any) -> str:  # noqa: ANN401 - whatever a template takes
    """Return the text that a template makes."""
    made = environment(asked.site.prefix).get_template(template)
    return sendable(made.render(asked=asked, url=asked.url, static=static.base(asked.site.prefix), **values))


def sendable(text: str) -> str:
    """Return a text that UTF-8 takes: JSON can tell of half a letter (a lone surrogate), which becomes ``?``."""
    return text.encode("utf-8", "replace").decode()


def page(
    asked: Asked,
    template: str,
    /,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,  # noqa: ANN401 - the same
) -> Response:
    """Return a page, or a part of one.

    Args:
        asked: The request.
        template: The template's name.
        status: Of the answer.
        headers: More of them.
        values: What the template takes.
    """
    text = part(asked, template, **values)
    sent = {
        "content-security-policy": POLICY,
        "cache-control": "private, no-cache",
        "vary": "HX-Request, Cookie",
        "referrer-policy": "same-origin",
        **(headers or {}),
    }
    if asked.is_part and asked.request.method == "GET" and status == 200:
        sent["etag"] = _mark(text)
        if asked.request.headers.get("if-none-match") == sent["etag"]:
            return Response(status_code=304, headers=sent)
    return HTMLResponse(text, status, sent)


_TIMES = re.compile(r"(<time[^>]* data-(?:time|since)=[^>]*>)[^<]*")


def _mark(text: str) -> str:
    """Return what stands for a part as it is now; how long ago something was does not change it: browsers tell that."""
    lasting = _TIMES.sub(r"\1", text)
    return f'"{hashlib.sha256(lasting.encode()).hexdigest()[:24]}"'


def redirect(place: str, *, asked: Asked | None = None) -> Response:
    """Return what sends a browser to another page after a form was taken."""
    if asked is not None and asked.is_part:
        return Response(status_code=204, headers={"hx-redirect": place})
    return Response(status_code=303, headers={"location": place})
