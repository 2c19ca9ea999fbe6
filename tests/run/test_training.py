"""Every compatible pair really trains; every run can be resumed, loaded and trusted."""

import json
import math
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import pytorch_lightning as pl
import torch
import yaml
from PIL import Image
from tools import composed, fake, fit_together, kinds, make_unbeatable, names, of_each_kind, option, partnered, tiny

from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.build import build, build_task
from scalian_exp.callbacks.cuda_graphs import CudaGraphs
from scalian_exp.callbacks.provenance import AtomicCheckpoints
from scalian_exp.checkpoint import load
from scalian_exp.commandline.app import refusal_in
from scalian_exp.refusal import Refusal
from scalian_exp.run.endings import device_failures_refused
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train

MODELS = names("model")
ONE_STEP = ["trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]


def partners(model: str, group: str) -> list[str]:
    """Options of a group that a model can be combined with, its other partner being the natural or the fake one."""
    if group == "loss":
        return [loss for loss in names("loss") if fit_together(model, fake(model), loss)]
    loss = partners(model, "loss")[0]
    return [data for data in names("dataset") if fit_together(model, data, loss)]


def same_kind(dataset: str) -> list[str]:
    """Fake data of a dataset's shape and words: the real one would need a download."""
    facts = option("dataset", dataset)
    if "texts" in facts["provides"]:
        return ["dataset=fake_texts", f"dataset.vocabulary_size={facts['vocabulary_size']}"]
    if "masks" in facts["provides"]:
        classes = ["dataset.num_classes=" + str(facts["num_classes"] or 3)]
        return ["dataset=fake_masks", f"dataset.in_channels={facts['in_channels']}", *classes]
    if "ratings" in facts["provides"]:
        return ["dataset=fake_ratings", f"dataset.levels={facts['levels']}"]
    overrides = [f"dataset.in_channels={facts['in_channels']}", f"dataset.image_size={facts['image_size']}"]
    return ["dataset=fake_binary" if "binary" in facts["provides"] else "dataset=fake_images", *overrides]


@pytest.mark.parametrize(("model", "loss"), partnered(lambda model: partners(model, "loss")))
def test_a_step_of_every_model_with_every_loss(model: str, loss: str, tmp_path: Path) -> None:
    metrics = train(tiny(model, f"loss={loss}", *ONE_STEP), tmp_path)
    tests = {name: value for name, value in metrics.items() if name.startswith("test/")}
    assert tests
    assert all(math.isfinite(value) for value in tests.values())
    assert metrics["steps"] in (1, 2)  # a GAN's two optimizers take one each


def kinds_of_data(model: str) -> list[str]:
    """One data set of each shape and words that a model can be combined with."""
    return list({tuple(same_kind(data)): data for data in reversed(partners(model, "dataset"))}.values())


@pytest.mark.parametrize(("model", "data"), partnered(kinds_of_data))
def test_a_step_of_every_model_on_every_kind_of_data(model: str, data: str, tmp_path: Path) -> None:
    assert train(tiny(model, *same_kind(data), *ONE_STEP), tmp_path)["steps"] in (1, 2)


@pytest.mark.parametrize("model", kinds())
def test_two_epochs_are_one_and_one_resumed_to_the_bit(model: str, tmp_path: Path) -> None:
    whole = train(tiny(model, "trainer.max_epochs=2"), tmp_path / "whole")
    train(tiny(model, "trainer.max_epochs=1"), tmp_path / "parts")
    parts = train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_epochs=2"]))
    states = [load(tmp_path / name / "checkpoints/last.ckpt").task.state_dict() for name in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    exact = [key for key in whole if "second" not in key and "_ms_" not in key]
    assert {key: parts[key] for key in exact} == {key: whole[key] for key in exact}


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_loads_alone_and_computes_the_same(model: str, tmp_path: Path) -> None:
    train(tiny(model), tmp_path / "run")
    (tmp_path / "run/config.yaml").unlink()
    file = (tmp_path / "run/checkpoints/best.ckpt").rename(tmp_path / "alone.ckpt")
    loaded = load(file)
    contents = torch.load(file, weights_only=True)
    state = loaded.task.state_dict()
    assert state.keys() == contents["state_dict"].keys()
    assert all(torch.equal(state[key], contents["state_dict"][key]) for key in state)
    assert loaded.config["model"]["_target_"].startswith("scalian_exp.tasks.")
    assert not loaded.task.training


@pytest.mark.parametrize("model", kinds())
def test_evaluating_again_gives_the_same(model: str, tmp_path: Path) -> None:
    trained = train(tiny(model, "trainer.max_epochs=2"), tmp_path)
    (file,) = Evaluate().run(load(tmp_path), tmp_path / "again")
    again = json.loads(file.read_text())
    assert again == {name: pytest.approx(trained[name]) for name in again}
    assert again.keys() == {name for name in trained if name.startswith("test/")}


def precisions() -> list[Any]:
    """One for every model, the others for every kind."""
    models = {"bf16-mixed": kinds(), "bf16-true": of_each_kind(), "64-true": of_each_kind()}
    return [
        pytest.param(*each.values, precision, marks=each.marks) for precision in models for each in models[precision]
    ]


@pytest.mark.parametrize(("model", "precision"), precisions())
def test_options_of_the_device_compose_with_every_model(model: str, precision: str, tmp_path: Path) -> None:
    options = [f"trainer.precision={precision}", "channels_last=true"]
    options += ["trainer.gradient_clip_val=1.0"] if build_task(tiny(model)).automatic_optimization else []
    options += ["callbacks=default", "logger=tensorboard", "callbacks.figures.every_n_epochs=1"]
    metrics = train(tiny(model, *options, *ONE_STEP), tmp_path)
    assert math.isfinite(metrics["test/loss"])


def compiling(part: torch.nn.Module) -> None:
    """As `part.compile()`, but where there is no C++ compiler, without the last step that needs one."""
    part._compiled_call_impl = torch.compile(
        part._call_impl, backend="inductor" if shutil.which("g++") else "aot_eager"
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", kinds())
def test_compiled_models_learn_what_the_others_do(model: str, tmp_path: Path) -> None:
    plain = train(tiny(model, *ONE_STEP), tmp_path / "plain")
    torch._dynamo.utils.counters.clear()
    with (
        patch.object(torch.nn.Module, "compile", compiling),
        patch.object(torch._inductor.config, "fallback_random", True),  # else it draws other numbers
    ):
        train(tiny(model, "compile=true", "test=false", *ONE_STEP), tmp_path / "compiled")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0  # by the training alone
    (file,) = Evaluate().run(load(tmp_path / "compiled"), tmp_path / "again")
    assert json.loads(file.read_text())["test/loss"] == pytest.approx(plain["test/loss"], rel=1e-4)


@pytest.mark.slow
def test_mlflow_gets_the_same_metrics(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install '.[mlflow]'")
    train(tiny("vae", "logger=mlflow", f"outputs={tmp_path}", *ONE_STEP), tmp_path / "run")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("scalian_exp")
    (run,) = client.search_runs([experiment.experiment_id])
    assert math.isfinite(run.data.metrics["val/neg_elbo"])


@pytest.mark.parametrize(
    "unusual",
    [
        ["dataset.image_size=[12,8]"],
        ["dataset.image_size=[40,70]", "dataset.in_channels=3"],
        ["dataset.in_channels=2"],
        ["dataset.val_size=1", "dataset.test_size=1"],
    ],
)
def test_figures_and_thumbnails_of_whatever_comes(unusual: list[str], tmp_path: Path) -> None:
    """Portraits, two channels, a single image: none ends a training with a trace."""
    everything = ["callbacks=default", "logger=tensorboard", "callbacks.figures.every_n_epochs=1"]
    config = tiny("autoencoder", "model.network.latent_dim=3", *everything, *unusual, "trainer.max_epochs=3")
    assert train(config, tmp_path)["status"] == "finished"
    assert (tmp_path / "figures/test_latent_map.png").exists()


def test_clipping_bounds_the_norm_or_the_values(tmp_path: Path) -> None:
    """With plain SGD of rate 1 a step is the clipped gradient itself."""
    sgd = ["model.optimizer._target_=torch.optim.SGD", "model.optimizer.lr=1.0", "trainer.gradient_clip_val=0.01"]
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


def test_overfitting_sees_the_same_batch_again_and_again(tmp_path: Path) -> None:
    config = tiny("autoencoder", "trainer=overfit", "trainer.max_epochs=300", "model.optimizer.lr=0.01", "test=false")
    config["model"]["network"]["hidden"] = [64]
    config["model"]["network"]["latent_dim"] = 16
    first = train({**config, "trainer": {**config["trainer"], "max_epochs": 50}}, tmp_path / "first")
    assert train(config, tmp_path / "all")["best"] < 0.5 * first["best"]


def test_the_last_epoch_is_validated(tmp_path: Path) -> None:
    """Else the best checkpoint of a stack, its latest, would be an older one."""
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
def test_a_folder_of_images_trains_and_a_broken_one_is_named(workers: int, tmp_path: Path) -> None:
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


def test_a_moved_run_still_knows_its_best_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train(tiny("vae", "trainer.max_epochs=2", "test=false"), tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    last, best = (tmp_path / f"there/checkpoints/{name}.ckpt" for name in ("last", "best"))
    make_unbeatable(last)
    before = best.read_bytes()
    assert train(*resumed(["resume=there", "trainer.max_epochs=3"]))["best"] == 0.0
    assert best.read_bytes() == before


def test_a_broken_last_checkpoint_is_refused_on_resume(tmp_path: Path) -> None:
    config = tiny("vae")
    train(config, tmp_path)
    last = tmp_path / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(Refusal, match="truncated"):
        train(config, tmp_path)


def test_checkpoints_are_written_beside_their_target_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a/last.ckpt"
    AtomicCheckpoints(tmp_path).save_checkpoint({"x": 1}, target)

    class Unpicklable:
        def __reduce__(self) -> str:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        AtomicCheckpoints(tmp_path).save_checkpoint({"x": Unpicklable()}, target)
    assert torch.load(target, weights_only=True) == {"x": 1}


def test_a_run_folder_holds_all_that_a_reader_needs(tmp_path: Path) -> None:
    config = tiny("vae", "callbacks=default", "logger=default", "callbacks.figures.every_n_epochs=1")
    metrics = train(config, tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {k: v for k, v in config.items() if k != "trust"}
    (environment,) = json.loads((tmp_path / "environment.json").read_text())
    assert torch.__version__.startswith(environment["packages"]["torch"])
    assert environment["seed"] == 0
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["test/active_units"] in (0, 1, 2)  # of two
    for name in ("test/neg_elbo", "test/nll_bound_iw3", "parameters", "seconds_per_epoch"):
        assert metrics[name] > 0
    assert metrics["samples_per_second"] > 0
    assert metrics["inference_ms_per_sample"] > 0
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{split}_{name}.png" for split in ("val", "test") for name in ("latent_map", "reconstructions", "samples")
    }
    again = train(*resumed([f"resume={tmp_path}"]))  # no epoch is left
    assert again["seconds_per_epoch"] == metrics["seconds_per_epoch"]
    assert "samples_per_second" not in again
    assert (tmp_path / "csv/metrics.csv").read_text().count("\n") >= 3
    assert not list(tmp_path.rglob("*.part"))


def test_the_bound_is_the_sum_of_its_parts_whatever_beta_is(tmp_path: Path) -> None:
    metrics = train(tiny("vae", "loss.beta=7"), tmp_path)
    parts = metrics["test/reconstruction"] + metrics["test/kl"]
    assert metrics["test/neg_elbo"] == pytest.approx(parts, rel=1e-5)
    assert metrics["test/loss"] == pytest.approx(metrics["test/reconstruction"] + 7 * metrics["test/kl"], rel=1e-5)


def test_an_epochs_line_has_validations_metrics_where_there_was_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every_second = ["trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"]
    train(tiny("vae", "callbacks=default", *every_second), tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("train/loss" in line for line in lines)
    assert ["val/loss" in line for line in lines] == [False, True, True]  # the last epoch is always validated


def test_tensorboard_gets_curves_figures_hyperparameters_and_codes(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tiny("vae", "callbacks=default", "logger=tensorboard"), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert {"train/loss", "val/neg_elbo", "test/neg_elbo", "lr"} <= set(events.Tags()["scalars"])
    assert {"test/samples", "test/reconstructions", "test/latent_map"} <= set(events.Tags()["images"])
    hparams = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    assert b"val/loss" in hparams
    assert b"model.network.latent_dim" in hparams
    (table,) = (tmp_path / "tensorboard").rglob("tensors.tsv")
    assert len(table.read_text().splitlines()) == 20
    assert (table.parent / "sprite.png").exists()


def test_learning_happens(tmp_path: Path) -> None:
    config = tiny("autoencoder", "trainer.max_epochs=40", "model.optimizer.lr=0.01", "test=false")
    config["model"]["network"]["hidden"] = [32]
    one = train({**config, "trainer": {**config["trainer"], "max_epochs": 1}}, tmp_path / "one")
    many = train(config, tmp_path / "many")
    assert many["best"] < 0.7 * one["best"]


def test_a_schedule_reaches_its_end(tmp_path: Path) -> None:
    schedule = ["+model.schedule._target_=scalian_exp.schedules.Cosine", "+model.schedule.final=0.5"]
    train(tiny("vae", *schedule, "trainer.max_epochs=2", "logger=csv"), tmp_path)
    lines = (tmp_path / "csv/metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("lr")
    rates = [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]
    assert rates[-1] == pytest.approx(0.5e-3, rel=1e-4)
    assert rates[0] == pytest.approx(0.75e-3, rel=1e-4)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:1000]), "truncated or not a PyTorch checkpoint"),
        (lambda file: file.write_text("hello"), "truncated or not a PyTorch checkpoint"),
        (lambda file: torch.save({"state_dict": {}}, file), "not written by scalian_exp"),
        (lambda file: torch.save([1, 2], file), "not written by scalian_exp"),
    ],
)
def test_broken_and_foreign_checkpoints_are_refused(damage: Any, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    torch.save({"scalian_exp": {"config": {}}, "state_dict": {"weight": torch.zeros(1000)}}, file)
    damage(file)
    with pytest.raises(Refusal, match=sentence):
        load(file)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="neither a checkpoint nor a run folder"):
        load(tmp_path)


def test_resume_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="not a run folder"):
        resumed([f"resume={tmp_path / 'nowhere'}"])
    train(tiny("vae", *ONE_STEP), tmp_path)
    with pytest.raises(Refusal, match=r"did you mean 'trainer.max_epochs'\?"):
        resumed([f"resume={tmp_path}", "trainer.max_epoch=3"])
    with pytest.raises(Refusal, match="keeps its experiment"):
        resumed([f"resume={tmp_path}", "dataset=mnist"])
    for line in (
        "model.network.latent_dim=5",
        "dataset.image_size=[14,14]",
        "model.optimizer.lr=1",
        "~trainer.max_epochs",
    ):
        with pytest.raises(Refusal, match="keeps its experiment"):
            resumed([f"resume={tmp_path}", line])
    with pytest.raises(Refusal, match="must be a whole number"):
        resumed([f"resume={tmp_path}", "trainer.max_epochs=x"])
    train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=3"]))
    before = (tmp_path / "config.yaml").read_bytes()
    with pytest.raises(Refusal, match="has 3 epochs already"):
        train(*resumed([f"resume={tmp_path}", "trainer.max_epochs=2"]))
    assert (tmp_path / "config.yaml").read_bytes() == before
    (tmp_path / "checkpoints/last.ckpt").rename(tmp_path / "kept.ckpt")
    with pytest.raises(Refusal, match=r"no checkpoints/last.ckpt to resume from"):
        resumed([f"resume={tmp_path}"])
    (tmp_path / "kept.ckpt").rename(tmp_path / "checkpoints/last.ckpt")
    config, folder = resumed([f"resume={tmp_path}"])
    assert folder == tmp_path
    assert config == yaml.safe_load((tmp_path / "config.yaml").read_text())


def test_constructors_refuse_what_they_cannot_build(tmp_path: Path) -> None:
    config = tiny("conv_vae")
    config["model"]["network"]["channels"] = [4] * 6
    with pytest.raises(Refusal, match="at most 4 levels"):
        train(config, tmp_path)
    config = tiny("vae")
    config["model"]["network"]["_target_"] = "scalian_exp.networks.vae.NoSuchVAE"
    with pytest.raises(Refusal, match="NoSuchVAE"):
        train(config, tmp_path)
    with pytest.raises(Refusal, match="trainer/accelerator=mps: torch finds no such device"):
        train(tiny("vae", "trainer/accelerator=mps"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_interpolated_facts_follow_the_dataset() -> None:
    assert composed("model=vae", "dataset=sklearn_digits").model.network.image_size == [8, 8]


def test_what_a_device_cannot_do_is_refused_in_a_sentence() -> None:
    nondeterministic = "cumsum_cuda does not have a deterministic implementation, but you set …"
    for error, sentence in (
        (torch.OutOfMemoryError("CUDA out of memory."), "use a smaller dataset.batch_size"),
        (RuntimeError(nondeterministic), "deterministic implementation; use trainer.deterministic=warn"),
    ):
        with pytest.raises(Refusal, match=sentence), device_failures_refused():
            raise error
    with pytest.raises(RuntimeError, match="something else"), device_failures_refused():
        raise RuntimeError("something else")


def test_parameters_whose_recorded_gradients_are_one_get_their_own() -> None:
    """As when two biases enter as a sum."""
    task = torch.nn.Module()
    task.network = torch.nn.ParameterList([torch.zeros(3), torch.zeros(3), torch.zeros(3)])
    shared = torch.ones(3)
    for parameter in task.network[:2]:
        parameter.grad = shared.detach()
    CudaGraphs().on_after_backward(None, task)
    torch.nn.utils.clip_grad_norm_(task.network.parameters(), 0.1)
    assert task.network[0].grad.tolist() == task.network[1].grad.tolist()
    assert float(torch.cat([p.grad for p in task.network[:2]]).norm()) == pytest.approx(0.1, rel=1e-3)


def test_a_processor_records_no_kernels(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cuda_graphs=true needs an NVIDIA GPU"):
        train(tiny("vae", "cuda_graphs=true"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_experiment_may_set_values_of_callbacks_that_are_left_out(tmp_path: Path) -> None:
    config = tiny("vae")
    train({**config, "callbacks": {**config["callbacks"], "figures": {"every_n_epochs": 3}}}, tmp_path / "run")
    assert not (tmp_path / "run/figures").exists()


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    """Even if figures are drawn of what has become no number."""
    everything = ["callbacks=default", "logger=tensorboard", "callbacks.figures.every_n_epochs=1"]
    with pytest.raises(Refusal, match=r"In epoch 1, .* NaN or infinite.* lower learning rate"):
        train(tiny("autoencoder", "model.optimizer.lr=1e30", *everything, "trainer.max_epochs=3"), tmp_path / "run")
    assert any((tmp_path / "run/figures").glob("val_*.png"))
