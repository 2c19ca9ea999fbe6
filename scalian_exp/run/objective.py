"""The validation metric that a training optimizes, known from its config before anything is built."""

from typing import Any, NamedTuple

from scalian_exp.build import located
from scalian_exp.vocabulary.callback_checks import named_nodes


class Objective(NamedTuple):
    """The metric whose best value chooses the best checkpoint, and which a search gives its trials as their value."""

    monitor: str
    mode: str
    """min or max"""


def of_task(config: dict[str, Any]) -> Objective:
    """Return what the task of a config monitors; interpolations needn't be resolved.

    Raises:
        Refusal: if its task or its network doesn't exist.
    """
    network = (config["model"].get("network") or {}).get("_target_")
    return Objective(*located(config["model"]["_target_"]).objective(network and located(network)))


def objective(config: dict[str, Any]) -> Objective:
    """Return what the best checkpoint of a training is chosen by: the task's metric, or that of `callbacks.best`."""
    own, best = of_task(config), named_nodes(config, "callbacks").get("best", {})
    return Objective(best.get("monitor", own.monitor), best.get("mode", own.mode))
