"""Keys of steps, in our API: what the results of a step depend on, so that a team takes them over from each other."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Response

from toolkit.server.v1 import records
from toolkit.server.v1.context import Given, Here, Reading, answer
from toolkit.tracking.step_keys import StepKey, StepKeyQuery

router = APIRouter(tags=["step keys"])


@router.post("/step-keys", response_model=records.Done)
def keep_step_key(here: Here, body: Given[records.StepKeyBody]) -> Response:
    """Note what the results of a step's run depend on; what was noted before is replaced."""
    here.stores.runs.keep_step_key(StepKey(**dict(body)))
    return answer({})


@router.post("/step-keys/find", response_model=records.StepKeysTold)
def find_step_keys(view: Reading, body: Given[records.StepKeySearch]) -> Response:
    """Find keys of steps, newest first."""
    query = StepKeyQuery(**dict(body))
    found = view.read(lambda store: store.find_step_keys(query))
    return answer({"step_keys": [asdict(each) for each in found]})


@router.post("/step-keys/forget", response_model=records.RunIdsTold)
def forget_step_keys(here: Here, body: Given[records.RunIds]) -> Response:
    """Let nobody take over what these runs have left; return those that others could take over."""
    return answer({"run_ids": list(here.stores.runs.forget_step_keys(body.run_ids))})
