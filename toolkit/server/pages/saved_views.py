"""Views of an experiment's runs that have a name. They are tags of the experiment, so everybody sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.responses import Response

from toolkit.errors import InvalidValue
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import redirect
from toolkit.server.pages.view import RunsView

PREFIX = "toolkit.view."
_LONGEST_NAME = 100
_LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view that has a name.

    Attributes:
        name: Its name.
        query: What stands behind the question mark of its address.
    """

    name: str
    query: str


def saved_in(tags: Mapping[str, str]) -> Sequence[SavedView]:
    """Return the views that an experiment's tags hold, by their names."""
    found = [SavedView(key[len(PREFIX) :], value) for key, value in tags.items() if key.startswith(PREFIX)]
    return sorted(found, key=lambda view: view.name.lower())


def act(asked: Asked) -> Response:
    """Save a view, or forget one."""
    experiment_id = asked.path["experiment_id"]
    name = asked.form.get("view", "").strip()
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise InvalidValue(f"a view's name has {len(name)} characters: wanted 1 to {_LONGEST_NAME}")
    place = asked.url("experiments", experiment_id)
    if asked.form.get("action") == "forget":
        asked.stores.runs.update_experiment(experiment_id, tags={PREFIX + name: None})
        return redirect(place, asked=asked)
    given = asked.form.get("query", "").removeprefix("?")
    if len(given) > _LONGEST:
        raise InvalidValue(f"the view has {len(given):,} characters: wanted at most {_LONGEST:,}")
    view = RunsView.read(parse_qsl(given), experiment_id)
    text = view.query(after=None).removeprefix("?")
    asked.stores.runs.update_experiment(experiment_id, tags={PREFIX + name: text or "q="})
    return redirect(f"{place}?{text}" if text else place, asked=asked)


PAGES = [("POST", "/experiments/{experiment_id}/views", act)]
