"""What a process of its own does with BentoML: it makes a Bento and its model in an empty store of BentoML's.

It is run by its path and imports nothing of toolkit, so that the service is imported with the part of toolkit that the
Bento carries, as it will be where it serves: what is missing there is missed here. BentoML's store is the one that the
environment names; whoever starts this moves what comes of it to where it belongs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Build what standard input says, as `toolkit.deployments.bento` writes it."""
    import bentoml  # noqa: PLC0415 - takes a second, and only this process needs it

    asked = json.load(sys.stdin)
    if not asked["model_is_there"]:
        with bentoml.models.create(asked["model_tag"], labels=asked["model_labels"]):
            pass  # empty: BentoML would copy each file
        folder = Path(bentoml.models.get(asked["model_tag"]).path)
        for item in Path(asked["model"]).iterdir():
            shutil.move(item, folder / item.name)
    bentoml.bentos.build_bentofile(asked["bentofile"], version=asked["version"], build_ctx=asked["source"])


if __name__ == "__main__":
    main()
