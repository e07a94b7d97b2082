"""Moves that need something, in a SQL database: a `toolkit.registry.store.PromotionStore`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Row

from toolkit.db.retry import cautious, persistent
from toolkit.errors import AlreadyExists, Conflict, InvalidValue, StoreBusy
from toolkit.registry import names, sql_gates, sql_history, sql_moves, sql_requests, sql_rollback, sql_versions
from toolkit.registry.checks import Findings, ModelChecks, Unseen, find
from toolkit.registry.history import Action, Author, Change, ChangeQuery, Held
from toolkit.registry.judging import Report
from toolkit.registry.promotion import NewRequest, Policy, Request, RequestQuery, RequestState, Target
from toolkit.registry.sql_acting import ActingSqlStore
from toolkit.registry.sql_history import Recorder
from toolkit.tracking.records import Page

T = TypeVar("T")
_TRIES = 5


def with_findings(checks: ModelChecks | None, work: Callable[[Findings | None], T]) -> T:
    """Do work of one transaction that may need to know what files say; they are read outside of it.

    Args:
        checks: Reads files; ``None``: nobody does.
        work: Opens the transaction, and raises `Unseen` in it if findings are missing.

    Raises:
        StoreBusy: The holder changed again and again meanwhile.
    """
    findings: Findings = {}
    for _ in range(_TRIES):
        try:
            return work(None if checks is None else findings)
        except Unseen as unseen:
            assert checks is not None
            findings |= {needed.key: find(checks, needed) for needed in unseen.needed}
    raise StoreBusy("the version to compare with changed again and again while files were read: try again")


class SqlPromotionStore(ActingSqlStore):
    """A `PromotionStore` in a SQL database; its arguments are those of `ActingSqlStore`."""

    # -- what was ------------------------------------------------------------------------------------

    @persistent
    def history(self, query: ChangeQuery) -> Page[Change]:
        """See `PromotionStore.history`."""
        with self._db.read() as connection:
            return sql_history.page(connection, query)

    @persistent
    def held(self, name: str, time: int | None = None) -> Held:
        """See `PromotionStore.held`."""
        names.check_name(name)
        with self._db.read() as connection:
            return sql_history.held(connection, name, 2**63 - 1 if time is None else time)

    @cautious
    def rollback(self, name: str, target: Target, *, to: int | None = None) -> Sequence[Change]:
        """See `PromotionStore.rollback`."""
        names.check_name(name)
        if not (self._author.reason or "").strip():
            raise InvalidValue(f"a rollback of {target} without a reason: say why")
        with self._db.write() as connection:
            model = sql_versions.find_model(connection, name, lock=True)
            record = Recorder(connection, model.id, name, self._author)
            return sql_rollback.roll_back(connection, model, target, to, record, self._dialect)

    # -- what moves need -----------------------------------------------------------------------------

    @persistent
    def policies(self, name: str) -> Sequence[Policy]:
        """See `PromotionStore.policies`."""
        names.check_name(name)
        with self._db.read() as connection:
            return sql_gates.policies(connection, sql_versions.find_model(connection, name).id)

    @persistent
    def set_policies(self, name: str, policies: Sequence[Policy]) -> Sequence[Policy]:
        """See `PromotionStore.set_policies`."""
        names.check_name(name)
        if len({policy.target for policy in policies}) != len(policies):
            raise InvalidValue(f"the gates of {name} name a stage or an alias twice")
        with self._db.write() as connection:
            model = sql_versions.find_model(connection, name, lock=True)
            record = Recorder(connection, model.id, name, self._author)
            for policy in policies:
                sql_gates.put_policy(connection, model.id, policy, record, self._dialect)
            return sql_gates.policies(connection, model.id)

    def check(self, name: str, version: int, target: Target) -> Report:
        """See `PromotionStore.check`."""
        names.check_name(name)

        def look(findings: Findings | None) -> Report:
            with self._db.read() as connection:
                row = sql_versions.find(connection, name, version)
                policy = sql_gates.policy_of(connection, row.model, target)
                return sql_gates.report(connection, name, row, policy, findings, self._dialect)

        return self._db.persist(lambda: with_findings(self._checks, look))

    # -- requests ------------------------------------------------------------------------------------

    def request(self, new: NewRequest) -> Request:
        """See `PromotionStore.request`."""
        author = self._somebody("asks for it")

        def ask(findings: Findings | None) -> Request:
            with self._db.write() as connection:
                number = self._ask(connection, new, author, findings)
                return sql_requests.get(connection, number, self._dialect)

        return self._db.persist(lambda: with_findings(self._checks, ask), in_doubt=False)

    def _ask(self, connection: Connection, new: NewRequest, author: Author, findings: Findings | None) -> int:
        row = sql_versions.find(connection, new.name, new.version, lock=True)
        what = f"{new.name}/{new.version}"
        if sql_moves.holds(connection, row, new.target):
            raise AlreadyExists(f"{what} has {new.target} already: nothing is to be asked for")
        if (there := sql_requests.pending(connection, row.id, new.target)) is not None:
            raise AlreadyExists(f"request {there} asks already that {what} takes {new.target}")
        policy = sql_gates.policy_of(connection, row.model, new.target)
        others = [name for name in policy.approvers if name != author.user]
        if policy.approvers and len(others) < policy.needed:
            raise Conflict(
                f"{policy.who()} must approve that {what} takes {new.target}, and nobody approves a request of their "
                f"own: somebody else than {author.user} must ask"
            )
        sql_gates.check(sql_gates.report(connection, new.name, row, policy, findings, self._dialect), new.target)
        number = sql_requests.add(connection, row, new, author)
        record = Recorder(connection, row.model, new.name, author, request=number)
        record.add(Action.REQUESTED, version=new.version, key=str(new.target))
        return number

    @persistent
    def get_request(self, number: int) -> Request:
        """See `PromotionStore.get_request`."""
        with self._db.read() as connection:
            return sql_requests.get(connection, number, self._dialect)

    @persistent
    def requests(self, query: RequestQuery) -> Page[Request]:
        """See `PromotionStore.requests`."""
        with self._db.read() as connection:
            model = None if query.name is None else sql_versions.find_model(connection, query.name).id
            return sql_requests.page(connection, query, model, self._dialect)

    def approve(self, number: int) -> Request:
        """See `PromotionStore.approve`."""
        author = self._somebody("approves it")

        def say_yes(findings: Findings | None) -> Request:
            with self._db.write() as connection:
                self._approve(connection, number, author, findings)
                return sql_requests.get(connection, number, self._dialect)

        return self._db.persist(lambda: with_findings(self._checks, say_yes))

    def _approve(self, connection: Connection, number: int, author: Author, findings: Findings | None) -> None:
        sql_requests.lock(connection, number)
        asked = sql_requests.get(connection, number, self._dialect)
        said = {approval.user for approval in asked.approvals}
        if asked.state is RequestState.DONE and author.user in said:
            return  # told again, by a client that did not hear the answer
        _check_pending(asked)
        _check_approver(asked, author)
        row = _version(connection, asked)
        record = Recorder(connection, row.model, asked.name, author, request=number)
        if sql_requests.approve(connection, number, author, self._dialect):
            record.add(Action.APPROVED, version=asked.version, key=str(asked.target))
            said.add(str(author.user))
        counted = said & set(asked.approvers) if asked.approvers else said
        if len(counted - {asked.user}) < asked.needed:
            return
        policy = sql_gates.policy_of(connection, row.model, asked.target)
        told = sql_gates.report(connection, asked.name, row, policy, findings, self._dialect)
        sql_gates.check(told, asked.target)
        sql_requests.close(connection, number, RequestState.DONE, author)
        why = Author(user=author.user, reason=asked.reason)
        moved = record.by(why, number)
        sql_moves.take(connection, row, asked.target, moved, self._dialect, archive=asked.archive_existing)

    @persistent
    def reject(self, number: int) -> Request:
        """See `PromotionStore.reject`."""
        author = self._somebody("rejects it")
        if not (author.reason or "").strip():
            raise InvalidValue(f"request {number} is rejected without a reason: say why")
        return self._close(number, RequestState.REJECTED, Action.REJECTED, author)

    @persistent
    def withdraw(self, number: int) -> Request:
        """See `PromotionStore.withdraw`."""
        return self._close(number, RequestState.WITHDRAWN, Action.WITHDRAWN, self._somebody("withdraws it"))

    def comment(self, number: int) -> Request:
        """See `PromotionStore.comment`."""
        author = self._somebody("says something to it")
        if not (author.reason or "").strip():
            raise InvalidValue(f"nothing is said to request {number}: say something")

        def say() -> Request:
            with self._db.write() as connection:
                sql_requests.lock(connection, number)
                asked = sql_requests.get(connection, number, self._dialect)
                row = _version(connection, asked)
                record = Recorder(connection, row.model, asked.name, author, request=number)
                record.add(Action.COMMENTED, version=asked.version, key=str(asked.target))
                return sql_requests.get(connection, number, self._dialect)

        return self._db.persist(say, in_doubt=False)

    def _close(self, number: int, state: RequestState, action: Action, author: Author) -> Request:
        with self._db.write() as connection:
            sql_requests.lock(connection, number)
            asked = sql_requests.get(connection, number, self._dialect)
            if (asked.state, asked.closed_by) == (state, author.user):
                return asked
            _check_pending(asked)
            if state is RequestState.REJECTED:
                _check_approver(asked, author)
            elif asked.user != author.user:
                raise Conflict(
                    f"request {number} is {asked.user}'s, not {author.user}'s, to withdraw: reject it, with a reason"
                )
            row = _version(connection, asked)
            sql_requests.close(connection, number, state, author)
            record = Recorder(connection, row.model, asked.name, author, request=number)
            record.add(action, version=asked.version, key=str(asked.target))
            return sql_requests.get(connection, number, self._dialect)

    def _somebody(self, does: str) -> Author:
        """Return the author.

        Raises:
            InvalidValue: It is not known who that is.
        """
        if not self._author.user:
            raise InvalidValue(f"a request needs a name, of who {does}: say who you are")
        return self._author

    def close(self) -> None:
        """Leave the database to who opened it."""


def _version(connection: Connection, asked: Request) -> Row[Any]:
    """Return the row of the version that a request is about.

    Raises:
        NotFound: It was deleted.
    """
    return sql_versions.find(connection, asked.name, asked.version)


def _check_pending(asked: Request) -> None:
    if asked.state is not RequestState.PENDING:
        by = f" by {asked.closed_by}" if asked.closed_by else ""
        raise Conflict(f"request {asked.id} is closed: it was {asked.state.value.lower()}{by}")


def _check_approver(asked: Request, author: Author) -> None:
    """Check that somebody may decide on a request.

    Raises:
        Conflict: It is their own, or others must.
    """
    what = f"that {asked.name}/{asked.version} takes {asked.target}"
    if author.user == asked.user:
        raise Conflict(
            f"{author.user} asked {what} (request {asked.id}), and nobody decides on a request of their own: "
            "somebody else must"
        )
    if asked.approvers and author.user not in asked.approvers:
        raise Conflict(f"{author.user} may not decide {what} (request {asked.id}): {', '.join(asked.approvers)} may")
