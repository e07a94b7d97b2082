"""Samples of this machine's services are moved to the artifact store: a process for it whenever there are some.

It is a process of its own, for the supervisor is to stay small, and is not to wait for a store that does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from toolkit.deployments import samples
from toolkit.settings import environment

logger = logging.getLogger("toolkit.deployments")

EVERY = 60.0
"""Seconds between two looks."""
PATIENCE = 120.0
"""Seconds that it gets; what is not moved by then stays until the next time."""


async def keep(home: Path, told: Callable[[], Mapping[str, str]]) -> None:
    """Collect samples from time to time, until cancelled.

    Args:
        home: Toolkit's home.
        told: Returns the variables that say where the store is.
    """
    while True:
        await asyncio.sleep(EVERY)
        await collect(home, told())


async def collect(home: Path, told: Mapping[str, str]) -> None:
    """Collect the samples that there are; what cannot be moved stays, and is said in the log.

    Args:
        home: Toolkit's home.
        told: Variables that say where the store is.
    """
    if not samples.waiting(home):
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "toolkit", "deployments", "collect"),
        env=environment(TOOLKIT_HOME=str(home.absolute())) | dict(told),
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        logger.warning("samples could not be collected in %.0f s, and stay where they are", PATIENCE)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
