"""S3 behind a network and a service that fail: what is tried again, what is refused at once, and what never shows."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chaos import ChaosProxy, Fault, chaos_proxy, wait_until
from s3 import Boto, boto

from toolkit.artifacts.remote import RemoteArtifactStore
from toolkit.artifacts.s3 import S3Objects
from toolkit.artifacts.s3_options import S3Options
from toolkit.errors import ArtifactCorrupt, ArtifactError, ArtifactUnavailable, InvalidSetting, InvalidValue, NotFound
from toolkit.testing.artifact_store import keys, put, read, sha256

MB = 1 << 20
SMALL = bytes(range(256)) * 5_000  # 1.28 MB: one PUT
LARGE = random.Random(7).randbytes(20 * MB + 12_345)  # three parts


@pytest.fixture
def proxy(aws: str) -> Iterator[ChaosProxy]:
    address = urlsplit(aws)
    assert address.hostname is not None
    assert address.port is not None
    with chaos_proxy(address.hostname, address.port) as proxy:
        yield proxy


@pytest.fixture
def s3(aws: str) -> Boto:
    """What others do to the bucket."""
    return boto(aws)


Make = Callable[..., RemoteArtifactStore]


@pytest.fixture
def make(bucket: str, proxy: ChaosProxy) -> Iterator[Make]:
    """Makes stores behind the proxy."""
    made: list[RemoteArtifactStore] = []

    def store(*, name: str = bucket, **options: object) -> RemoteArtifactStore:
        said: dict[str, object] = {"endpoint_url": proxy.address, "timeout": 8.0, **options}
        made.append(RemoteArtifactStore(f"s3://{name}/root", "root", S3Objects(name, S3Options(**said))))  # type: ignore[arg-type]
        return made[-1]

    yield store
    for each in made:
        each.close()


@pytest.fixture
def store(make: Make) -> RemoteArtifactStore:
    return make()


def uploads(s3: Boto, bucket: str) -> list[str]:
    """The keys of uploads that were begun and neither finished nor aborted."""
    return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


# -- tried again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503])
def test_failures_of_the_service_are_tried_again(store: RemoteArtifactStore, proxy: ChaosProxy, status: int) -> None:
    for method in ("PUT", "GET", "HEAD", "DELETE"):
        proxy.add(Fault(answer=status, times=3, method=method))
    put(store, "x", SMALL)
    assert read(store, "x") == SMALL
    assert keys(store, "x") == ["x"]
    store.delete("x")
    assert keys(store) == []
    assert proxy.count("PUT", "/root/x") == 4


def test_each_part_is_tried_again_by_itself(
    store: RemoteArtifactStore, proxy: ChaosProxy, s3: Boto, bucket: str
) -> None:
    faults = [
        proxy.add(Fault(answer=500, method="POST", path="uploads")),
        proxy.add(Fault(answer=503, method="PUT", path="partNumber=1")),
        proxy.add(Fault(cut_up=3 * MB, method="PUT", path="partNumber=2")),
        proxy.add(Fault(drop_answer=True, method="PUT", path="partNumber=3")),
        proxy.add(Fault(answer=500, method="POST", path="uploadId")),
    ]
    stored = put(store, "x", LARGE)
    assert [fault.happened for fault in faults] == [1] * 5
    assert (stored.size, stored.sha256) == (len(LARGE), sha256(LARGE))
    assert read(store, "x") == LARGE
    assert [proxy.count("PUT", f"partNumber={number}") for number in (1, 2, 3)] == [2, 2, 2]
    assert uploads(s3, bucket) == []


@pytest.mark.parametrize("cut", [0, 1, MB, len(SMALL)])
def test_an_upload_that_is_cut_is_sent_again(store: RemoteArtifactStore, proxy: ChaosProxy, cut: int) -> None:
    put(store, "x", b"old")
    fault = proxy.add(Fault(cut_up=cut, method="PUT", times=2))
    put(store, "x", SMALL)
    assert fault.happened == 2
    assert read(store, "x") == SMALL


@pytest.mark.parametrize("cut", [0, 1, 400, MB, 19 * MB])
def test_a_download_that_is_cut_goes_on(
    store: RemoteArtifactStore, proxy: ChaosProxy, tmp_path: Path, cut: int
) -> None:
    put(store, "x", LARGE)
    fault = proxy.add(Fault(cut_down=cut, method="GET", times=3))
    store.get_file("x", tmp_path / "copy", sha256=sha256(LARGE))
    assert fault.happened >= 2  # a reset also takes away what was on its way, so it may be one more
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_lost_answer_to_the_last_request_is_no_failure(
    store: RemoteArtifactStore, proxy: ChaosProxy, s3: Boto, bucket: str
) -> None:
    """S3 has put the parts together, and knows no such upload any more when it is asked again."""
    fault = proxy.add(Fault(drop_answer=True, method="POST", path="uploadId"))
    put(store, "x", LARGE)
    assert fault.happened == 1
    assert read(store, "x") == LARGE
    assert uploads(s3, bucket) == []


def test_a_connection_that_says_nothing_is_given_up_and_made_again(make: Make, proxy: ChaosProxy) -> None:
    store = make(timeout=3.0)
    fault = proxy.add(Fault(hang=True, method="PUT"))
    put(store, "x", b"content")
    assert fault.happened == 1
    assert read(store, "x") == b"content"


# -- given up --------------------------------------------------------------------------------------


def test_a_service_that_stays_away_is_given_up(make: Make, proxy: ChaosProxy, bucket: str, tmp_path: Path) -> None:
    put(make(), "there", SMALL)
    store = make(timeout=1.0)
    proxy.add(Fault(answer=503, times=None))
    calls: list[Callable[[], object]] = [
        lambda: put(store, "x", SMALL),
        lambda: read(store, "there"),
        lambda: store.get_file("there", tmp_path / "copy"),
        lambda: keys(store),
        lambda: store.delete("there"),
    ]
    for call in calls:
        with pytest.raises(ArtifactUnavailable, match=rf"s3://{bucket}.*SlowDown.*tried \d+ times within 1 s"):
            call()
    assert list(tmp_path.iterdir()) == []
    proxy.clear()
    assert keys(store) == ["there"]


def test_nobody_listens(make: Make, bucket: str) -> None:
    store = make(endpoint_url="http://127.0.0.1:9", timeout=6.0)
    with pytest.raises(ArtifactUnavailable, match=f"s3://{bucket}/root/x: S3 cannot be reached; tried"):
        put(store, "x")


def test_half_open_connections_are_given_up(make: Make, proxy: ChaosProxy) -> None:
    store = make(timeout=1.0)
    proxy.add(Fault(hang=True, times=None))
    with pytest.raises(ArtifactUnavailable, match="S3 did not answer in time"):
        put(store, "x", b"small")


def test_an_upload_that_fails_is_aborted_and_never_shows(make: Make, proxy: ChaosProxy, s3: Boto, bucket: str) -> None:
    store = make(timeout=3.0)
    put(make(), "x", b"old")
    fault = proxy.add(Fault(answer=500, times=None, method="PUT", path="partNumber=3"))
    with pytest.raises(ArtifactUnavailable):
        put(store, "x", LARGE)
    assert fault.happened > 1
    assert uploads(s3, bucket) == []
    assert read(store, "x") == b"old"


def test_a_source_that_fails_in_the_middle_publishes_nothing(store: RemoteArtifactStore, s3: Boto, bucket: str) -> None:
    """fsspec's own files would complete the upload with what there is."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 17 * MB:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        store.put_stream("x", Broken(LARGE))
    assert keys(store) == []
    assert uploads(s3, bucket) == []


def test_a_download_that_is_given_up_leaves_the_target(make: Make, proxy: ChaosProxy, tmp_path: Path) -> None:
    put(make(), "x", LARGE)
    store = make(timeout=3.0)
    target = tmp_path / "copy"
    target.write_bytes(b"before")
    proxy.add(Fault(cut_down=3 * MB, method="GET"))
    proxy.add(Fault(cut_down=0, method="GET", nth=1, times=None))
    with pytest.raises(ArtifactUnavailable):
        store.get_file("x", target)
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


# -- refused at once -------------------------------------------------------------------------------


def refusing(proxy: ChaosProxy, status: int, code: str) -> None:
    """Let S3 answer with an error."""
    from chaos import _BODIES

    _BODIES[status] = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>canary</Message></Error>".encode()
    proxy.add(Fault(answer=status, times=None))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "access is denied (AccessDenied): see the permissions"),
        (403, "InvalidAccessKeyId", "S3 does not accept the credentials (InvalidAccessKeyId)"),
        (403, "SignatureDoesNotMatch", "S3 does not accept the credentials (SignatureDoesNotMatch)"),
        (400, "ExpiredToken", "the credentials for S3 have expired (ExpiredToken): renew them"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region (AuthorizationHeaderMalformed)"),
        (403, "RequestTimeTooSkewed", "the clock of this machine is too far off"),
        (400, "EntityTooLarge", "S3 refuses: EntityTooLarge: canary"),
    ],
)
def test_refusals_are_told_at_once(
    store: RemoteArtifactStore, proxy: ChaosProxy, bucket: str, status: int, code: str, words: str
) -> None:
    refusing(proxy, status, code)
    with pytest.raises(ArtifactError) as error:
        put(store, "dir/x", SMALL)
    assert not isinstance(error.value, ArtifactUnavailable)
    assert f"s3://{bucket}/root/dir/x: {words}" in str(error.value)
    assert "canary-secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert proxy.count("PUT") == 1


def test_a_bucket_that_is_not_there(make: Make, proxy: ChaosProxy) -> None:
    store = make(name="no-such-bucket")
    for call in (lambda: put(store, "x"), lambda: read(store, "x"), lambda: keys(store), lambda: store.delete("x")):
        with pytest.raises(ArtifactError, match="there is no bucket 'no-such-bucket'") as error:
            call()
        assert not isinstance(error.value, ArtifactUnavailable)
    assert len(proxy.requests) == 4


def test_no_credentials(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ArtifactError, match="there are no credentials for S3: set AWS_ACCESS_KEY_ID") as error:
        put(make(), "x")
    assert not isinstance(error.value, ArtifactUnavailable)


def test_an_endpoint_that_is_no_address(make: Make) -> None:
    with pytest.raises(InvalidSetting, match="S3 cannot be used as it is set up"):
        put(make(endpoint_url="not an address"), "x")


def test_keys_that_are_too_long_with_the_prefix(store: RemoteArtifactStore) -> None:
    with pytest.raises(InvalidValue, match="longer than S3 allows: 1024 bytes with the root's prefix"):
        put(store, "x" * 1_024)


# -- what others do --------------------------------------------------------------------------------


def test_what_was_changed_behind_us_is_found_out(
    store: RemoteArtifactStore, s3: Boto, bucket: str, tmp_path: Path
) -> None:
    put(store, "x", b"content")
    s3.put_object(Bucket=bucket, Key="root/x", Body=b"c0ntent")
    with pytest.raises(ArtifactCorrupt, match="was changed or damaged"):
        store.get_file("x", tmp_path / "copy", sha256=sha256(b"content"))
    s3.delete_object(Bucket=bucket, Key="root/x")
    with pytest.raises(NotFound, match="No such artifact: 'x'"):
        store.get_file("x", tmp_path / "copy", sha256=sha256(b"content"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_two_versions_are_never_mixed(
    store: RemoteArtifactStore, proxy: ChaosProxy, s3: Boto, bucket: str, change: str
) -> None:
    """A download is cut, and what it asks the rest of is another object by then."""
    put(store, "x", LARGE)
    proxy.add(Fault(cut_down=3 * MB, method="GET", polite=True))
    with store.open("x") as stream:
        begun = stream.read(MB)
        if change == "replaced":
            s3.put_object(Bucket=bucket, Key="root/x", Body=LARGE[::-1])
        else:
            s3.delete_object(Bucket=bucket, Key="root/x")
        with pytest.raises(ArtifactError, match=f"was {change} while it was read"):
            begun += stream.read()
    assert LARGE.startswith(begun)


def test_objects_of_others_are_no_artifacts(store: RemoteArtifactStore, s3: Boto, bucket: str) -> None:
    """Folder markers, other prefixes, keys that no artifact can have."""
    for key in ("root/", "root/dir/", "root2/x", "rooty", "root/../x", "root/.staging/x", "root/a//b", "root/fine"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert keys(store) == ["fine"]


def test_two_who_upload_one_path_in_parts(make: Make) -> None:
    contents = [bytes([65 + number]) * (9 * MB) for number in range(2)]
    start = threading.Barrier(2)

    def upload(content: bytes) -> None:
        store = make()
        start.wait()
        put(store, "x", content)

    threads = [threading.Thread(target=upload, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(make(), "x") in contents


# -- processes -------------------------------------------------------------------------------------

UPLOADER = """
import sys
from pathlib import Path
from toolkit.artifacts.location import StoreOptions, open_artifact_store
from toolkit.artifacts.s3_options import S3Options
store = open_artifact_store(sys.argv[1], StoreOptions(s3=S3Options(endpoint_url=sys.argv[2])))
store.put_file("x", Path(sys.argv[3]))
"""


def test_killed_uploaders_leave_nothing_that_shows(
    store: RemoteArtifactStore, proxy: ChaosProxy, s3: Boto, bucket: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    proxy.add(Fault(hang=True, times=None, method="PUT", path="partNumber=3"))
    child = subprocess.Popen([sys.executable, "-c", UPLOADER, store.root, proxy.address, str(source)])
    wait_until(lambda: proxy.count("PUT", "partNumber=3") > 0, 60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    proxy.clear()
    assert keys(store) == []
    assert uploads(s3, bucket) == ["root/x"]
    assert store.clear_staging(older_than=100 * 365 * 86_400) == 0  # moto's uploads all began in 2010
    assert store.clear_staging(older_than=-1, remove=False) == 1
    assert store.clear_staging(older_than=-1) == 1
    assert uploads(s3, bucket) == []


def test_a_forked_child_has_connections_of_its_own(store: RemoteArtifactStore) -> None:
    put(store, "parent", b"from the parent")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            put(store, "child", read(store, "parent"))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert read(store, "child") == b"from the parent"
    put(store, "parent", b"goes on")


# -- the oracle ------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, 1], ids=["random", "1"])
def test_what_was_acknowledged_is_there(
    make: Make, proxy: ChaosProxy, s3: Boto, bucket: str, given: int | None
) -> None:
    """A random script under faults of all kinds; then the acknowledged end of each key is compared with the bucket."""
    seed = random.SystemRandom().randrange(10**6) if given is None else given
    print(f"seed {seed}")
    draw = random.Random(seed)
    store = make(timeout=4.0)
    chances = [
        Fault(answer=503, chance=0.08, times=None),
        Fault(answer=500, chance=0.05, times=None),
        Fault(drop_answer=True, chance=0.05, times=None),
        Fault(cut_up=draw.choice([0, 1, 5_000, MB]), chance=0.05, times=None, method="PUT"),
        Fault(cut_down=draw.choice([0, 1, 300, 5_000]), chance=0.05, times=None),
    ]
    for fault in chances:
        proxy.add(fault)
    known: dict[str, set[str | None]] = {}  # digests that a key may have; None: not there
    for _ in range(40):
        key = f"dir/{draw.randrange(8)}"
        before = known.get(key, {None})
        if draw.random() < 0.75:
            size = draw.choice([0, 1, 100, 70_000, 9 * MB]) if draw.random() < 0.9 else 9 * MB
            content = draw.randbytes(size)
            try:
                known[key] = {put(store, key, content).sha256}
            except ArtifactUnavailable:
                known[key] = before | {hashlib.sha256(content).hexdigest()}
        else:
            try:
                store.delete(key)
                known[key] = {None}
            except ArtifactUnavailable:
                known[key] = before | {None}
    assert sum(fault.happened for fault in chances) > 5
    proxy.clear()
    there = {}
    for stored in store.list():
        content = read(store, stored.key)
        assert len(content) == stored.size
        there[stored.key] = sha256(content)
    for key, digests in known.items():
        assert there.pop(key, None) in digests, (seed, key)
    assert there == {}
    left = uploads(s3, bucket)  # begun where the answer was lost, or not aborted as that failed too
    assert store.clear_staging(older_than=0) == len(left)
    assert uploads(s3, bucket) == []


# -- amounts ---------------------------------------------------------------------------------------


def test_lists_are_read_in_pages(store: RemoteArtifactStore, proxy: ChaosProxy, s3: Boto, bucket: str) -> None:
    names = [f"many/{number:04}" for number in range(2_100)]
    threads = [
        threading.Thread(
            target=lambda part: [s3.put_object(Bucket=bucket, Key=f"root/{name}", Body=b"") for name in part],
            args=(names[start::4],),
        )
        for start in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.clear()
    assert keys(store) == names
    assert proxy.count("GET") == 3


MEASURED = """
import resource, sys, hashlib
from pathlib import Path
from toolkit.artifacts.location import StoreOptions, open_artifact_store
from toolkit.artifacts.s3_options import S3Options
store = open_artifact_store(sys.argv[1], StoreOptions(s3=S3Options(endpoint_url=sys.argv[2])))
source, copy = Path(sys.argv[3]), Path(sys.argv[4])
small = source.with_name("small")
small.write_bytes(b"x" * 1000)
store.put_file("small", small)
store.get_file("small", copy)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stored = store.put_file("big", source)
store.get_file("big", copy, sha256=stored.sha256)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, stored.size)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(store: RemoteArtifactStore, aws: str, tmp_path: Path) -> None:
    """moto keeps everything in its own memory, so 256 MB here; the local store has its test with 1 GB."""
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(256 * MB)
    command = [sys.executable, "-c", MEASURED, store.root, aws, str(source), str(tmp_path / "copy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=150)
    kilobytes, size = map(int, done.stdout.split())
    assert size == 256 * MB
    print(f"grew by {kilobytes} kB")
    assert kilobytes < 64 * 1024
