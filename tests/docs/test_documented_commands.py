"""Every command of the README and of docs/ is valid: it composes, and its arguments are accepted."""

import re
from pathlib import Path

import pytest
from documented import PAGES, PLACEHOLDER, ROOT, Command, commands, jobs, label
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import scalian_exp
from scalian_exp.commandline.actions import OWN, as_override
from scalian_exp.vocabulary.checks import check_arguments
from scalian_exp.vocabulary.config_folders import CONFIGS

RESUMING = ("resume=", "sweep.resume=")
NOT_COMPOSING = {"--schema", "-sc"}
"""flags of commands that train nothing, which test_schemas.py and test_completion.py run"""
TRAINING = [command for command in commands("scalian-train") if NOT_COMPOSING.isdisjoint(command.parts)]


def test_there_are_commands_of_every_kind() -> None:
    assert len(commands("scalian-train")) > 60
    assert len(commands("scalian-apply")) > 30
    assert len(commands("scalian-report")) >= 3
    assert len(commands("make")) >= 4


@pytest.mark.parametrize("command", TRAINING, ids=label)
def test_training_commands_compose(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PLACEHOLDER).mkdir()
    (tmp_path / PLACEHOLDER / "ratings.csv").write_text("user,item,rating\n1,a,5\n2,b,3\n")  # whose sizes are counted
    monkeypatch.chdir(tmp_path)
    arguments = [argument for argument in command.parts[1:] if not argument.startswith(RESUMING)]
    own = next((argument for argument in arguments if argument.startswith("hydra.searchpath=")), None)
    for job in jobs([argument for argument in arguments if argument != own]):
        overrides = [f"hydra.searchpath=[file://{ROOT}/docs/own_network/configs]"] if own else []
        scalian_exp.compose(*overrides, *job)


@pytest.mark.parametrize("command", commands("scalian-apply"), ids=label)
def test_arguments_of_actions_are_accepted(command: Command) -> None:
    overrides = [as_override(argument, several=False) for argument in command.parts[1:] if argument != "--help"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("apply", overrides=overrides)
    assert set(config) <= {*OWN}
    check_arguments({"action": OmegaConf.to_container(config.action, resolve=True)})
    assert config.run is not None or "--help" in command.parts


@pytest.mark.parametrize("command", commands("make"), ids=label)
def test_make_targets_exist(command: Command) -> None:
    assert re.search(rf"^{command.parts[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", commands("python"), ids=label)
def test_scripts_exist(command: Command) -> None:
    assert command.parts[1] in ("-m", PLACEHOLDER) or (ROOT / command.parts[1]).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_extras_exist(page: Path) -> None:
    known = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    extras = re.findall(r"\.\[([\w,]+)\]'", page.read_text(encoding="utf-8"))
    assert {extra for several in extras for extra in several.split(",")} <= set(known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page: Path) -> None:
    """Options outside complete commands count too, such as `loss=hinge` in a sentence."""
    text = page.read_text(encoding="utf-8")
    own = set(re.findall(r"configs/model/(\w+)\.yaml", text))  # files that the page shows
    groups = "model|dataset|loss|experiment|trainer|callbacks|logger|sweep|action|trainer/accelerator|model/crf"
    for group, names in re.findall(rf"(?<![\w./])({groups})=([a-z][\w/]*(?:,[a-z][\w/]*)*)", text):
        for name in names.split(","):
            assert (CONFIGS / group / f"{name}.yaml").exists() or name in own | {"none", "null"}, f"{group}={name}"
