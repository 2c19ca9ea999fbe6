"""In what the config of an earlier run differs from what its command line composes now."""

import inspect
from pathlib import Path
from typing import Any

import yaml

from scalian_exp.commandline.experiment import with_inferred
from scalian_exp.stored import read_config, read_overrides
from scalian_exp.vocabulary.checks import resolved
from scalian_exp.vocabulary.decided import as_asked
from scalian_exp.vocabulary.natural_schedule import as_composed

SHOWN = 5
"""maximum number of differences in a message"""


def changes_since(run: Path, config_name: str, trust: Any = None) -> list[str]:
    """Return in what a run's config differs from the one that its overrides compose now, as `key: value → value`.

    Hydra must have been initialised. The folder of the data may differ.

    Args:
        run: its folder.
        config_name: name of the primary config.
        trust: third-party packages that the user trusts.
    """
    from hydra import compose

    from scalian_exp.trust import modules, objection_to_target

    composed = compose(config_name, read_overrides(run))
    now = resolved(composed)
    if objection_to_target("dataset", now["dataset"]["_target_"], modules(trust)) is None:  # asks its class
        now = with_inferred(composed, now)
    now.pop("trust", None)  # runs don't store what is trusted
    before = updated_config(as_composed(read_config(run, training=True)), now)
    if "root" in now["dataset"] and "root" in before["dataset"]:
        before["dataset"]["root"] = now["dataset"]["root"]  # data may be moved
    return differences(as_asked(before, now), now)


def listed(changes: list[str]) -> str:
    """Return the first few of some changes as one text."""
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return f"{'; '.join(changes[:SHOWN])}{more}"


def updated_config(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a run completed by what configs of its version couldn't specify yet.

    Today's loggers, repeats, progress bar and callbacks that only save are taken, because they don't affect the
    training; so is the best checkpoint's class, which was Lightning's own.
    """
    then, callbacks = before["callbacks"], now["callbacks"]
    saving = {name: callbacks[name] for name in callbacks.keys() - then.keys() if saves(callbacks[name])}
    losses = {"loss": with_named_parts(before["loss"], now["loss"])} if "loss" in before else {}
    shown = {name: callbacks[name] for name in ("progress", "best") if name in then and name in callbacks}
    told: dict[str, Any] = {name: now[name] for name in ("logger", "repeats") if name in now}
    before = {**before, **losses, **told, "callbacks": then | saving | shown}
    completed: dict[str, Any] = with_added_arguments(before, now)
    return completed


def with_named_parts(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the loss of version 0.1's cross_entropy_dice as the sum of named parts that it is today."""
    ours = all(str(node.get("_target_")).startswith("scalian_exp.") for node in (before, now))
    today = {name: part["loss"] for name, part in (now.get("part") or {}).items() if part} if ours else {}
    match before:
        case {"first": first, "second": second, "weights": [_, _] as weights} if len(today) == 2:
            parts = {
                name: {"loss": {**loss, "fits": today[name].get("fits")}, "weight": weight}
                for name, loss, weight in zip(today, (first, second), weights, strict=True)
            }
            return {"_target_": now["_target_"], "fits": before.get("fits"), "part": parts}
    return before


def saves(callback: dict[str, Any] | None) -> bool:
    """Return whether the node of a callback describes one that only saves checkpoints."""
    from pytorch_lightning.callbacks import Checkpoint

    target = class_of(callback)
    return isinstance(target, type) and issubclass(target, Checkpoint)


def with_added_arguments(before: Any, now: Any) -> Any:
    """Return a config completed by the arguments that only today's config has, with their values at the time.

    They are the values that the class lists as implied by earlier versions, or else its defaults.
    """
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [with_added_arguments(*pair) for pair in zip(before, now, strict=True)]
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return before
    from scalian_exp.build import signature_of
    from scalian_exp.checkpoint import Implies

    added: dict[str, Any] = {}
    if (new := now.keys() - before.keys()) and before.get("_target_") == now.get("_target_"):
        target = class_of(now)
        takes = signature_of(target).parameters if target else {}
        values = {name: takes[name].default for name in new & takes.keys()}
        values |= target.implied if isinstance(target, Implies) else {}
        added = {
            name: now[name] if equal(value, now[name]) else value
            for name, value in values.items()
            if name in new and value is not inspect.Parameter.empty
        }
    return added | {key: with_added_arguments(value, now.get(key)) for key, value in before.items()}


def equal(default: Any, value: Any) -> bool:
    """Return whether a signature's default, such as (0.9, 0.999), equals what a config states, such as [0.9, 0.999]."""
    return bool((list(default) if isinstance(default, tuple) else default) == value)


def class_of(node: dict[str, Any] | None) -> Any:
    """Return the class of a node if it belongs to this package or is an optimizer of torch; None for others."""
    from scalian_exp.build import located

    target = str((node or {}).get("_target_"))
    return located(target) if target.startswith(("scalian_exp.", "torch.optim.")) else None


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Return `key: value → value` for each leaf in which two nested dictionaries differ."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if yaml.safe_dump(before) == yaml.safe_dump(after) else [f"{path}: {before} → {after}"]
    absent = "nothing"
    return [
        change
        for key in {**before, **after}
        for change in differences(before.get(key, absent), after.get(key, absent), f"{path}.{key}".lstrip("."))
    ]
