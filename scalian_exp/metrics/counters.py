"""Monitored values that say how far a training has come, and nothing of quality."""

EPOCHS = {"epochs", "epochs_trained"}
"""monitored values that count epochs, by which the best checkpoint is the latest"""
COUNTERS = EPOCHS | {"layers_trained"}
"""monitored values that only say how far a training has come"""


def counts(monitor: str) -> bool:
    """Return whether a monitored metric, as `val/epochs_trained`, only says how far a training has come."""
    return monitor.partition("/")[2] in COUNTERS


def latest_is_best(monitor: str | None) -> bool:
    """Return whether a monitored metric counts epochs; `layers_trained` also measures the present layer."""
    return (monitor or "").partition("/")[2] in EPOCHS
