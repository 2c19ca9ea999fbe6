"""What callbacks remember in a checkpoint, brought up to date when a run is resumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback

MEASURE = {"monitor", "mode"}
"""arguments that say what is measured: what was best by another measure is forgotten"""
PATHS = {"best_model_path", "kth_best_model_path", "last_model_path"}
"""what ModelCheckpoint remembers of files"""


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
        if folder := getattr(callback, "dirpath", None):
            state |= moved(state, Path(folder))
        states[callback.state_key] = state
    return states


def moved(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What ModelCheckpoint remembers, with all its paths in this folder: those of the file may be a stranger's, and
    Lightning deletes what they name."""
    before = state.get("dirpath")
    found: dict[str, Any] = {key: within(state[key], before, folder) for key in PATHS & state.keys()}
    if "best_k_models" in state:
        scores = {within(path, before, folder): score for path, score in state["best_k_models"].items()}
        found["best_k_models"] = {path: score for path, score in scores.items() if path}
    return {**found, "dirpath": str(folder)}


def within(path: Any, before: Any, folder: Path) -> str:
    """Where a path of the folder from before lies now: by its name alone if it wasn't below it; "" if it has none."""
    if not isinstance(path, str) or not path:
        return ""
    old = Path(path)
    below = isinstance(before, str) and old.is_relative_to(before)
    parts = old.relative_to(before).parts if below else (old.name,)
    return "" if not "".join(parts) or ".." in parts else str(folder.joinpath(*parts))
