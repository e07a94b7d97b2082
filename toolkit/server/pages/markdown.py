"""Notes and descriptions: Markdown becomes HTML that holds nothing but text, lists, tables and links."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LONGEST = 200_000
_TAGS = frozenset(
    "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong table tbody td th thead tr ul".split()
)


@functools.cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - not before a note is shown

    return MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])


def html(text: str) -> Markup:
    """Return Markdown as HTML. Links go to http, https and mail alone; pictures and scripts do not get through.

    Args:
        text: The Markdown.
    """
    import nh3  # noqa: PLC0415 - the same

    made = nh3.clean(
        _reader().render(text[:LONGEST]),
        tags=set(_TAGS),
        attributes={"a": {"href", "title"}},
        set_tag_attribute_values={"th": {"scope": "col"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
    return Markup(_lower_headings(made))  # noqa: S704 - cleaned above


def _lower_headings(text: str) -> str:
    """Return HTML whose headings stand below those of the page that it is in: a page has one title."""
    for level in range(4, 0, -1):
        text = text.replace(f"<h{level}>", f"<h{level + 2}>").replace(f"</h{level}>", f"</h{level + 2}>")
    return text
