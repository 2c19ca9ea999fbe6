"""Fit how costs grow with a sweep's values, as the slopes of straight lines in log-log plots.

    scalian-train -m model=draw dataset=fake_binary model.network.glimpses=4,8,16,32 trainer.max_epochs=3
    python scripts/exponents.py outputs/multirun/TIME

An exponent of 1 means proportional growth, 2 quadratic. The size of a list such as image_size=[height,width] is its
product. Time is training time per sample; operations and memory are those of the forward pass per sample.
"""

import argparse
import csv
import math
import re
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

COSTS = {
    "time": "samples_per_second",
    "operations": "gmacs",
    "memory": "activations_mb_per_sample",
    "parameters": "parameters",
}
"""cost → column of summary.csv; samples per second are inverted"""


def size(value: str) -> float:
    """Return the size of a swept value: its number, the product of a list, or 0 for other values."""
    if re.fullmatch(r"\[[\d., ]+\]", value):
        return math.prod(float(part) for part in value.strip("[]").split(","))
    try:
        return float(value)
    except ValueError:
        return 0.0


def exponent(sizes: list[float], costs: list[float]) -> float:
    """Return the slope of log cost over log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def main() -> None:
    """Print the table of exponents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="the sweep's folder")
    file = parser.parse_args().sweep / "summary.csv"
    if not file.exists():
        parser.error(f"there is no {file}")
    with file.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["status"] == "finished"]
    before = list(rows[0])[: list(rows[0]).index("status")] if rows else []
    swept = [name for name in before if name != "job"]
    if len(swept) != 1 or not all(size(row[swept[0]]) for row in rows) or len(rows) < 2:
        actual = f"{len(rows)} finished jobs over {', '.join(swept) or 'nothing'}"
        parser.error(f"{file} must have at least two finished jobs that vary one positive number; it has {actual}")
    sizes = [size(row[swept[0]]) for row in rows]
    table = Table(title=f"exponents over {swept[0]}, {min(sizes):g} to {max(sizes):g}")
    for name in COSTS:
        table.add_column(name, justify="right")
    sign = {"time": -1}
    slopes = [sign.get(name, 1) * exponent(sizes, [float(row[key]) for row in rows]) for name, key in COSTS.items()]
    table.add_row(*[f"{slope:.2f}" for slope in slopes])
    Console().print(table)


if __name__ == "__main__":
    main()
