"""Refuse an optimizer or schedule that doesn't suit the model, or values meant for another one. Imports no torch."""

import logging
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.options import inherited, options, override_in, task_overrides
from scalian_exp.vocabulary.signatures import signature

log = logging.getLogger(__name__)

SMALLEST = {"lr": 0, "weight_decay": 0, "momentum": 0, "eps": 0, "alpha": 0}
"""argument of torch's optimizers → its smallest possible value"""
OWN = "own"
"""the option that leaves the choice to the model or the experiment"""


def check_optimisation(config: DictConfig) -> None:
    """Check the choices of `model/optimizer` and `model/schedule`.

    Raises:
        Refusal: if the model can't be trained that way, or an experiment's values would carry over to another choice.
    """
    if not HydraConfig.initialized():
        return
    chosen = dict(HydraConfig.get().runtime.choices)
    model, experiment = chosen["model"], chosen.get("experiment")
    given = {override.key_or_group for override in task_overrides()}
    check_line_search(config, model)
    for part in ("optimizer", "schedule"):
        option = chosen.get(f"model/{part}") or OWN
        if option == OWN:
            continue
        on_command_line = f"model/{part}" in given
        remedy = "leave it out" if on_command_line else f"use model/{part}={OWN}"
        check_suits(config, part, model, f"model/{part}={option}; {remedy}")
        if on_command_line:
            own = inherited(f"model/{model}").get("model", {}).get(part) or {}
            usual = options(f"model/{part}").get(option, {})
            log_own_values(config.model.get(part), usual, own, f"model/{part}={option}", model)
            if experiment:
                check_carried_over(config.model, part, option, experiment, own, given)


def check_suits(config: DictConfig, part: str, model: str, choice: str) -> None:
    """Check that the model is trained by gradient, and that its task takes an optimizer or a schedule."""
    own = options("model").get(model)
    if own is not None and "optimizer" not in own:
        raise Refusal(f"model={model} trains nothing by gradient, so it can't use {choice}.")
    takes = signature(config.model._target_)
    if takes and not takes.open and part not in takes.parameters:
        raise Refusal(f"model={model} takes no {part} ({config.model._target_}), so it can't use {choice}.")


def check_line_search(config: DictConfig, model: str) -> None:
    """Check that a model whose task takes single steps isn't trained by an optimizer that searches along a line."""
    target = target_of(config.model.get("optimizer"))
    if target.endswith(".LBFGS") and config.model.get("fits", {}).get("task") == "adversarial":
        raise Refusal(
            f"model={model} takes single steps, while L-BFGS searches along a line; choose another optimizer, such as "
            "model/optimizer=adam, or leave it out."
        )


def check_numbers(optimizer: dict[str, Any] | None) -> None:
    """Refuse values that torch's optimizers would refuse only once they are built, when the data has been read.

    Null is refused too: some tasks take it, and would train nothing.
    """
    if optimizer is None:
        raise Refusal(
            "model.optimizer=null would train nothing; leave it out for the model's own optimizer, or choose another, "
            "such as model/optimizer=adam."
        )
    betas = optimizer.get("betas")
    if isinstance(betas, list) and not all(isinstance(each, int | float) and 0 <= each < 1 for each in betas):
        raise Refusal(f"model.optimizer.betas={betas}: they must be numbers from 0 and below 1.")
    for name, least in SMALLEST.items() if target_of(optimizer).startswith("torch.optim.") else ():
        value = optimizer.get(name)
        if isinstance(value, int | float) and value < least:
            raise Refusal(f"model.optimizer.{name}={value}: it must be a number from {least}.")


def target_of(node: Any) -> str:
    """Return a node's `_target_`; "" if it has none, or is no mapping, which is refused later."""
    return str(node.get("_target_") or "") if isinstance(node, dict | DictConfig) else ""


def log_own_values(chosen: Any, usual: dict[str, Any], own: dict[str, Any], choice: str, model: str) -> None:
    """Log the values of the model's own optimizer, if the same optimizer was chosen with its default values."""
    if chosen and target_of(chosen) == target_of(own):
        others = [f"{key}={own[key]}" for key in own if own[key] != usual.get(key) == chosen.get(key)]
        if others:
            log.info("%s uses its default values; those of model=%s are %s", choice, model, " ".join(others))


def check_carried_over(
    model: DictConfig, part: str, option: str, experiment: str, own: dict[str, Any], given: set[str]
) -> None:
    """Check that values that an experiment sets for one optimizer or schedule don't carry over to another.

    A learning rate, for instance, means something different to another optimizer.
    """
    values = inherited(f"experiment/{experiment}").get("model", {}).get(part)
    meant = override_in(f"experiment/{experiment}", f"model/{part}")
    group = options(f"model/{part}")
    target = target_of(group.get(meant) if meant else own)
    if not isinstance(values, dict) or target_of(model.get(part)) == target:
        return
    left = [key for key in values if given.isdisjoint({f"model.{part}.{key}", f"model.{part}"})]
    known = group.get(option, {})
    remedies = [f"model.{part}.{key}=…" if key in known else f"'~model.{part}.{key}'" for key in left]
    remedy = " ".join(remedies) if "_target_" in known else f"'~model.{part}'"
    if left:
        raise Refusal(
            f"experiment={experiment} sets {' and '.join(f'model.{part}.{key}' for key in left)} for another {part} "
            f"than model/{part}={option}; set or remove these for your choice: {remedy}."
        )
