"""The ``git`` program, called so that it runs nothing of a repository, asks nobody, and speaks to whom we say only.

Whatever comes from a user or from a repository stands behind ``--`` or has been checked to be no option. A name and a
password reach git by its environment: they are in no argument, which every user of the machine could read, and in no
file.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from toolkit import settings

HARDENED: Mapping[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "protocol.ext.allow": "never",
    "protocol.fd.allow": "never",
}
"""Settings of git for each call."""

_PATIENCE: Mapping[str, str] = {"http.lowSpeedLimit": "1", "http.lowSpeedTime": "120"}
"""A web server that sends nothing for so many seconds is given up."""

REMOTE = ("https", "http", "ssh", "git")
"""Protocols by which repositories, and their submodules, are fetched from elsewhere."""

NOT_HERE: Mapping[str, str | None] = dict.fromkeys(
    # Set while a hook runs, they would point at another repository than the one asked about.
    ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"),
)

_ASKING: Mapping[str, str | None] = {
    **NOT_HERE,
    "GIT_TERMINAL_PROMPT": "0",
    "GCM_INTERACTIVE": "never",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_TEMPLATE_DIR": "",
    "LC_ALL": "C",
}


class GitMissing(Exception):
    """There is no ``git`` program. Raised and caught in this package only."""


class GitFailed(Exception):
    """Git ended with an error; the message is git's own, without secrets. Raised and caught in this package only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """How git is called.

    Attributes:
        protocols: By which it may fetch; none: it stays on this machine's disk.
        rewrites: Addresses that begin with a key are taken to begin with the value: how a login comes in.
        secrets: Texts that no message may hold.
    """

    protocols: Sequence[str] = ()
    rewrites: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)

    def run(self, *arguments: str, directory: Path | None = None, timeout: float = 3600.0) -> str:
        """Run a command and return what it prints.

        Args:
            arguments: Of git. What is not a literal stands behind ``--``, or cannot begin with a dash.
            directory: The repository.
            timeout: Seconds after which it is ended.

        Raises:
            GitFailed: It ended with an error, or not in time.
            GitMissing: There is no ``git``.
        """
        place = () if directory is None else ("-C", str(directory))
        try:
            process = subprocess.Popen(
                ["git", *place, *arguments],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # no terminal: ssh cannot ask; and its helpers end with it
            )
        except FileNotFoundError:
            raise GitMissing from None
        with process:
            try:
                output, complaint = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                raise GitFailed(f"timed out: git did not come to an end in {timeout:.0f} s") from None
            finally:
                if process.poll() is None:  # interrupted, too
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            text = complaint.decode(errors="replace").strip()
            raise GitFailed(self._scrubbed(text) or f"git ended with {process.returncode}")
        return output.decode("utf-8", "surrogateescape")

    def _environment(self) -> dict[str, str]:
        variables = settings.environment(**_ASKING, GIT_ALLOW_PROTOCOL=":".join(self.protocols) or "none")
        entries = [*HARDENED.items(), *_PATIENCE.items(), *self._logins()]
        first = variables.get("GIT_CONFIG_COUNT", "")
        count = int(first) if first.isdigit() else 0
        for number, (key, value) in enumerate(entries, start=count):
            variables[f"GIT_CONFIG_KEY_{number}"] = key
            variables[f"GIT_CONFIG_VALUE_{number}"] = value
        variables["GIT_CONFIG_COUNT"] = str(count + len(entries))
        return variables

    def _logins(self) -> Iterator[tuple[str, str]]:
        for address, meant in self.rewrites.items():
            yield f"url.{meant}.insteadOf", address

    def _scrubbed(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text
