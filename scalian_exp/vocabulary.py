"""The words that can be said: which options a config group has, and what their files say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

PACKAGE = Path(__file__).resolve().parent
CONFIGS = next(path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if (path / "train.yaml").exists())
"""inside the package in a wheel, beside it in a checkout"""


def folders() -> list[Path]:
    """All folders in which Hydra looks for configs: a user's own ones too."""
    if not GlobalHydra.instance().is_initialized():
        return [CONFIGS]
    sources = GlobalHydra.instance().config_loader().get_sources()
    return [Path(source.path) for source in sources if source.scheme() == "file"]


def options(group: str) -> dict[str, dict[str, Any]]:
    """name → what its file says, as it stands there; sorted by name."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders():
        for file in sorted((folder / group).glob("*.yaml")):
            node: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            found.setdefault(file.stem, node.get(group, node))
    return dict(sorted(found.items()))


def fitting(group: str, fits: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Names of a group's options of which `fits` is true; those made for tests are left out."""
    return [name for name, node in options(group).items() if fits(node) and not name.startswith("fake")]


def choices_of(config: DictConfig) -> dict[str, str]:
    """group → the chosen option; the group's name itself where Hydra isn't at work."""
    if HydraConfig.initialized():
        return dict(HydraConfig.get().runtime.choices)
    return {str(group): "this one" for group in config}
