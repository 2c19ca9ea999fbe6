"""Go on with a run: its config, its folder, its last checkpoint."""

import logging
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf

from scalian_exp.checks import check_plain, leaf_paths, nearest
from scalian_exp.refusal import Refusal
from scalian_exp.shell import spelled, text_of, word

CHANGEABLE_GROUPS = ("trainer.", "callbacks.", "logger.")
CHANGEABLE = {"test", "compile", "cuda_graphs"}
"""what may change while the experiment stays the same; an optimizer's values would be the checkpoint's all the same"""
MISSING = object()


def resumed(overrides: list[str]) -> tuple[dict[str, Any], Path]:
    """The config and the folder that `resume=<folder>` and further overrides mean.

    Raises:
        Refusal: if there is no such run, or an override would make another experiment of it.
    """
    spelt = spelled(overrides)
    said = OverridesParser.create().parse_overrides(spelt)
    folder = Path(text_of(next(argument for argument in spelt if argument.startswith("resume="))))
    config = stored_config(folder)
    if not checkpoint(folder, "last") and (checkpoint(folder, "best") or not checkpoint(folder, "start")):
        raise Refusal(f"{folder} has no checkpoints/last.ckpt to go on from; start a new run.")
    for override in said:
        key = override.key_or_group
        if key == "resume":
            continue
        if override.type != OverrideType.CHANGE or not (key in CHANGEABLE or key.startswith(CHANGEABLE_GROUPS)):
            raise Refusal(
                f"A resumed run keeps its experiment, so it can't take {override.input_line}; single values such as "
                "trainer.max_epochs=…, callbacks.….…=… or test=… may change, whole options may not: start a new run."
            )
        if key not in CHANGEABLE and OmegaConf.select(config, key, default=MISSING) is MISSING:
            raise Refusal(f"The run in {folder} has no {key}; {nearest(key, [*leaf_paths(config)])}")
        OmegaConf.update(config, key, override.value())
    plain: Any = OmegaConf.to_container(config)
    check_plain(plain)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return plain, folder


def checkpoint(folder: Path, name: str) -> bool:
    return (folder / "checkpoints" / f"{name}.ckpt").exists()


def stored_config(folder: Path) -> DictConfig:
    """The resolved config that lies in a run folder.

    Raises:
        Refusal: if none does.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        if jobs := sorted(folder.glob("*/config.yaml")):
            raise Refusal(
                f"{folder} is a folder of {len(jobs)} runs, not of one; go on with one of them: "
                f"{word('resume', jobs[0].parent)}"
            )
        found = sorted(folder.parent.glob("*/config.yaml")) if folder.parent.is_dir() else []
        near = f"; its neighbours with one: {', '.join(str(path.parent) for path in found[:3])}" if found else ""
        raise Refusal(f"{folder} is no run folder: there is no config.yaml in it{near}.")
    contents: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return OmegaConf.create(contents)
