"""What every run store promises about leases: whose silence means that a run is lost."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from toolkit.ids import now_ms
from toolkit.testing.runs import OWNER, add_run
from toolkit.tracking.records import RunStatus
from toolkit.tracking.store import RunStore

_SHORT = 30
_LONG = 600_000


def _wait_out() -> None:
    time.sleep(2 * _SHORT / 1000)


class LeaseContract:
    """Leases by the store's clock."""

    def test_candidates(self, store: RunStore) -> None:
        """Those whose lease is over, and those of the host that asks."""
        elsewhere = replace(OWNER, host="host-b")
        mine = add_run(store, owner=OWNER, lease_ms=_LONG).info.run_id
        theirs = add_run(store, owner=elsewhere, lease_ms=_LONG).info.run_id
        silent = add_run(store, owner=elsewhere, lease_ms=_SHORT).info.run_id
        eternal = add_run(store, owner=elsewhere).info.run_id
        unwatched = add_run(store).info.run_id
        remote = add_run(store, lease_ms=_SHORT).info.run_id
        _wait_out()
        assert set(store.lost_candidates("host-a")) == {
            (mine, OWNER, False),
            (silent, elsewhere, True),
            (remote, None, True),
        }
        assert {run_id for run_id, _, _ in store.lost_candidates("host-b")} == {theirs, silent, eternal, remote}
        assert unwatched not in {run_id for run_id, _, _ in store.lost_candidates("host-b")}

    def test_renewing(self, store: RunStore) -> None:
        """A renewed lease holds; runs that have ended, or are not there, are not renewed."""
        alive, ended = (add_run(store, owner=OWNER, lease_ms=_SHORT).info.run_id for _ in range(2))
        store.update_run(ended, status=RunStatus.FINISHED)
        assert list(store.renew_leases(OWNER, [alive, ended, "0" * 32], lease_ms=_LONG)) == [alive]
        assert list(store.renew_leases(OWNER, [], lease_ms=_LONG)) == []
        _wait_out()
        assert store.lost_candidates("host-a") == [(alive, OWNER, False)]
        assert store.lost_candidates("elsewhere") == []

    def test_who_renews_answers_for_it(self, store: RunStore) -> None:
        """A run that another process resumes is not lost with the first one."""
        run_id = add_run(store, owner=OWNER, lease_ms=_LONG).info.run_id
        store.update_run(run_id, status=RunStatus.KILLED)
        store.update_run(run_id, status=RunStatus.RUNNING)
        assert store.lost_candidates("host-a") == []
        successor = replace(OWNER, pid=4712)
        assert list(store.renew_leases(successor, [run_id], lease_ms=_LONG)) == [run_id]
        assert store.lost_candidates("host-a") == [(run_id, successor, False)]

    def test_marking(self, store: RunStore) -> None:
        """Once, and only a run that runs; what it logs afterwards is kept and does not revive it."""
        run_id = add_run(store, owner=OWNER, lease_ms=_LONG).info.run_id
        assert store.mark_lost(run_id, "heartbeat_lost", owner=OWNER, expired=False) is True
        assert store.mark_lost(run_id, "again", owner=OWNER, expired=False) is False
        lost = store.get_run(run_id).info
        assert (lost.status, lost.reason) == (RunStatus.FAILED, "heartbeat_lost")
        assert lost.end_time is not None
        assert abs(lost.end_time - now_ms()) < 60_000
        assert store.lost_candidates("host-a") == []
        assert list(store.renew_leases(OWNER, [run_id], lease_ms=_LONG)) == []
        store.log_batch(run_id, params={"late": "1"})
        late = store.get_run(run_id)
        assert (late.info, late.data.params) == (lost, {"late": "1"})

    def test_who_gives_a_sign_of_life_is_not_lost(self, store: RunStore) -> None:
        """Not even in the moment between looking for what is lost and marking it."""
        elsewhere = replace(OWNER, host="host-b")
        late, silent, nobodys = (
            add_run(store, owner=owner, lease_ms=_SHORT).info.run_id for owner in (elsewhere, elsewhere, None)
        )
        _wait_out()
        seen = store.lost_candidates("host-a")
        assert set(seen) == {(late, elsewhere, True), (silent, elsewhere, True), (nobodys, None, True)}
        store.renew_leases(elsewhere, [late], lease_ms=_LONG)
        marked = {run_id: store.mark_lost(run_id, "lost", owner=owner, expired=True) for run_id, owner, _ in seen}
        assert marked == {late: False, silent: True, nobodys: True}
        assert store.get_run(late).info.status is RunStatus.RUNNING
        assert store.mark_lost(late, "lost", owner=elsewhere, expired=False) is True

    def test_a_run_that_somebody_else_took_over_is_not_lost(self, store: RunStore) -> None:
        """The first process is gone, but another one has resumed its run by now."""
        run_id = add_run(store, owner=OWNER, lease_ms=_LONG).info.run_id
        store.renew_leases(replace(OWNER, pid=4712), [run_id], lease_ms=_LONG)
        for owner in (OWNER, None):
            assert store.mark_lost(run_id, "lost", owner=owner, expired=False) is False
        assert store.get_run(run_id).info.status is RunStatus.RUNNING

    @pytest.mark.parametrize("skew", [-86_400, 86_400])
    def test_the_callers_clock_does_not_matter(
        self, store: RunStore, skew: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client whose clock is a day off neither loses its run nor keeps it alive for ever."""
        if not self.clock_of_its_own:
            pytest.skip("this store has no other clock than its process's")
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + skew * 10**9)
        live = add_run(store, owner=OWNER, lease_ms=_LONG).info.run_id
        silent = add_run(store, owner=OWNER, lease_ms=_SHORT).info.run_id
        _wait_out()
        assert set(store.lost_candidates("host-a")) == {(live, OWNER, False), (silent, OWNER, True)}

    clock_of_its_own = True
    """Whether the store tells leases by another clock than ``time.time_ns`` of this process."""
