"""What guards the moves of a toolkit server's registry: a `toolkit.registry.store.PromotionStore` over its API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from toolkit.errors import InvalidValue, NotFound
from toolkit.registry import names
from toolkit.registry import promotion_codec as codec
from toolkit.registry.authors import author_headers
from toolkit.registry.history import NOBODY, Author, Change, ChangeQuery, Held
from toolkit.registry.judging import Report
from toolkit.registry.promotion import NewRequest, Policy, Request, RequestQuery, Target
from toolkit.tracking.http_calls import Calls, part, understood
from toolkit.tracking.http_codec import page_in
from toolkit.tracking.records import Page
from toolkit.transport.client import HttpClient

_NUMBERS = range(1, 2**63)


class HttpPromotionStore:
    """A `PromotionStore` that is a server's. It is safe with threads and forks.

    Args:
        client: What speaks to the server; `close` leaves it open.
        author: Who changes things, and why.
    """

    def __init__(self, client: HttpClient, *, author: Author = NOBODY) -> None:
        self._client = client
        self._author = author
        self._calls = Calls(client, headers=author_headers(author))

    def acting(self, author: Author) -> HttpPromotionStore:
        """See `PromotionStore.acting`."""
        return HttpPromotionStore(self._client, author=author.checked())

    @understood
    def history(self, query: ChangeQuery) -> Page[Change]:
        """See `PromotionStore.history`."""
        told = self._calls.look("/registry/changes/search", asdict(query))
        return page_in(told, "changes", codec.change_in)

    @understood
    def held(self, name: str, time: int | None = None) -> Held:
        """See `PromotionStore.held`."""
        return codec.held_in(self._calls.get(f"{_model(name)}/held", time=time))

    @understood
    def rollback(self, name: str, target: Target, *, to: int | None = None) -> Sequence[Change]:
        """See `PromotionStore.rollback`."""
        body = {"target": str(target), "to": to}
        told = self._calls.write(f"{_model(name)}/rollback", body, repeat=False)
        return [codec.change_in(each) for each in told["changes"]]

    @understood
    def policies(self, name: str) -> Sequence[Policy]:
        """See `PromotionStore.policies`."""
        return [codec.policy_in(each) for each in self._calls.get(f"{_model(name)}/policies")["policies"]]

    @understood
    def set_policies(self, name: str, policies: Sequence[Policy]) -> Sequence[Policy]:
        """See `PromotionStore.set_policies`."""
        body = {"policies": [codec.policy_out(policy) for policy in policies]}
        told = self._calls.write(f"{_model(name)}/policies", body, method="PUT")
        return [codec.policy_in(each) for each in told["policies"]]

    @understood
    def check(self, name: str, version: int, target: Target) -> Report:
        """See `PromotionStore.check`."""
        path = _model(name)
        if version not in _NUMBERS:
            raise NotFound(f"Model Version (name={name}, version={version}) not found")
        return codec.report_in(self._calls.get(f"{path}/versions/{version}/gates", target=str(target)))

    @understood
    def request(self, new: NewRequest) -> Request:
        """See `PromotionStore.request`."""
        self._check_known("asks for it")
        told = self._calls.write("/registry/requests", codec.new_request_out(new), repeat=False)
        return codec.request_in(told)

    @understood
    def get_request(self, number: int) -> Request:
        """See `PromotionStore.get_request`."""
        return codec.request_in(self._calls.get(_request(number)))

    @understood
    def requests(self, query: RequestQuery) -> Page[Request]:
        """See `PromotionStore.requests`."""
        return page_in(self._calls.look("/registry/requests/search", asdict(query)), "requests", codec.request_in)

    def approve(self, number: int) -> Request:
        """See `PromotionStore.approve`."""
        self._check_known("approves it")
        return self._decide(number, "approve")

    def reject(self, number: int) -> Request:
        """See `PromotionStore.reject`."""
        self._check_known("rejects it")
        return self._decide(number, "reject")

    @understood
    def comment(self, number: int) -> Request:
        """See `PromotionStore.comment`."""
        self._check_known("says something to it")
        return codec.request_in(self._calls.write(f"{_request(number)}/comment", {}, repeat=False))

    def withdraw(self, number: int) -> Request:
        """See `PromotionStore.withdraw`."""
        self._check_known("withdraws it")
        return self._decide(number, "withdraw")

    @understood
    def _decide(self, number: int, how: str) -> Request:
        return codec.request_in(self._calls.write(f"{_request(number)}/{how}", {}))

    def _check_known(self, does: str) -> None:
        """Check that it is known who acts: a server would else go by who logs in.

        Raises:
            InvalidValue: It is not.
        """
        if not self._author.user:
            raise InvalidValue(f"a request needs a name, of who {does}: say who you are")

    def close(self) -> None:
        """Leave the client to who made it."""


def _model(name: str) -> str:
    names.check_name(name)
    return f"/registered-models/{part(name)}"


def _request(number: int) -> str:
    if number not in _NUMBERS:
        raise NotFound(f"there is no request {number}: toolkit registry requests lists them")
    return f"/registry/requests/{number}"
