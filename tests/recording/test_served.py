"""The stores that a server's address opens: through it, or where it says that artifacts are."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from process import server_process
from server import serving

from toolkit.artifacts.proxy import ProxyArtifactStore
from toolkit.errors import InvalidSetting, StoreError
from toolkit.recording.stores import Stores
from toolkit.settings import load
from toolkit.testing.runs import add_run
from toolkit.wiring.opened import open_stores, settings_database


def opened(home: Path, url: str, **more: object) -> Stores:
    return open_stores(load().model_copy(update={"home": home, "tracking_uri": url, **more}))


def kept(stores: Stores) -> tuple[str, str]:
    """Store a file of a new run; return where the run says that it is, and what is read back."""
    info = add_run(stores.runs).info
    place = stores.artifacts_of(info)
    place.store.put_stream(place.key("a/b.txt"), io.BytesIO(b"hello"))
    with place.store.open(place.key("a/b.txt")) as stream:
        return info.artifact_uri, stream.read().decode()


def test_artifacts_go_through_the_server(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        stores = opened(tmp_path / "client", server.url)
        assert isinstance(stores.artifacts, ProxyArtifactStore)
        uri, content = kept(stores)
        stores.close()
        assert (uri[:20], content) == ("mlflow-artifacts:/0/", "hello")
        (file,) = server.artifacts.glob("**/b.txt")
        assert file.read_text() == "hello"
    assert not (tmp_path / "client" / "toolkit.db").exists()


def test_artifacts_are_where_the_server_says(tmp_path: Path) -> None:
    """Its clients use that place themselves."""
    with serving(tmp_path / "server", serve_artifacts=False, artifact_root=str(tmp_path / "shared")) as server:
        stores = opened(tmp_path / "client", server.url)
        uri, content = kept(stores)
        stores.close()
    assert uri.startswith((tmp_path / "shared").as_uri())
    assert content == (tmp_path / "shared" / uri.partition("shared/")[2] / "a" / "b.txt").read_text() == "hello"


def test_artifacts_may_be_kept_elsewhere_by_a_client(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        stores = opened(tmp_path / "client", server.url, artifact_root=str(tmp_path / "mine"))
        assert stores.artifact_root == (tmp_path / "mine").as_uri()
        stores.close()


def test_a_server_is_no_database(tmp_path: Path) -> None:
    settings = load().model_copy(update={"home": tmp_path, "tracking_uri": "https://ada:sesame@host:5000"})
    with pytest.raises(InvalidSetting, match="names a server") as error:
        settings_database(settings)
    assert "sesame" not in str(error.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make a certificate with")
def test_tls(tmp_path: Path) -> None:
    """A certificate is checked, against the authorities that are named; or not, where that is said."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    options = ("--ssl-keyfile", str(key), "--ssl-certfile", str(certificate))
    with server_process(tmp_path / "server", *options) as server:
        assert server.url.startswith("https://")
        with pytest.raises(StoreError, match="its certificate is not trusted"):
            opened(tmp_path / "client", server.url)
        for more in ({"tracking_server_cert_path": str(certificate)}, {"tracking_insecure_tls": True}):
            stores = opened(tmp_path / "client", server.url, **more)
            assert kept(stores)[1] == "hello"
            stores.close()
        with pytest.raises(InvalidSetting, match="cannot be used"):
            opened(tmp_path / "client", server.url, tracking_server_cert_path=str(tmp_path / "nope.pem"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_children_after_a_fork_have_connections_of_their_own(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        stores = opened(tmp_path / "client", server.url)
        runs = [add_run(stores.runs).info.run_id for _ in range(4)]
        children = []
        for run_id in runs:
            if (child := os.fork()) == 0:
                stores.runs.log_batch(run_id, tags={"child": run_id})
                os._exit(0 if stores.runs.get_run(run_id).data.tags["child"] == run_id else 1)
            children.append(child)
            stores.runs.log_batch(run_id, tags={"parent": run_id})
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
        for run_id in runs:
            tags = stores.runs.get_run(run_id).data.tags
            assert (tags["child"], tags["parent"]) == (run_id, run_id)
        stores.close()
