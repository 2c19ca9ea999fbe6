"""Best results among runs: for each metric the best run, or the best mean over repetitions."""

from collections.abc import Sequence
from typing import NamedTuple

from scalian_exp.metrics.directions import direction
from scalian_exp.results.rows import cell, cell_of, own_metrics
from scalian_exp.results.summary import Summary

MOST_CARDS = 6
"""maximum number of metrics that are brought out"""


class Card(NamedTuple):
    """The best value of a metric."""

    metric: str
    value: str
    spread: str
    """sample standard deviation over repetitions; empty without any"""
    who: str
    """whose value it is: what was swept"""
    run: int
    """number of a run that has it, or comes closest to the mean"""
    among: str
    """what it is the best of"""


def cards(summary: Summary, names: Sequence[str]) -> list[Card]:
    """Return a card for each metric that says how good runs are, the most telling one first.

    Args:
        summary: of the runs.
        names: of the runs.
    """
    own = {name for row in summary.rows for name in own_metrics(row)}
    known = [name for name in summary.overall if direction(name)]
    known.sort(key=lambda name: (name not in own or not name.startswith("test/"), name not in own))
    return [card for card in (best(summary, names, metric) for metric in known[:MOST_CARDS]) if card]


def best(summary: Summary, names: Sequence[str], metric: str) -> Card | None:
    """Return the card of a metric; None if no finished run has it."""
    sign = direction(metric)
    known = [n for n, row in enumerate(summary.rows) if row["status"] == "finished" and row[metric] is not None]
    if not known:
        return None
    word = "highest" if sign > 0 else "lowest"
    groups = [line for line in summary.means if line.get(metric) is not None]
    if groups:
        line = max(groups, key=lambda line: sign * line[metric])
        members = [n for n in known if all(summary.rows[n][key] == line[key] for key in summary.varied)]
        closest = min(members, key=lambda n: abs(summary.rows[n][metric] - line[metric]))
        who = ", ".join(f"{key}={line[key]}" for key in summary.varied) or names[closest]
        deviation = line[f"{metric} ±"]
        spread = "" if deviation is None else f"± {deviation:.2g}"
        having = line.get(f"{metric} jobs", line["jobs"])
        mean = f"mean of {having} runs over {summary.repeated}" if having > 1 else "one run"
        mean += f", {line['jobs'] - having} without a value" if having < line["jobs"] else ""
        among = mean + (f"; {word} of {len(groups)}" if len(groups) > 1 else "")
        return Card(metric, cell(line[metric]), spread, who, closest, among)
    run = max(known, key=lambda n: sign * summary.rows[n][metric])
    among = f"{word} of {len(known)}" if len(known) > 1 else f"{'higher' if sign > 0 else 'lower'} is better"
    return Card(metric, cell_of(summary.rows[run], metric), "", names[run], run, among)
