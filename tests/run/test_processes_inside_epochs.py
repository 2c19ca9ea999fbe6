"""Two processes that are interrupted inside an epoch resume there, bit for bit."""

import signal
from pathlib import Path

import pytest
from interruptions import assert_same, failing
from tools import tiny

from scalian_exp.run import processes

MODELS = {
    "plain": ["autoencoder"],
    "noise": ["vae"],
    "dropout, batch norm and augmentation": [
        "unet",
        "model.network.dropout=0.5",
        "dataset.train_size=40",
        "dataset/augmentation=[flip]",
    ],
    "averaged weights and batch norm": ["unet", "callbacks=[minimal,ema]", "dataset.train_size=40"],
    "chains": ["rbm", "loss=persistent_cd", "loss.chains=4", "model.network.hidden=[4]"],
    "accumulation": ["autoencoder", "trainer.accumulate_grad_batches=3"],
    "the second layer": ["dbn", "model.network.hidden=[4,4]", "model.epochs_per_layer=1"],
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", MODELS)
def test_two_processes_resume_inside_an_epoch(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A signal ends the first epoch after two of its batches, another one the second.

    trainer.max_steps would end it with a validation, at which the processes' statistics of batch norm are averaged.
    """
    model, *overrides = MODELS[kind]
    curves = ["logger=csv", "trainer.log_every_n_steps=1"]
    two = ["trainer/accelerator=ddp_cpu", "trainer.max_epochs=2", "dataset.batch_size=8", *curves]
    config = tiny(model, *overrides, *two)
    straight = processes.launch(config, tmp_path / "straight")
    steps = straight["steps"] // 2
    batches = steps * config["trainer"]["accumulate_grad_batches"]
    assert batches >= 5
    for epochs in (0, 1):
        with pytest.raises(SystemExit) as stop:
            processes.launch(failing(config, epochs * batches + 2, signal.SIGTERM), tmp_path / "parts")
        assert stop.value.code == 130
        assert f"{epochs} of 2 epochs and 2 of {batches} batches of the next are kept" in capfd.readouterr().out
    processes.launch(config, tmp_path / "parts")
    assert_same(tmp_path / "straight", tmp_path / "parts")
