"""Registers versions of wine-quality, and one of a model whose name BentoML would not take."""

import pandas as pd
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

import toolkit

wine = load_wine(as_frame=True)
rows = wine.data[["alcohol", "malic_acid", "ash"]]
for strength in (1.0, 0.1):
    with toolkit.start_run():
        model = LogisticRegression(max_iter=500, C=strength).fit(rows, wine.target)
        toolkit.sklearn.log_model(model, name="model", input_example=rows.head(3), registered_model_name="wine-quality")


class Louder(toolkit.pyfunc.PythonModel):
    """Of a class of the script's, so that it is a pickle."""

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - the form of it
        return [word.upper() for word in model_input["word"]]


with toolkit.start_run():
    toolkit.pyfunc.log_model(
        name="model",
        python_model=Louder(),
        input_example=pd.DataFrame({"word": ["hello"]}),
        registered_model_name="Größe & Co",
    )
