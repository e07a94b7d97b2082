"""Tables of wines as CSV: 13 chemical measurements, and the cultivar as the last column."""

import csv
from pathlib import Path


def write(file, names, rows, cultivars):
    with Path(file).open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow([*names, "cultivar"])
        writer.writerows([*row, cultivar] for row, cultivar in zip(rows, cultivars, strict=True))


def read(file):
    """Return the measurements, one list of 13 numbers a wine, and the cultivars."""
    with Path(file).open(newline="") as source:
        _, *lines = csv.reader(source)
    return [[float(cell) for cell in line[:-1]] for line in lines], [int(line[-1]) for line in lines]
