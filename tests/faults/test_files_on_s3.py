"""Files go to an S3 that fails, or is gone: the script notices nothing, and each file arrives as it was."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import scene
from chaos import ChaosProxy, Fault, chaos_proxy
from s3 import aws, bucket, s3_endpoint

__all__ = ["aws", "bucket", "s3_endpoint"]


@pytest.fixture
def proxy(aws: str) -> Iterator[ChaosProxy]:
    """What stands before S3."""
    with chaos_proxy("127.0.0.1", int(aws.rpartition(":")[2]), seed=scene.chance().randrange(2**32)) as made:
        yield made


@pytest.fixture
def remote(sqlite_stage: scene.Scene, proxy: ChaosProxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> scene.Scene:
    """A scene whose artifacts are on S3."""
    monkeypatch.setenv("TOOLKIT_S3_ENDPOINT_URL", proxy.address)
    monkeypatch.setenv("TOOLKIT_ARTIFACT_TIMEOUT", "5")
    sqlite_stage.artifacts = f"s3://{bucket}/runs"
    return sqlite_stage


def test_an_s3_that_fails_now_and_then_loses_no_file(remote: scene.Scene, proxy: ChaosProxy) -> None:
    """G4, G7, G8, G16. Refusals, connections that are cut, answers that are lost."""
    faults = [
        proxy.add(Fault(answer=503, chance=0.15, times=None)),
        proxy.add(Fault(method="PUT", cut_up=300, nth=2, times=2)),
        proxy.add(Fault(method="PUT", drop_answer=True, nth=6, times=2)),
    ]
    training = remote.train(scene.chance().randrange(10**6), "--no-reads", "--files", "0.4", "--count", "120")
    assert training.wait() == 0, training.stderr
    assert any(fault.happened for fault in faults)  # which of them is a matter of chance
    proxy.clear()
    if remote.unsent():
        remote.sync()
    assert remote.compare(left_open="FINISHED") == 120


def test_a_script_that_ends_at_once_has_sent_its_files(remote: scene.Scene, proxy: ChaosProxy) -> None:
    """What S3's client needs is closed when the interpreter ends: files are sent before that."""
    done = remote.script("with toolkit.start_run(): toolkit.log_text('hello', 'a.txt')")
    assert (done.returncode, done.stderr) == (0, "")
    assert not remote.unsent()
    assert proxy.count("PUT", "a.txt") == 1


def test_kill_9_while_files_are_under_way_loses_none(remote: scene.Scene, proxy: ChaosProxy) -> None:
    """G5, G7, G8. S3 is slow, then gone; the scripts are killed; `toolkit sync` brings the rest."""
    chance = scene.chance()
    proxy.add(Fault(delay=0.05, times=None))
    for seed in range(scene.rounds(3)):
        if seed == 2:
            proxy.clear()
            proxy.add(Fault(answer=500, times=None))
        training = remote.train(seed, "--no-reads", "--files", "0.4")
        training.until_more(40)
        time.sleep(chance.uniform(0, 0.5))
        training.kill()
    proxy.clear()
    remote.sync()
    assert remote.compare() >= 120
