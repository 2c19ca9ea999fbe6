"""Update the callbacks' states in a checkpoint when a run is resumed with other arguments or in another folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback

MEASURE = {"monitor", "mode"}
"""arguments that define what is best: if they change, the old state is dropped"""
PATHS = {"best_model_path", "kth_best_model_path", "last_model_path"}
"""entries of ModelCheckpoint's state that are paths"""


def states_to_restore(
    checkpoint: dict[str, Any], callbacks: Mapping[str, Callback], nodes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the states of a checkpoint's callbacks in the form that today's callbacks should load.

    Lightning stores a state under a key that contains some arguments, and many callbacks restore arguments from it.
    Here a callback keeps its state when its arguments change, and a changed argument overrides the state. Folders of
    checkpoints are updated if the run has been moved.

    Args:
        checkpoint: contents of the checkpoint.
        callbacks: maps names in the config to callbacks that are already set up.
        nodes: maps the same names to their arguments in the config.
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
    """Return ModelCheckpoint's state with all paths moved into this folder.

    Lightning deletes the files that these paths name, so paths of an untrusted checkpoint must not lead elsewhere.
    """
    before = state.get("dirpath")
    updated: dict[str, Any] = {key: within(state[key], before, folder) for key in PATHS & state.keys()}
    if "best_k_models" in state:
        scores = {within(path, before, folder): score for path, score in state["best_k_models"].items()}
        updated["best_k_models"] = {path: score for path, score in scores.items() if path}
    return {**updated, "dirpath": str(folder)}


def within(path: Any, before: Any, folder: Path) -> str:
    """Move a path from the folder `before` into `folder`, by its name alone if it wasn't inside; "" if it has none."""
    if not isinstance(path, str) or not path:
        return ""
    old = Path(path)
    below = isinstance(before, str) and old.is_relative_to(before)
    parts = old.relative_to(before).parts if below else (old.name,)
    return "" if not "".join(parts) or ".." in parts else str(folder.joinpath(*parts))
