"""Split the wine data (178 Italian wines of three cultivars) into a training and a test part."""

import argparse

import wine
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--test-size", type=float, required=True)
parser.add_argument("--seed", type=int, required=True)
options = parser.parse_args()

data = load_wine()
train, test, train_cultivars, test_cultivars = train_test_split(
    data.data.tolist(),
    data.target.tolist(),
    test_size=options.test_size,
    random_state=options.seed,
    stratify=data.target,
)
wine.write("train.csv", data.feature_names, train, train_cultivars)
wine.write("test.csv", data.feature_names, test, test_cultivars)
print(f"{len(train)} wines to train on, {len(test)} to test on")
