"""The validation metric that a training optimizes, known from its config before anything is built."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from scalian_exp.build import located
from scalian_exp.metrics.counters import counts
from scalian_exp.metrics.directions import direction
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.callback_checks import named_nodes

SEARCHING = ("EarlyStopping", "Pruning")
"""classes of the callbacks that end a trial of a search early"""


class Objective(NamedTuple):
    """The metric whose best value chooses the best checkpoint, and which a search gives its trials as their value."""

    monitor: str
    mode: str
    """min or max"""


def of_task(config: dict[str, Any]) -> Objective:
    """Return what the task of a config monitors; no name if a function builds the task. Interpolations may be left.

    Raises:
        Refusal: if its task or its network doesn't exist.
    """
    task, network = located(config["model"]["_target_"]), (config["model"].get("network") or {}).get("_target_")
    return Objective(*(task.objective(network and located(network)) if hasattr(task, "objective") else ("", "min")))


def objective(config: dict[str, Any]) -> Objective:
    """Return what the best checkpoint of a training is chosen by: the task's metric, or that of `callbacks.best`."""
    own, best = of_task(config), named_nodes(config, "callbacks").get("best", {})
    return Objective(best.get("monitor", own.monitor), mode_of("best", best, own))


def mode_of(name: str, node: dict[str, Any], own: Objective) -> str:
    """Return the direction in which the metric that a callback monitors improves, `min` or `max`.

    Args:
        name: the callback's name.
        node: its config.
        own: what the task monitors.

    Raises:
        Refusal: if the callback monitors another metric, of unknown direction, and its config doesn't say which.
    """
    monitor = node.get("monitor")
    if "mode" in node or monitor in (None, own.monitor):
        return str(node.get("mode", own.mode))
    if not (better := direction(monitor)):
        raise Refusal(
            f"callbacks.{name}.monitor={monitor}: say whether it should be small or large by adding "
            f"+callbacks.{name}.mode=min or +callbacks.{name}.mode=max"
        )
    return "max" if better > 0 else "min"


def check_stopping(config: dict[str, Any], stopping: Sequence[str] = ("EarlyStopping",)) -> None:
    """Refuse callbacks that would end a training by how far it has come.

    Args:
        config: that of the training.
        stopping: names of the callbacks' classes; Pruning is only for searches, which check it themselves.

    Raises:
        Refusal: with the overrides by which they monitor something else, if there is anything.
    """
    for name in blind(config, stopping):
        others = remedy(config, [name])
        raise Refusal(
            f"callbacks.{name}: {monitored(config, name)} only says how far the training has come, not whether it "
            f"improves; {f'monitor another metric, {others}, or ' if others else ''}leave callbacks.{name} out."
        )


def searched(composed: DictConfig) -> Objective:
    """Return what a search over a composed config optimizes.

    Raises:
        Refusal: if that is unknown, or how far its trainings have come, with the overrides by which it optimizes
            something else.
    """
    config: Any = OmegaConf.to_container(composed)
    found = objective(config)
    if not found.monitor:
        raise Refusal(
            "hydra/sweeper=optuna: model._target_ names no task's class, so what it monitors is unknown; name one, or "
            "add +callbacks.best.monitor=… +callbacks.best.mode=…"
        )
    if counts(found.monitor):
        others = remedy(config, ["best", *blind(config, SEARCHING)])
        raise Refusal(
            f"hydra/sweeper=optuna: {found.monitor} only says how far a training has come, so no trial is the best; "
            f"{f'search by another metric, {others}, or ' if others else ''}list the values to try without "
            "hydra/sweeper=optuna, and compare the metrics of the test."
        )
    check_stopping(config, SEARCHING)
    return found


def of_search(composed: Sequence[DictConfig]) -> Objective:
    """Return what a search over composed configs, one of each model, optimizes.

    Raises:
        Refusal: if that is unknown, counts epochs, or differs between the models.
    """
    first, *others = [searched(config) for config in composed]
    for other in others:
        if other != first:
            raise Refusal(
                f"These models monitor different metrics, {first.monitor} and {other.monitor}, whose values can't be "
                "compared; search each model alone, or all by one metric: +callbacks.best.monitor=…"
            )
    return first


def monitored(config: dict[str, Any], name: str) -> str:
    """Return what a callback monitors."""
    monitor: str = named_nodes(config, "callbacks")[name].get("monitor") or of_task(config).monitor
    return monitor


def blind(config: dict[str, Any], stopping: Sequence[str]) -> list[str]:
    """Return the names of callbacks of some classes that would end a training by how far it has come."""
    chosen = [name for name, kind in kinds(config).items() if kind in stopping]
    return [name for name in chosen if counts(monitored(config, name))]


def kinds(config: dict[str, Any]) -> dict[str, str]:
    """Return the callbacks' names with those of their classes."""
    return {
        name: str(node.get("_target_")).rpartition(".")[2] for name, node in named_nodes(config, "callbacks").items()
    }


def remedy(config: dict[str, Any], names: list[str]) -> str:
    """Return overrides by which callbacks monitor how good a model is; empty if nothing cheap measures it.

    The pseudo-likelihood does for a single RBM with binary units; in a stack it changes its meaning with each layer.
    """
    network, callbacks = config["model"]["network"], named_nodes(config, "callbacks")
    hidden, units = network.get("hidden"), str((network.get("visible_units") or {}).get("_target_"))
    if not (isinstance(hidden, list) and len(hidden) == 1 and units.endswith(".Bernoulli")):
        return ""
    values = {"monitor": "val/pseudo_likelihood", "mode": "max"}
    return " ".join(
        f"{'' if key in callbacks.get(name, {}) else '+'}callbacks.{name}.{key}={value}"
        for name in names
        for key, value in values.items()
        if key == "monitor" or kinds(config).get(name) != "Pruning"  # which has the search's direction
    )
