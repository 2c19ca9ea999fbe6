"""The Python API: compose, train, load, load_data."""

import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from tools import composed, tiny

import scalian_exp
from scalian_exp.refusal import Refusal

TINY = ("model=vae", "dataset=fake_binary", "model.network.hidden=[8]", "model.network.latent_dim=2", "logger=none")
QUICK = ("callbacks=minimal", "trainer.max_epochs=1", "trainer/accelerator=cpu")


def test_compose_equals_the_command_line() -> None:
    config = scalian_exp.compose("model=vae", "loss.beta=4", "dataset=fake_binary")
    expected = OmegaConf.to_container(composed("model=vae", "loss.beta=4", "dataset=fake_binary"), resolve=True)
    assert config == expected
    assert yaml.safe_load(yaml.safe_dump(config)) == config  # plain data


@pytest.mark.parametrize(
    ("override", "sentence"),
    [("model=vea", "did you mean model=vae"), ("loss.bta=4", "loss.beta"), ("loss=dice", "elbo")],
)
def test_a_wrong_override_is_refused_with_a_suggestion(override: str, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        scalian_exp.compose("model=vae", override)


def test_a_trained_run_is_loaded_and_used(tmp_path: Path) -> None:
    config = scalian_exp.compose(*TINY, *QUICK)
    metrics = scalian_exp.train(config, tmp_path / "run")
    model = scalian_exp.load(tmp_path / "run")
    data = scalian_exp.load_data(model)
    assert metrics["status"] == "finished"
    assert len(data.splits["train"]) == metrics["training_examples"]
    images = torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        codes = model.network.encode(images)
    assert codes.shape == (3, 2)
    assert model.task.decoded(codes).shape == images.shape


def test_load_data_runs_no_code_that_a_strangers_model_names(tmp_path: Path) -> None:
    scalian_exp.train(scalian_exp.compose(*TINY, *QUICK), tmp_path / "run")
    model = scalian_exp.load(tmp_path / "run")
    model.config["dataset"] = {"_target_": "pathlib.Path.touch", "self": str(tmp_path / "harm")}
    with pytest.raises(Refusal, match=r"names pathlib\.Path\.touch, which"):
        scalian_exp.load_data(model)
    assert not (tmp_path / "harm").exists()


def test_training_again_in_a_finished_folder_changes_nothing_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = scalian_exp.compose(*TINY, *QUICK)
    first = scalian_exp.train(config, tmp_path / "run")
    written = (tmp_path / "run/checkpoints/last.ckpt").read_bytes()
    assert "nothing is trained" not in caplog.text
    again = scalian_exp.train(config, str(tmp_path / "run"))
    assert f"{tmp_path / 'run'} holds a finished run of this config: nothing is trained" in caplog.text
    assert again["test/loss"] == pytest.approx(first["test/loss"])
    assert (tmp_path / "run/checkpoints/last.ckpt").read_bytes() == written
    config["loss"]["beta"] = 2.0
    with pytest.raises(Refusal, match="another config"):
        scalian_exp.train(config, tmp_path / "run")


def test_changed_values_are_checked(tmp_path: Path) -> None:
    config = tiny("vae")
    config["model"]["network"]["latent_dim"] = -1
    with pytest.raises(Refusal, match="latent_dim"):
        scalian_exp.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_importing_the_package_imports_no_torch_and_train_stays_callable() -> None:
    code = (
        "import sys, scalian_exp; from scalian_exp import train; "
        "assert not {'torch', 'hydra'} & set(sys.modules); "
        "import scalian_exp.train; assert callable(scalian_exp.train) and callable(scalian_exp.train.main)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_training_can_be_sent_to_another_process() -> None:
    """This holds for the function and for the module that `import scalian_exp.train` puts in its place."""
    module = importlib.import_module("scalian_exp.train")
    for train in (scalian_exp.api.train, module):
        assert pickle.loads(pickle.dumps(train)) is train
