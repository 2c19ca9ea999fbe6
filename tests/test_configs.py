"""Rules that all config files keep."""

import re
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from tools import composed, names

from scalian_exp.vocabulary.options import CONFIGS

FILES = sorted(CONFIGS.rglob("*.yaml"))


def label(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


@pytest.mark.parametrize("file", FILES, ids=label)
def test_every_value_has_a_comment(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        key = re.match(r"\s*(\w+):\s*(.*)$", line)
        if key and key[2] and not key[2].startswith("#"):
            plain = key[1] in ("_target_", "_partial_", "version") or "_target_" in key[2] or line.startswith("  - ")
            assert plain or "#" in key[2] or file.parent.name == "job_logging", f"{label(file)}: {line.strip()}"


@pytest.mark.parametrize("file", FILES, ids=label)
def test_every_file_opens_with_what_it_is(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert re.match(r"# \S", lines[0])
    if file.parent.name in ("model", "experiment"):
        header = "\n".join(line for line in lines if line.startswith("#"))
        assert "command:" in header
        assert re.search(r"expected: .*\d", header), "the score to expect, with a number"
        assert "@" not in header


@pytest.mark.parametrize("file", FILES, ids=label)
def test_only_models_and_losses_read_only_the_dataset(file: Path) -> None:
    """So no cycle can arise, and a fact stands in one place."""
    group = file.relative_to(CONFIGS).parts[0]
    used = re.findall(r"\$\{([^}:]+)\}", file.read_text(encoding="utf-8"))
    if group in ("model", "loss", "experiment"):
        assert all(name.startswith("dataset.") for name in used)
    elif group not in ("train.yaml", "apply.yaml", "hydra"):
        assert set(used) <= {"outputs"}  # a fact of the whole experiment


@pytest.mark.parametrize("experiment", names("experiment"))
def test_every_experiment_composes(experiment: str) -> None:
    OmegaConf.resolve(composed(f"experiment={experiment}"))


@pytest.mark.parametrize("group", ["model", "dataset", "loss", "trainer", "callbacks", "logger", "experiment", "sweep"])
def test_every_option_composes_alone(group: str) -> None:
    """Composing raises where a default is missing or an override fits nothing."""
    for name in names(group):
        if (group, name) != ("trainer", "base"):
            composed(f"{group}={name}")


def test_yaml_is_plain() -> None:
    for file in FILES:
        assert yaml.safe_load(file.read_text(encoding="utf-8")) is not None
