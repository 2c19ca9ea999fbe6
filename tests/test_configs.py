"""Rules that all config files follow."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from tools import composed, names, option
from torch.nn import Parameter

from scalian_exp.build import build
from scalian_exp.refusal import Refusal
from scalian_exp.train import main
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.needs import MEANINGS
from scalian_exp.vocabulary.optimisation_checks import check_optimisation
from scalian_exp.vocabulary.options import options
from scalian_exp.vocabulary.yaml_files import header, is_old_name

FILES = sorted(CONFIGS.rglob("*.yaml"))
OPTIONS = {f"{group}/{name}" for group in ("model", "experiment") for name in names(group)}


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
def test_every_file_opens_with_a_comment_that_describes_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert re.match(r" \S", header(text)[0])
    if label(file).removesuffix(".yaml") in OPTIONS and not is_old_name(text):
        described = "\n".join(header(text))
        assert "command:" in described
        assert re.search(r"expected: .*\d", described), "the score to expect, with a number"
        assert "@" not in described


@pytest.mark.parametrize("file", FILES, ids=label)
def test_only_models_and_losses_read_only_the_dataset(file: Path) -> None:
    """This excludes cycles, and every value is stated in one place."""
    group = file.relative_to(CONFIGS).parts[0]
    used = re.findall(r"\$\{([^}:]+)\}", file.read_text(encoding="utf-8"))
    if group in ("model", "loss", "experiment"):
        assert all(name.startswith("dataset.") or (name, group) == ("outputs", "experiment") for name in used)
    elif group not in ("train.yaml", "apply.yaml", "hydra"):
        assert set(used) <= {"outputs"}  # shared by all parts of an experiment


def test_an_experiment_in_a_folder_names_its_run() -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", ["experiment=course/vae_2", "outputs=elsewhere"], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    assert HydraConfig.get().run.dir == "elsewhere/runs/vae_2"
    assert config.callbacks.sample_quality.judge == "elsewhere/runs/classifier"
    assert config.model.network.hidden == composed("experiment=course/vae").model.network.hidden


def different(node: Any, expected: dict[str, Any]) -> list[str]:
    """Return the keys whose values in a node aren't the expected ones."""
    result = []
    for key, value in expected.items():
        own = node.get(key)
        if different(own, value) if isinstance(value, dict) and isinstance(own, dict) else own != value:
            result.append(key)
    return result


@pytest.mark.parametrize("group", ["model", "dataset", "loss", "trainer", "callbacks", "logger", "experiment", "sweep"])
def test_every_option_composes_to_the_contents_of_its_file_and_its_defaults(group: str) -> None:
    """Hydra follows the defaults lists, and so does `options`, independently and without composing.

    Values of experiments, which are complete, can be resolved too.
    """
    for name, node in options(group).items():
        composition = composed(f"{group}={name}")
        config = OmegaConf.to_container(composition)
        expected = {key: value for key, value in node.items() if key != "hydra"}
        actual = config.get(group) if group in config and group not in expected else config
        assert different(actual, expected) == [], name
        if group == "experiment":
            OmegaConf.resolve(composition)


OPTIMIZERS = [name for name in names("model/optimizer") if name != "own"]


@pytest.mark.parametrize("model", ["rbm", "gan", "tiramisu56", "fcn16s"])
def test_another_optimizer_does_not_inherit_values_of_the_models_own(model: str) -> None:
    for name in OPTIMIZERS:
        optimizer = composed(f"model={model}", f"model/optimizer={name}").model.optimizer
        assert optimizer == option("model/optimizer", name)
        assert build("o", {**optimizer, "_partial_": False, "params": [Parameter(torch.zeros(1))]})


def test_values_on_the_command_line_apply_to_the_chosen_optimizer() -> None:
    overrides = ["model=unet", "model/optimizer=sgd", "model/schedule=polynomial", "model.optimizer.lr=0.5"]
    model = composed(*overrides).model
    assert (model.optimizer._target_, model.optimizer.lr, model.optimizer.momentum) == ("torch.optim.SGD", 0.5, 0.9)
    assert model.schedule == {"_target_": "scalian_exp.schedules.Polynomial", "power": 0.9}
    assert composed("experiment=vae_mnist", "model/schedule=constant").model.schedule is None


def refusal(*overrides: str) -> str:
    """Return the message that refuses a command line, or "" if it is accepted."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    try:
        check_optimisation(config)
    except Refusal as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=rating_bias", "model/optimizer=adam"], "rating_bias trains nothing by gradient"),
        (["model=popularity", "model/schedule=cosine"], "popularity trains nothing by gradient"),
        (["model=gan", "model/schedule=cosine"], "model=gan takes no schedule"),
        (["model=gan", "model/optimizer=lbfgs"], "leave it out"),
        (["model=gan", "model.optimizer._target_=torch.optim.LBFGS"], "gan takes single steps"),
        (["experiment=rbm_mnist", "model/optimizer=adam"], "choice: model.optimizer.lr=…."),
        (["experiment=camvid_tiramisu67", "model/schedule=linear"], "choice: '~model.schedule.final'"),
        (["experiment=camvid_tiramisu67", "model/schedule=constant"], "choice: '~model.schedule'"),
        (["experiment=mlp_mnist", "model=rating_bias", "dataset=movielens_100k"], "use model/schedule=own"),
    ],
)
def test_an_unsuitable_choice_is_refused(overrides: list[str], message: str) -> None:
    assert message in refusal(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=gan", "model/optimizer=rmsprop"],
        ["model=rbm", "model/optimizer=adamw", "model/schedule=warmup_cosine"],
        ["experiment=rbm_mnist", "model/optimizer=adam", "model.optimizer.lr=1e-3"],
        ["experiment=rbm_mnist", "model/optimizer=sgd"],
        ["experiment=camvid_tiramisu67", "model/schedule=linear", "~model.schedule.final"],
        ["experiment=camvid_tiramisu67", "model/schedule=constant", "~model.schedule"],
    ],
)
def test_a_suitable_choice_is_accepted(overrides: list[str]) -> None:
    assert refusal(*overrides) == ""


OLD = [file for file in FILES if is_old_name(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("file", OLD, ids=label)
def test_an_old_name_composes_to_the_same_config_as_the_new_one(file: Path) -> None:
    group = file.parent.name
    (new,) = re.findall(r"# Old name of (\w+)\.", file.read_text(encoding="utf-8"))
    assert composed(f"{group}={file.stem}") == composed(f"{group}={new}")
    assert new in names(group)
    assert file.stem not in names(group)


def test_old_names_still_exist() -> None:
    assert {file.stem for file in OLD} == {"binarized_mnist", "mnist_dynamic", "digits", "vae_or_gan"} | {
        "fashion_mnist_dynamic",
        "fashion_mnist_sample_dynamic",
    }


@pytest.mark.parametrize("arguments", [[], ["--help"], ["model=unet", "-h"]])
def test_help_lists_each_option_once(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scalian-train", *arguments])
    main()
    page = capsys.readouterr().out
    for group in ("model", "dataset", "loss", "loss/part", "experiment", "model/optimizer", "model/schedule"):
        assert f"\n{group}: {', '.join(names(group))}\n" in page
    assert not re.search(r"\b(binarized_mnist|vae_or_gan|action|hydra|model/base|course/base)\b", page)
    assert "course/vae," in page
    assert "experiment/course" not in page  # no group of its own
    assert ("networks.unet.UNet" in page) == (arguments == ["model=unet", "-h"])


def test_every_need_has_a_meaning_in_words() -> None:
    needs = re.findall(r"needs: *\[(.*?)\]", "".join(file.read_text(encoding="utf-8") for file in FILES))
    assert {need.strip() for listed in needs for need in listed.split(",") if need.strip()} <= MEANINGS.keys()


def test_yaml_is_plain() -> None:
    for file in FILES:
        assert yaml.safe_load(file.read_text(encoding="utf-8")) is not None
