"""Values that a run decides at its start, and stores in its config in place of the given ones. No torch."""

from collections.abc import Mapping
from typing import Any


def as_asked(stored: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run with what another config leaves to be decided as it stands there.

    Args:
        stored: the run's config.
        asked: the config that may have begun it.
    """
    config = dict(stored)
    if asked.get("channels_last") == "auto":
        config["channels_last"] = "auto"
    if asked["trainer"].get("find_batch_size"):
        config["trainer"] = {**stored["trainer"], "find_batch_size": True}
        config["dataset"] = {**stored["dataset"], "batch_size": asked["dataset"].get("batch_size")}
    return config
