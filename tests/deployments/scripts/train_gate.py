"""Registers two versions of a model that answers when a file says so, hangs, or takes its process with it."""

import os
import signal
import time
from pathlib import Path

import pandas as pd

import toolkit


class Gate(toolkit.pyfunc.PythonModel):
    """Answers the word it was given, each in its way."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - the form that a model has
        gate = Path(os.environ.get("GATE", "/nowhere"))
        words = list(model_input["word"])
        if "wait" in words:
            while not gate.exists():
                time.sleep(0.02)
        if "die" in words:
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail" in words:
            raise RuntimeError("the model has a fault of its own")
        return [word.upper() for word in words]


for _ in range(2):
    with toolkit.start_run():
        toolkit.pyfunc.log_model(
            name="model",
            python_model=Gate(),
            input_example=pd.DataFrame({"word": ["hello"]}),
            registered_model_name="gate",
        )
