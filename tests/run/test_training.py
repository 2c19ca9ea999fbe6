"""Training: clipping, overfitting, validation, schedules, early stopping, and refusals before it starts."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from tools import ONE_STEP, composed, tiny

from scalian_exp.build import build, build_task
from scalian_exp.callbacks.cuda_graphs import CudaGraphs
from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal, refusal_in
from scalian_exp.run.endings import device_failures_refused
from scalian_exp.run.training import train
from scalian_exp.vocabulary.checks import resolved


def test_clipping_bounds_the_norm_or_the_values(tmp_path: Path) -> None:
    """With plain SGD and a learning rate of 1, a step is the clipped gradient itself."""
    sgd = [
        "model/optimizer=sgd",
        "model.optimizer.lr=1.0",
        "model.optimizer.momentum=0",
        "trainer.gradient_clip_val=0.01",
    ]
    steps = {}
    for algorithm in ("norm", "value"):
        chosen = f"+trainer.gradient_clip_algorithm={algorithm}"
        train(tiny("autoencoder", *sgd, chosen, *ONE_STEP, "test=false"), tmp_path / algorithm)
        torch.manual_seed(0)
        before = build_task(tiny("autoencoder")).state_dict()
        after = load(tmp_path / algorithm / "checkpoints/last.ckpt").task.state_dict()
        steps[algorithm] = torch.cat([(after[key] - before[key]).flatten() for key in before])
    assert float(steps["norm"].norm()) == pytest.approx(0.01, rel=1e-2)
    assert float(steps["value"].abs().max()) == pytest.approx(0.01, rel=1e-2)
    assert float(steps["value"].norm()) > 0.02


def test_a_step_of_few_batches_at_the_end_of_an_epoch_is_a_whole_one(tmp_path: Path) -> None:
    """Three batches of 8 are one step of 24 examples, though a step may have four batches."""
    sgd = ["model/optimizer=sgd", "model.optimizer.lr=0.1", "model.optimizer.momentum=0", "test=false"]
    weights = {}
    for name, overrides in {
        "batches": ["dataset.batch_size=8", "trainer.accumulate_grad_batches=4"],
        "at once": ["dataset.batch_size=24"],
    }.items():
        metrics = train(tiny("autoencoder", *sgd, "dataset.train_size=24", *overrides), tmp_path / name)
        assert metrics["steps"] == 1
        weights[name] = load(tmp_path / name / "checkpoints/last.ckpt").task.state_dict()
    for key, value in weights["at once"].items():
        torch.testing.assert_close(weights["batches"][key], value)


def test_overfitting_reduces_the_loss_of_its_batch(tmp_path: Path) -> None:
    config = tiny("autoencoder", "trainer=overfit", "trainer.max_epochs=300", "model.optimizer.lr=0.01", "test=false")
    config["model"]["network"]["hidden"] = [64]
    config["model"]["network"]["latent_dim"] = 16
    first = train({**config, "trainer": {**config["trainer"], "max_epochs": 50}}, tmp_path / "first")
    assert train(config, tmp_path / "all")["best"] < 0.5 * first["best"]


def test_the_last_epoch_is_validated(tmp_path: Path) -> None:
    """Otherwise the best checkpoint of a stack, its latest, would be an older one."""
    sparse = ["trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2", "model.network.hidden=[4]"]
    assert train(tiny("dbn", *sparse, "test=false"), tmp_path / "run")["best"] == 3  # epochs trained


@pytest.mark.parametrize("resampled", [False, True])
def test_overfitting_trains_and_validates_on_one_batch(resampled: bool) -> None:
    config = tiny("vae", "trainer=overfit", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=1", "test=false")
    seen: list[torch.Tensor] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
            seen.append(batch["image"].clone())

        def on_validation_batch_start(self, trainer: Any, task: Any, batch: Any, *_: Any) -> None:
            seen.append(batch["image"].clone())

    data = build("dataset", config["dataset"])
    data.resample_binary = resampled
    trainer = pl.Trainer(
        max_epochs=3, overfit_batches=1, accelerator="cpu", callbacks=[Watch()], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(build_task(config), data)
    assert len(seen) == 6
    assert all(torch.equal(images, seen[0]) for images in seen)
    assert (set(seen[0].unique().tolist()) == {0.0, 1.0}) is resampled


def test_early_stopping_stops(tmp_path: Path) -> None:
    config = tiny("vae", "callbacks=early_stopping", "trainer.max_epochs=50", "model.optimizer.lr=0.0", "test=false")
    config["callbacks"]["early_stopping"]["patience"] = 2
    assert train(config, tmp_path)["epochs"] < 50


def test_warm_up_ends_before_evaluation(tmp_path: Path) -> None:
    metrics = train(tiny("vae", "loss.warmup_epochs=100", "loss.beta=3"), tmp_path)
    assert metrics["test/loss"] == pytest.approx(metrics["test/reconstruction"] + 3 * metrics["test/kl"], rel=1e-5)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_model_trains_on_a_folder_of_images_and_names_a_broken_one(workers: int, tmp_path: Path) -> None:
    for index in range(30):
        folder = tmp_path / "photos" / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (8 * index, 0, 90)).save(folder / f"{index}.png")
    data = ["dataset=image_folder", f"dataset.root={tmp_path / 'photos'}", "dataset.image_size=[16,16]"]
    config = tiny("conv_vae", *data, f"dataset.num_workers={workers}", "dataset.batch_size=8")
    assert train(config, tmp_path / "run")["steps"] == 3
    for file in (tmp_path / "photos").rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(Refusal, match="can't be read as an image") as caught:
        train(config, tmp_path / "broken")
    assert refusal_in(str(caught.value)).count("\n") == 0


def test_the_bound_does_not_depend_on_beta(tmp_path: Path) -> None:
    metrics = train(tiny("vae", "loss.beta=7"), tmp_path)
    parts = metrics["test/reconstruction"] + metrics["test/kl"]
    assert metrics["test/neg_elbo"] == pytest.approx(parts, rel=1e-5)
    assert metrics["test/loss"] == pytest.approx(metrics["test/reconstruction"] + 7 * metrics["test/kl"], rel=1e-5)


def test_training_reduces_the_loss(tmp_path: Path) -> None:
    config = tiny("autoencoder", "trainer.max_epochs=40", "model.optimizer.lr=0.01", "test=false")
    config["model"]["network"]["hidden"] = [32]
    one = train({**config, "trainer": {**config["trainer"], "max_epochs": 1}}, tmp_path / "one")
    many = train(config, tmp_path / "many")
    assert many["best"] < 0.7 * one["best"]


def test_a_schedule_reaches_its_final_value(tmp_path: Path) -> None:
    schedule = ["+model.schedule._target_=scalian_exp.schedules.Cosine", "+model.schedule.final=0.5"]
    train(tiny("vae", *schedule, "trainer.max_epochs=2", "logger=csv"), tmp_path)
    lines = (tmp_path / "csv/metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("lr")
    rates = [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]
    assert rates[-1] == pytest.approx(0.5e-3, rel=1e-4)
    assert rates[0] == pytest.approx(0.75e-3, rel=1e-4)


def test_constructors_errors_are_refusals(tmp_path: Path) -> None:
    config = tiny("conv_vae")
    config["model"]["network"]["channels"] = [4] * 6
    with pytest.raises(Refusal, match="at most 4 levels"):
        train(config, tmp_path)
    config = tiny("vae")
    config["model"]["network"]["_target_"] = "scalian_exp.networks.vae.NoSuchVAE"
    with pytest.raises(Refusal, match="NoSuchVAE"):
        train(config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_device_is_refused_before_data_are_fetched(tmp_path: Path) -> None:
    config = composed("model=multvae", "dataset=movielens_20m", f"dataset.root={tmp_path}", "trainer/accelerator=mps")
    with pytest.raises(Refusal, match="trainer/accelerator=mps: torch finds no such device"):
        train(resolved(config), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_interpolated_values_follow_the_dataset() -> None:
    assert composed("model=vae", "dataset=sklearn_digits").model.network.image_size == [8, 8]


def test_failures_of_the_device_are_refused_in_one_sentence() -> None:
    nondeterministic = "cumsum_cuda does not have a deterministic implementation, but you set …"
    for error, sentence in (
        (torch.OutOfMemoryError("CUDA out of memory."), "use a smaller dataset.batch_size"),
        (RuntimeError(nondeterministic), "deterministic implementation; use trainer.deterministic=warn"),
    ):
        with pytest.raises(Refusal, match=sentence), device_failures_refused():
            raise error
    with pytest.raises(RuntimeError, match="something else"), device_failures_refused():
        raise RuntimeError("something else")


def test_parameters_that_share_a_recorded_gradient_get_copies() -> None:
    """Two biases that enter a network as a sum share one gradient."""
    task = torch.nn.Module()
    task.network = torch.nn.ParameterList([torch.zeros(3), torch.zeros(3), torch.zeros(3)])
    shared = torch.ones(3)
    for parameter in task.network[:2]:
        parameter.grad = shared.detach()
    CudaGraphs().on_after_backward(None, task)
    torch.nn.utils.clip_grad_norm_(task.network.parameters(), 0.1)
    assert task.network[0].grad.tolist() == task.network[1].grad.tolist()
    assert float(torch.cat([p.grad for p in task.network[:2]]).norm()) == pytest.approx(0.1, rel=1e-3)


def test_recording_kernels_is_refused_on_a_cpu(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cuda_graphs=true needs an NVIDIA GPU"):
        train(tiny("vae", "cuda_graphs=true"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_experiment_may_set_values_of_callbacks_that_are_left_out(tmp_path: Path) -> None:
    config = tiny("vae")
    train({**config, "callbacks": {**config["callbacks"], "figures": {"every_n_epochs": 3}}}, tmp_path / "run")
    assert not (tmp_path / "run/figures").exists()


def test_a_diverging_training_is_refused_even_if_it_draws_figures(tmp_path: Path) -> None:
    """The figures show NaN values."""
    everything = ["callbacks=default", "logger=tensorboard", "callbacks.figures.every_n_epochs=1"]
    with pytest.raises(Refusal, match=r"In epoch 1, .* NaN or infinite.* lower learning rate"):
        train(tiny("autoencoder", "model.optimizer.lr=1e30", *everything, "trainer.max_epochs=3"), tmp_path / "run")
    assert any((tmp_path / "run/figures").glob("val_*.png"))


def test_the_announced_steps_are_those_that_are_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    overrides = ["trainer.max_epochs=2", "trainer.accumulate_grad_batches=2", "dataset.batch_size=8", "test=false"]
    metrics = train(tiny("autoencoder", *overrides), tmp_path / "run")
    (sentence,) = [message for message in caplog.messages if "in all" in message]
    assert sentence.startswith(f"{metrics['steps']} steps in all (2 epochs of {metrics['steps'] // 2} steps)")
    caplog.clear()
    train(tiny("popularity", "test=false"), tmp_path / "untrained")
    assert not [message for message in caplog.messages if "in all" in message]


@pytest.mark.parametrize("limit", ["trainer.max_epochs", "trainer.max_steps"])
def test_a_finished_run_that_is_resumed_says_that_nothing_is_left(
    limit: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config = tiny("autoencoder", "trainer.max_epochs=9", f"{limit}=1")
    metrics = train(config, tmp_path / "run")
    assert not [message for message in caplog.messages if "nothing is left" in message]
    assert train(config, tmp_path / "run")["test/squared_error"] == metrics["test/squared_error"]
    (sentence,) = [message for message in caplog.messages if "nothing is left" in message]
    longer = f"to train longer, give a larger {limit}"
    assert sentence == f"nothing is left to train: the best checkpoint is tested again; {longer}"
    caplog.clear()
    train({**config, "trainer": {**config["trainer"], limit.removeprefix("trainer."): 2}}, tmp_path / "run")
    assert not [message for message in caplog.messages if "nothing is left" in message]
