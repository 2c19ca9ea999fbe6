"""The columns of a page's table, and which of them are folded away at first."""

from typing import NamedTuple

from scalian_exp.results.summary import Summary

COSTS = ("parameters", "epochs", "seconds_per_epoch")
"""columns behind the metrics that are shown where runs differ in them"""
MOST_METRICS = 7
"""maximum number of metrics that are shown at first"""


class Column(NamedTuple):
    """A column of the table."""

    name: str
    """of its values in a row"""
    label: str
    folded: bool
    """whether it is hidden until the reader asks for it"""


def columns(summary: Summary) -> list[Column]:
    """Return the columns of a summary's rows, what was swept first.

    Columns of one value alone are folded where there are several runs, and so are metrics that help little to compare.
    """
    names = [name for name in summary.rows[0] if name != "job"]
    several = len(summary.rows) > 1
    telling = {*summary.overall[:MOST_METRICS], *summary.swept, *COSTS, "status"}
    folded = {name for name in names if name not in telling}
    if several:
        folded |= {name for name in names if len({row[name] for row in summary.rows} - {None}) < 2}
    if len(summary.swept) == 1:  # each run's name says its value
        folded |= {*summary.swept}
    return [Column(name, name.removeprefix("test/"), name in folded) for name in names]
