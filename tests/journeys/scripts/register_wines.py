"""Registers versions of a model: 1 and 2 are good, 3 answers otherwise when it is served."""

import sys

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

import toolkit

wines = load_wine(as_frame=True)
rows = wines.data[["alcohol", "malic_acid", "ash"]]
signature = toolkit.infer_signature(rows, wines.target)


class Odd(toolkit.pyfunc.PythonModel):
    """Is another one in a service than anywhere else."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - the form of it
        return [int("bentoml" in sys.modules)] * len(model_input)


for strength in (1.0, 0.01):
    with toolkit.start_run():
        model = LogisticRegression(max_iter=500, C=strength).fit(rows, wines.target)
        toolkit.sklearn.log_model(
            model, name="model", input_example=rows.head(3), signature=signature, registered_model_name="wines"
        )
with toolkit.start_run():
    toolkit.pyfunc.log_model(
        name="model",
        python_model=Odd(),
        input_example=rows.head(3),
        signature=signature,
        registered_model_name="wines",
    )
rows.head(5).to_csv("rows.csv", index=False)
