"""Two of the compared runs: the lines in which their code and their files differ, and the packages they had."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.flows.provenance import DIFF_PATH, SNAPSHOT_PATH
from toolkit.recording import context as tag
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.compared import Compared, differences
from toolkit.server.pages.line_diff import SHOWN, Diff, line_diff
from toolkit.server.pages.packages import packages, place_of
from toolkit.server.pages.run_files import Archive, Kept, Text, kept_by, lineage_of, text_of
from toolkit.tracking.records import Run

_FILES = 30
_LISTED = 500
_PATCH = re.compile(r"^diff --git a/(?P<path>.+?) b/.*$", re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDiff:
    """A file of two runs.

    Attributes:
        path: Its path.
        state: ``changed``, or ``only first``, or ``only second``.
        diff: Its lines; ``None`` where they are not shown.
        fault: Why not, or not all.
    """

    path: str
    state: str
    diff: Diff | None = None
    fault: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """How the code of two runs differs.

    Attributes:
        how: Of what that is known: ``snapshot``, ``patch`` or nothing.
        files: What differs.
        count: How many files do.
        fault: Why it cannot be told.
        commits: The two commits, where both are known and differ.
    """

    how: str = ""
    files: Sequence[FileDiff] = ()
    count: int = 0
    fault: str = ""
    commits: tuple[str, str] | None = None


def code(asked: Asked, found: Compared) -> Mapping[str, Any]:
    """Return what the page shows of two runs."""
    first, second = _chosen(asked, found)
    lines = [lineage_of(asked, run) for run in (first, second)]
    kept = [kept_by(asked, each) for each in lines]
    differing, same = differences(asked, [first, second])
    path = asked.query.get("file", "")
    common = [each for each in kept[0] if each in kept[1] and not each.endswith(".zip")]
    changed = [each for each in common if kept[0][each].entry.sha256 != kept[1][each].entry.sha256]
    return {
        "first": first,
        "second": second,
        "differing": differing,
        "same_count": len(same),
        "code": _code(asked, lines, kept),
        "packages": _packages(asked, kept),
        "changed": sorted(changed)[:_LISTED],
        "changed_count": len(changed),
        "equal_count": len(common) - len(changed),
        "only": [sorted(set(kept[0]) - set(kept[1])), sorted(set(kept[1]) - set(kept[0]))],
        "listed": _LISTED,
        "file": file_diff(path, text_of(asked, kept[0][path]), text_of(asked, kept[1][path]))
        if path in common
        else None,
        "file_gone": path if path and path not in common else "",
        "most_lines": SHOWN,
    }


def _chosen(asked: Asked, found: Compared) -> tuple[Run, Run]:
    """Return the two runs that the address names; else the baseline, or the first, and the next."""
    by_id = {run.info.run_id: run for run in found.runs}
    first = by_id.get(asked.query.get("a", ""), found.base or found.runs[0])
    second = by_id.get(asked.query.get("b", ""))
    return first, second or next(run for run in found.runs if run is not first)


def file_diff(path: str, old: Text, new: Text) -> FileDiff:
    """Return how a file differs that both runs have."""
    faults = [f"{which}: {text.fault}" for which, text in (("the first", old), ("the second", new)) if text.fault]
    return FileDiff(path=path, state="changed", diff=line_diff(old.text, new.text), fault="; ".join(faults))


def _code(asked: Asked, lines: Sequence[Sequence[Run]], kept: Sequence[Mapping[str, Kept]]) -> Code:
    commits = _commits(lines)
    snapshots = [each.get(SNAPSHOT_PATH) for each in kept]
    try:
        if snapshots[0] and snapshots[1]:
            return _of_snapshots(Archive(asked, snapshots[0]), Archive(asked, snapshots[1]), commits)
    except ToolkitError as error:
        return Code(fault=error.message, commits=commits)
    patches = [each.get(DIFF_PATH) for each in kept]
    if any(patches):
        return _of_patches([text_of(asked, each) for each in patches], commits)
    return Code(commits=commits)


def _commits(lines: Sequence[Sequence[Run]]) -> tuple[str, str] | None:
    """Return the commits of two runs if they differ. They are only shown as commands if they are nothing else."""
    told = [
        next((run.data.tags[tag.GIT_COMMIT] for run in line if tag.GIT_COMMIT in run.data.tags), "") for line in lines
    ]
    return (told[0], told[1]) if told[0] != told[1] and all(map(_COMMIT.fullmatch, told)) else None


def _of_snapshots(old: Archive, new: Archive, commits: tuple[str, str] | None) -> Code:
    before, after = old.digests, new.digests
    paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    files = []
    for path in paths[:_FILES]:
        texts = old.text(path), new.text(path)
        state = "changed" if path in before and path in after else "only first" if path in before else "only second"
        faults = dict.fromkeys(text.fault for text in texts if text.fault)
        diff = line_diff(texts[0].text, texts[1].text)
        files.append(FileDiff(path=path, state=state, diff=diff if diff.lines else None, fault="; ".join(faults)))
    return Code(how="snapshot", files=files, count=len(paths), commits=commits)


def _of_patches(texts: Sequence[Text], commits: tuple[str, str] | None) -> Code:
    """Return how what was not committed differs: file by file, the patch of the one held against the other's."""
    before, after = (_by_file(text.text) for text in texts)
    paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    files = [
        FileDiff(
            path=path,
            state="changed" if path in before and path in after else "only first" if path in before else "only second",
            diff=line_diff(before.get(path, ""), after.get(path, "")),
        )
        for path in paths[:_FILES]
    ]
    fault = "; ".join(dict.fromkeys(text.fault for text in texts if text.fault))
    return Code(how="patch", files=files, count=len(paths), commits=commits, fault=fault)


def _by_file(patch: str) -> Mapping[str, str]:
    """Return the parts of a patch by the path of the file that each changes."""
    heads = list(_PATCH.finditer(patch))
    ends = [*(head.start() for head in heads[1:]), len(patch)]
    return {head["path"]: patch[head.end() + 1 : end] for head, end in zip(heads, ends, strict=True)}


def _packages(asked: Asked, kept: Sequence[Mapping[str, Kept]]) -> Mapping[str, Any]:
    places = [place_of(list(each)) for each in kept]
    texts = [text_of(asked, each.get(place or "")) for each, place in zip(kept, places, strict=True)]
    told = [packages(place or "", text.text) for place, text in zip(places, texts, strict=True)]
    names = sorted({*told[0], *told[1]})
    rows = [(name, told[0].get(name), told[1].get(name)) for name in names]
    differing = [row for row in rows if row[1] != row[2]]
    return {
        "places": places,
        "rows": differing[:_LISTED],
        "count": len(differing),
        "same": len(rows) - len(differing),
        "known": all(places),
    }
