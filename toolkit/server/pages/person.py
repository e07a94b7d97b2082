"""Who acts on a page: who logs in, else whom the form names; a browser remembers that name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from toolkit.errors import InvalidValue
from toolkit.registry.authors import author_of
from toolkit.registry.history import Author

if TYPE_CHECKING:
    from starlette.responses import Response

    from toolkit.registry.catalog import Catalog
    from toolkit.server.pages.asked import Asked

COOKIE = "toolkit_user"
_YEAR = 31_536_000


@dataclass(frozen=True, slots=True)
class Person:
    """Who looks at a page.

    Attributes:
        name: The name; empty where it is not known.
        logged_in: Whether a server in front, or this one, has it from a login: then no form may name another.
    """

    name: str
    logged_in: bool


def person_of(asked: Asked) -> Person:
    """Return who looks at a page, as far as it is known."""
    if user := author_of(asked.request.headers).user:
        return Person(user, logged_in=True)
    typed = asked.form.get("user", "").strip() if asked.request.method == "POST" else ""
    return Person(typed or unquote(asked.request.cookies.get(COOKIE, "")), logged_in=False)


def acting(asked: Asked, *, named: bool = False) -> Catalog:
    """Return the models, for a change that a form makes, with its reason.

    Args:
        asked: The request.
        named: Whether somebody must be named.

    Raises:
        InvalidValue: Nobody is, or a name or a reason is too long.
    """
    return asked.site.catalog.acting(author(asked, named=named))


def author(asked: Asked, *, named: bool = False) -> Author:
    """Return who sends a form, and why. Raises what `acting` does."""
    user = person_of(asked).name
    if named and not user:
        raise InvalidValue("it is written down who does this: say your name")
    return Author(user=user or None, reason=asked.form.get("reason", "").strip() or None).checked()


def remember(asked: Asked, answer: Response) -> Response:
    """Let the browser remember the name that a form gave."""
    if (name := asked.form.get("user", "").strip()) and not author_of(asked.request.headers).user:
        answer.set_cookie(
            COOKIE, quote(name[:256]), max_age=_YEAR, path=asked.site.prefix or "/", httponly=True, samesite="lax"
        )
    return answer
