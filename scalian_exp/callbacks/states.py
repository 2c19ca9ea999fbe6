"""What callbacks remember in a checkpoint, brought up to date when a run is resumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback

MEASURE = {"monitor", "mode"}
"""arguments that say what is measured: what was best by another measure is forgotten"""


def states_to_restore(
    checkpoint: dict[str, Any], callbacks: Mapping[str, Callback], nodes: Mapping[str, Any]
) -> dict[str, Any]:
    """The states of a checkpoint's callbacks as these callbacks are to load them.

    Lightning files a state under a key that contains some arguments, and many callbacks restore arguments from it. Here
    a callback keeps its state when its arguments change, and an argument that was changed counts, whatever the state
    says. Folders of checkpoints are those of today, wherever the run has been moved from.

    Args:
        callbacks: name in the config → callback, set up already.
        nodes: the same names → their arguments in the config.
    """
    ours, states = checkpoint["scalian_exp"], dict(checkpoint["callbacks"])
    keys, before = ours.get("callbacks", {}), ours["config"].get("callbacks") or {}
    theirs = {name: states.pop(keys.get(name, callback.state_key), None) for name, callback in callbacks.items()}
    for name, callback in callbacks.items():
        arguments, old, state = nodes[name], before.get(name) or {}, theirs[name]
        changed = {argument for argument in arguments if arguments[argument] != old.get(argument)}
        if not isinstance(state, dict) or changed & MEASURE:
            continue
        state |= {key: getattr(callback, key, arguments[key]) for key in changed & state.keys()}
        if state.get("dirpath") and (folder := getattr(callback, "dirpath", None)):
            state |= moved(state, Path(folder))
        states[callback.state_key] = state
    return states


def moved(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The paths that ModelCheckpoint remembers, in another folder; it forgets its best score where they differ."""
    paths = {
        key: str(folder / Path(state[key]).name) for key in ("best_model_path", "kth_best_model_path") if state[key]
    }
    best = {str(folder / Path(path).name): score for path, score in state["best_k_models"].items()}
    return {"dirpath": str(folder), **paths, "best_k_models": best}
