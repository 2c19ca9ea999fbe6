"""Go on with a run: its config, its folder, its last checkpoint."""

import logging
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from scalian_exp.checks import check_arguments, leaf_paths, nearest
from scalian_exp.refusal import Refusal


def resumed(overrides: list[str]) -> tuple[dict[str, Any], Path]:
    """The config and the folder that `resume=<folder>` and further overrides mean.

    Raises:
        Refusal: if there is no such run, or an override would make another experiment of it.
    """
    values = {override.key_or_group: override for override in OverridesParser.create().parse_overrides(overrides)}
    folder = Path(str(values.pop("resume").value()))
    config = stored_config(folder)
    for key, override in values.items():
        paths = [*leaf_paths(config)]
        if key not in paths or isinstance(OmegaConf.select(config, key), DictConfig):
            if key in config:
                raise Refusal(
                    f"A resumed run keeps its model, dataset and loss, so it can't take {override.input_line}; "
                    "change single values, such as trainer.max_epochs=…, or start a new run."
                )
            raise Refusal(f"The run in {folder} has no {key}; {nearest(key, paths)}")
        OmegaConf.update(config, key, override.value())
    plain: Any = OmegaConf.to_container(config)
    check_arguments(plain)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return plain, folder


def stored_config(folder: Path) -> DictConfig:
    """The resolved config that lies in a run folder.

    Raises:
        Refusal: if none does.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        found = sorted(folder.parent.glob("*/config.yaml")) if folder.parent.is_dir() else []
        near = f"; its neighbours with one: {', '.join(str(path.parent) for path in found[:3])}" if found else ""
        raise Refusal(f"{folder} is no run folder: there is no config.yaml in it{near}.")
    contents: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return OmegaConf.create(contents)
