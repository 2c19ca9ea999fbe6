"""Ratios of times that were measured in turns, and their table: what the benchmarks print."""

import os
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import torch
from rich.table import Table


class Ratio(NamedTuple):
    """A ratio of times that were measured in turns, one pair for each epoch or pass."""

    what: str
    first: Sequence[float]
    """seconds of the one"""
    second: Sequence[float]
    """seconds of the other"""
    wanted: str = ""
    """the bound, as ≤ 1.05 or ≥ 50"""

    @property
    def ratios(self) -> list[float]:
        """One ratio for each pair."""
        return [first / second for first, second in zip(self.first, self.second, strict=True)]

    @property
    def met(self) -> str:
        """Whether the median keeps to the bound."""
        sign, _, bound = self.wanted.partition(" ")
        keeps = {"": None, "≤": median(self.ratios) <= float(bound or 0), "≥": median(self.ratios) >= float(bound or 0)}
        return {None: "", True: "yes", False: "NO"}[keeps[sign]]


def table_of(ratios: Iterable[Ratio], title: str) -> Table:
    """Return a table of ratios; its title tells the load of the machine."""
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    table = Table(title=f"{title}, {torch.get_num_threads()} threads, {load}")
    for column in ("what", "first", "second", "ratio", "lowest", "highest", "wanted", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for each in ratios:
        values = [median(each.first), median(each.second), median(each.ratios), min(each.ratios), max(each.ratios)]
        table.add_row(each.what, *(f"{value:.3f}" for value in values), each.wanted, each.met)
    return table
