"""Registers two versions of a model of people: whole numbers, doubles, texts, truths and dates go in."""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import toolkit

ROWS = 500
random = np.random.default_rng(1)
people = pd.DataFrame(
    {
        "age": random.integers(18, 90, ROWS),
        "income": random.lognormal(10, 1, ROWS),
        "colour": random.choice(["red", "green", "blue"], ROWS),
        "member": random.random(ROWS) < 0.3,
    }
)
spent = people.age * 2.0 + people.income / 100
with toolkit.start_run():
    data = toolkit.data.from_pandas(people.assign(spent=spent), targets="spent", name="people")
    toolkit.log_input(data, context="training")
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["colour"]), remainder="passthrough")
    model = make_pipeline(columns, LinearRegression()).fit(people, spent)
    toolkit.sklearn.log_model(model, name="model", input_example=people.head(2), registered_model_name="people")
