"""A training that stops inside an epoch resumes there, bit for bit."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from interruptions import assert_same, failing
from PIL import Image
from tools import of_each_kind, tiny

from scalian_exp.checkpoint import read
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train


@pytest.mark.parametrize("model", of_each_kind())
def test_every_model_resumes_inside_an_epoch(model: str, tmp_path: Path) -> None:
    config = tiny(model, "trainer.max_epochs=2")
    straight = train(config, tmp_path / "straight")
    if config["model"].get("optimizer") is None:
        return
    stop = 4 * straight["steps"] // 6  # after the first batch of the second epoch
    cut = train({**config, "trainer": {**config["trainer"], "max_steps": stop}}, tmp_path / "parts")
    assert (cut["steps"], cut["epochs"]) == (stop, 1)
    parts = train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_steps=-1"]))
    assert parts["samples_per_second"] > 0
    assert_same(tmp_path / "straight", tmp_path / "parts", best=False)  # the parts were also validated where they met


OPTIONS = {
    "schedule": ["vae", "+model.schedule._target_=scalian_exp.schedules.Cosine", "+model.schedule.final=0.5"],
    "validations inside": ["vae", "+trainer.val_check_interval=2"],
    "validations by step": ["vae", "+trainer.val_check_interval=4", "trainer.check_val_every_n_epoch=null"],
    "accumulation": ["vae", "trainer.accumulate_grad_batches=2"],
    "overfitting": ["vae", "trainer.overfit_batches=5"],
    "dropout and augmentation": [
        "unet",
        "model.network.depth=2",
        "model.network.dropout=0.5",
        "dataset/augmentation=[flip]",
    ],
    "the second layer": ["dbn", "model.network.hidden=[4,4]", "model.epochs_per_layer=1"],
    "chains": ["rbm", "loss=persistent_cd", "loss.chains=4"],
    "averaged weights": ["segnet", "callbacks=[minimal,ema]"],
    "averaged weights in 64 bits": ["segnet", "callbacks=[minimal,ema]", "trainer.precision=64-true"],
    "64 bits": ["vae", "trainer.precision=64-true"],
    "averaged weights of layers": ["dbn", "model.network.hidden=[4,4]", "model.epochs_per_layer=1", "callbacks=ema"],
}


def saving_often(config: dict[str, Any]) -> dict[str, Any]:
    node = {**config["callbacks"]["checkpoint"], "every_minutes": 1e-9}
    return {**config, "callbacks": {**config["callbacks"], "checkpoint": node}}


@pytest.mark.parametrize("option", OPTIONS)
def test_training_resumes_after_any_step(option: str, tmp_path: Path) -> None:
    """The run saves a checkpoint at every step and is stopped again and again."""
    model, *overrides = OPTIONS[option]
    curves = ["logger=csv", "trainer.log_every_n_steps=1"]
    config = tiny(model, *overrides, *curves, "dataset.batch_size=8", "trainer.max_epochs=2")
    train(config, tmp_path / "straight")
    often = saving_often(config)
    loop = read(tmp_path / "straight/checkpoints/last.ckpt")["loops"]["fit_loop"]
    half = loop["epoch_loop.batch_progress"]["total"]["ready"] // 2
    for batch in sorted({2, 3, half, half + 1, half + 2}):
        with pytest.raises(ArithmeticError):
            train(failing(often, batch), tmp_path / "parts")
        at = read(tmp_path / "parts/checkpoints/last.ckpt")["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        assert batch - 2 <= at["total"]["ready"] < batch
    train(often, tmp_path / "parts")
    assert_same(tmp_path / "straight", tmp_path / "parts")


def test_the_order_of_batches_is_resumed_with_worker_processes(tmp_path: Path) -> None:
    """Workers start with the loader, which a schedule requests before the checkpoint is read."""
    for index in range(40):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (6 * index, 0, 90)).save(tmp_path / f"photos/{index}.png")
    data = ["dataset=image_folder", f"dataset.root={tmp_path / 'photos'}", "dataset.image_size=[16,16]"]
    schedule = ["+model.schedule._target_=scalian_exp.schedules.Cosine", "+model.schedule.final=0.5"]
    config = tiny("conv_vae", *data, "dataset.num_workers=2", "dataset.batch_size=8", *schedule, "trainer.max_epochs=3")
    train(config, tmp_path / "straight")
    for batch in (6, 7, 9):
        with pytest.raises(ArithmeticError):
            train(failing(saving_often(config), batch), tmp_path / "parts")
    train(config, tmp_path / "parts")
    assert_same(tmp_path / "straight", tmp_path / "parts")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_saves_a_checkpoint_after_the_step(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny("vae", "trainer.max_epochs=2")
    train(config, tmp_path / "straight")
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)]
    with pytest.raises(SystemExit) as stop:
        train(failing(config, 5, number), tmp_path / "parts")
    assert stop.value.code == 130
    after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)]
    assert after == before
    output = capsys.readouterr().out
    assert "1 of 2 epochs and 2 of 3 batches of the next are kept" in output
    assert f"resume={tmp_path / 'parts'}" in output
    assert json.loads((tmp_path / "parts/metrics.json").read_text())["status"] == "interrupted"
    train(config, tmp_path / "parts")
    assert_same(tmp_path / "straight", tmp_path / "parts")


@pytest.mark.parametrize("ends", [True, False])
def test_a_clusters_own_handler_is_called_after_saving(ends: bool, tmp_path: Path) -> None:
    """Submitit's handler, for example, requeues the job and exits, or ignores the signal."""
    seen = []

    def handler(number: int, _frame: Any) -> None:
        seen.append((number, read(tmp_path / "parts/checkpoints/last.ckpt")["global_step"]))
        if ends:
            raise SystemExit(-1)

    config = tiny("vae", "trainer.max_epochs=2")
    train(config, tmp_path / "straight")
    before = signal.signal(signal.SIGUSR2, handler)
    try:
        if ends:
            with pytest.raises(SystemExit):
                train(failing(config, 5, signal.SIGUSR2), tmp_path / "parts")
        else:
            train(failing(config, 5, signal.SIGUSR2), tmp_path / "parts")
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [(signal.SIGUSR2, 5)]
    if ends:
        train(config, tmp_path / "parts")
    assert_same(tmp_path / "straight", tmp_path / "parts")


def test_max_time_ends_inside_an_epoch_that_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("rbm", "trainer.max_epochs=2", "+trainer.max_time=null")
    train(config, tmp_path / "straight")

    def stop_after_the_fifth_batch(_timer: Any, trainer: Any, *_: Any, **__: Any) -> None:
        trainer.should_stop |= trainer.fit_loop.total_batch_idx == 4

    # a custom callback might look at gradients, and would get them: other steps, in their last bits
    stop_after_the_fifth_batch.__module__ = pl.callbacks.Timer.__module__
    monkeypatch.setattr(pl.callbacks.Timer, "on_train_batch_end", stop_after_the_fifth_batch)
    config["trainer"]["max_time"] = {"hours": 1}
    cut = train(config, tmp_path / "parts")
    assert (cut["epochs"], cut["steps"], cut["best"]) == (1, 5, 2)  # a validation took place there
    assert read(tmp_path / "parts/checkpoints/best.ckpt")["global_step"] == 5
    config["trainer"]["max_time"] = None
    train(config, tmp_path / "parts")
    assert read(tmp_path / "parts/checkpoints/best.ckpt")["global_step"] == 6
    assert_same(tmp_path / "straight", tmp_path / "parts")


def test_max_steps_does_not_skip_epochs(tmp_path: Path) -> None:
    """When Lightning resumes with max_steps from the end of an epoch, it would end the next one immediately."""
    config = tiny("vae", "trainer.max_epochs=3")
    train(config, tmp_path / "straight")
    config["trainer"]["max_steps"] = 9
    with pytest.raises(ArithmeticError):
        train(failing(config, 4), tmp_path / "parts")
    assert train(config, tmp_path / "parts")["epochs"] == 3
    assert_same(tmp_path / "straight", tmp_path / "parts")


def test_an_epochs_seconds_include_all_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake clock restarts with each process, as a machine's may, and ticks at every reading."""
    clock = [0.0]

    def tick() -> float:
        clock[0] += 1
        return clock[0]

    monkeypatch.setattr("time.perf_counter", tick)
    config = tiny("vae", "trainer.max_epochs=2", "trainer.max_steps=5", "test=false")
    train(config, tmp_path)
    (before,) = [s["seconds"] for s in timings(tmp_path)]
    clock[0] = 1e6
    config["trainer"]["max_steps"] = -1
    train(config, tmp_path)
    (seconds,) = [s["seconds"] for s in timings(tmp_path)]
    assert seconds[:1] == before
    assert len(seconds) == 2
    assert 0 < seconds[1] < 1000


def timings(folder: Path) -> list[dict[str, Any]]:
    callbacks = read(folder / "checkpoints/last.ckpt")["callbacks"]
    return [state for state in callbacks.values() if "seconds" in state]
