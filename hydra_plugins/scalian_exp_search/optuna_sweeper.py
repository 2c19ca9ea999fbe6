"""Hydra looks for sweepers in this package, at every start; hence nothing is imported here that takes time."""

from scalian_exp.sweep.search import Search


class OptunaSweeper(Search):
    """`hydra/sweeper=optuna`."""
