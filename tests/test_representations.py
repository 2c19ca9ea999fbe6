"""Codes as the start of another network, one layer after the other, and what they are compared by."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny
from scipy.linalg import sqrtm
from test_command_line import command

from scalian_exp.apply import spelt_out
from scalian_exp.build import build_task
from scalian_exp.callbacks.sample_quality import SampleQuality
from scalian_exp.checkpoint import load
from scalian_exp.figures.classes import confusion_matrix
from scalian_exp.init_from import start_network_from
from scalian_exp.losses.adversarial import Hinge, NonSaturating
from scalian_exp.losses.multinomial import Multinomial
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.reconstruction import psnr
from scalian_exp.train import train

STACK = ["model.network.hidden=[8,6]", "model.epochs_per_layer=1", "trainer.max_epochs=2"]


def test_only_the_layer_whose_turn_it_is_learns(tmp_path: Path) -> None:
    config = tiny("stacked_autoencoder", *STACK, "test=false")
    train({**config, "trainer": {**config["trainer"], "max_epochs": 1}}, tmp_path / "one")
    train(config, tmp_path / "two")
    torch.manual_seed(0)
    start = build_task(config).network.state_dict()
    one, two = (load(tmp_path / name / "checkpoints/last.ckpt").task.network.state_dict() for name in ("one", "two"))
    first = [name for name in start if name.startswith(("encoder.network.0", "decoder.2"))]
    second = [name for name in start if name.startswith(("encoder.network.2", "decoder.0"))]
    assert len(first) == len(second) == 4
    assert len(start) == 8
    assert all(torch.equal(one[name], start[name]) for name in second)
    assert all(torch.equal(two[name], one[name]) for name in first)
    assert not any(torch.equal(two[name], one[name]) for name in second)
    assert not any(torch.equal(one[name], start[name]) for name in first)


def test_a_layer_of_a_stack_is_an_autoencoder_of_the_codes_below() -> None:
    network = build_task(tiny("stacked_autoencoder", *STACK)).network
    x = torch.rand(3, 1, 16, 16)
    codes = network.layer_encoders[0](x.flatten(1))
    assert torch.equal(network.encode(x), network.layer_encoders[1](codes))
    expected = network.layer_decoders[0](torch.sigmoid(network.layer_decoders[1](network.encode(x))))
    assert torch.equal(network(x).flatten(1), expected)


def test_a_classifier_starts_from_the_stack_and_keeps_its_own_head(tmp_path: Path) -> None:
    train(tiny("stacked_autoencoder", *STACK, "test=false"), tmp_path / "stack")
    widths = "model.network.hidden=[8,6]"
    fresh, started = (build_task(tiny("mlp_classifier", widths)).network for _ in range(2))
    started.load_state_dict(fresh.state_dict())
    names = start_network_from(started, str(tmp_path / "stack"))
    stack = load(tmp_path / "stack").task.network
    assert len(names) == 4
    assert torch.equal(started.encoder.network[2].weight, stack.encoder.network[2].weight)
    assert torch.equal(started.head.weight, fresh.head.weight)
    config = tiny("mlp_classifier", widths, f"init_from={tmp_path / 'stack'}", "model.optimizer.lr=1e-12")
    train(config, tmp_path / "tuned")
    tuned = load(tmp_path / "tuned").task.network
    assert torch.allclose(tuned.encoder.network[2].weight, stack.encoder.network[2].weight, atol=1e-6)
    with pytest.raises(Refusal, match="nothing of its StackedAutoencoder has the name and shape"):
        train(tiny("mlp_classifier", "model.network.hidden=[5]", f"init_from={tmp_path / 'stack'}"), tmp_path / "no")
    with pytest.raises(Refusal, match="neither a checkpoint nor a run folder"):
        train(tiny("mlp_classifier", f"init_from={tmp_path / 'nowhere'}"), tmp_path / "no")


def test_equal_counters_and_biases_are_no_start(tmp_path: Path) -> None:
    train(tiny("classifier", "test=false"), tmp_path / "run")
    other = build_task(tiny("classifier", "model.network.channels=[5,6]", "model.network.features=9")).network
    with pytest.raises(Refusal, match="nothing of its ConvClassifier has the name and shape"):
        start_network_from(other, str(tmp_path / "run"))


def test_losses_by_hand() -> None:
    zeros = torch.zeros(5)
    assert float(NonSaturating().discriminator(zeros, zeros)) == pytest.approx(2 * math.log(2))
    assert float(NonSaturating().generator(zeros)) == pytest.approx(math.log(2))
    smooth = -0.9 * math.log(0.8) - 0.1 * math.log(0.2)
    assert float(NonSaturating(0.9).discriminator(torch.logit(torch.tensor([0.8])), torch.tensor([-1e9]))) == (
        pytest.approx(smooth, rel=1e-5)
    )
    assert float(Hinge().discriminator(torch.tensor([0.5, 2]), torch.tensor([-3, 0.5]))) == pytest.approx(1.0)
    assert float(Hinge().generator(torch.tensor([1.0, 3.0]))) == -2
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    expected = -(0.75 * math.log(0.5) + 0.25 * math.log(0.25))
    assert float(Multinomial()(logits, torch.tensor([[3.0, 1.0, 0.0]]))) == pytest.approx(expected)
    assert float(Multinomial()(logits, torch.zeros(1, 3))) == 0
    with_an_empty_one = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(Multinomial()(logits.expand(2, 3), with_an_empty_one)) == pytest.approx(expected)


def test_psnr_by_hand() -> None:
    clean = torch.zeros(2, 1, 4, 4)
    assert psnr(torch.full_like(clean, 0.1), clean).tolist() == pytest.approx([20, 20], rel=1e-5)


def test_the_confusion_matrix_counts_rows_of_truth() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    figure = confusion_matrix(probabilities, torch.tensor([0, 0, 1]), ["cat", "dog"])
    shown = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert shown == {(0, 0): "1", (1, 0): "1", (1, 1): "1"}  # (column, row)


def test_frechet_distance_is_that_of_two_gaussians(tmp_path: Path) -> None:
    train(tiny("classifier", "dataset.test_size=60"), tmp_path / "judge")
    judge = load(tmp_path / "judge").task.network
    quality = SampleQuality(str(tmp_path / "judge"), samples=80)
    config = tiny("vae", "dataset.test_size=60")
    config["callbacks"]["sample_quality"] = {
        "_target_": "scalian_exp.callbacks.sample_quality.SampleQuality",
        "judge": str(tmp_path / "judge"),
        "samples": 80,
    }
    metrics = train(config, tmp_path / "vae")
    assert 0 <= metrics["test/classes_covered"] <= 10

    real, fake = torch.rand(300, 1, 16, 16), torch.rand(300, 1, 16, 16) ** 2
    quality.metric.update(real, real=True)
    quality.metric.update(fake, real=False)
    with torch.no_grad():
        a, b = (judge.encode(x).double().numpy() for x in (real, fake))
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert float(quality.metric.compute()) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_judge_must_fit(tmp_path: Path) -> None:
    train(tiny("autoencoder", "test=false"), tmp_path / "no_judge")
    with pytest.raises(Refusal, match="is a DenseAutoencoder; judge by a run of model=classifier"):
        SampleQuality(str(tmp_path / "no_judge"))
    train(tiny("classifier", "test=false"), tmp_path / "judge")
    node = {
        "_target_": "scalian_exp.callbacks.sample_quality.SampleQuality",
        "judge": str(tmp_path / "judge"),
        "samples": 10,
    }
    for said, sentence in (
        (tiny("autoencoder"), "needs a network that samples"),
        (tiny("vae", "dataset.image_size=[12,12]"), "classifies images"),
    ):
        said["callbacks"]["sample_quality"] = node
        with pytest.raises(Refusal, match=sentence):
            train(said, tmp_path / "refused")


def test_nearest_and_probe_from_the_command_line(tmp_path: Path) -> None:
    train(tiny("autoencoder"), tmp_path / "images")
    train(tiny("text_autoencoder", "trainer.max_epochs=30"), tmp_path / "texts")

    def act(*arguments: str) -> str:
        result = command(*arguments, cwd=tmp_path, module="apply")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def no(*arguments: str) -> str:
        result = command(*arguments, cwd=tmp_path, module="apply")
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        return result.stderr

    for run in ("images", "texts"):
        said = act(f"run={run}", "action=nearest", "count=3")
        assert "precision@10" in said
        assert "codes (" in said
        (file,) = (tmp_path / run / "nearest").glob("*/metrics.json")
        values = json.loads(file.read_text())
        assert all(0 <= value <= 1 for value in values.values())
        assert "linear probe" in act(f"run={run}", "action=probe", "labels=[20,null]")
        assert "codes.npy" in act(f"run={run}", "action=embed")
    said = act("run=texts", "action=nearest", "text=topic2word1, topic2word4 (topic2word7)", "count=4")
    assert said.count("topic2word") >= 4
    assert "nearest.png" in act("run=images", "action=nearest", "index=5", "split=train", "count=3")
    (file,) = [path for path in (tmp_path / "images/nearest").glob("*/nearest.csv") if "\n1," not in path.read_text()]
    assert [row.split(",")[2] for row in file.read_text().splitlines()[1:]].count("5") == 0
    assert "20 examples, counted from 0" in no("run=images", "action=nearest", "index=20")
    assert "not from texts" in no("run=images", "action=nearest", "text=hello")
    assert "not from images" in no("run=texts", "action=nearest", "image=a.png")
    assert "Give one query" in no("run=texts", "action=nearest", "text=a", "index=1")
    assert "The text is empty" in no("run=texts", "action=nearest", "text= ")
    assert "neighbours are wanted" in no("run=texts", "action=nearest", "index=1", "count=1000")
    assert "There is no image file" in no("run=images", "action=nearest", "image=a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    assert "can't be read as an image" in no("run=images", "action=nearest", "image=b.png")
    assert "labels are wanted" in no("run=images", "action=probe", "labels=[1000]")
    assert "action=reconstruct needs images" in no("run=texts", "action=reconstruct")
    assert "learned without noise" in no("run=images", "action=denoise")


def test_an_actions_options_need_no_prefix() -> None:
    def once(said: str) -> str:
        return spelt_out(said, sweeping=False)

    assert once("count=3") == "action.count=3"
    assert once("labels=[1,2]") == "action.labels=[1,2]"
    assert once("text=it's (not), 2") == "action.text='it\\'s (not), 2'"
    assert once("text=red, green") == "action.text='red, green'"
    assert once("image=a (1).png") == "action.image='a (1).png'"
    assert spelt_out("seed=1,2", sweeping=True) == "action.seed=1,2"
    for said in ("run=a", "action=sample", "--help", "action.count=3", "+action.x=1"):
        assert once(said) == said


def test_denoising_reports_what_it_gains(tmp_path: Path) -> None:
    metrics = train(tiny("denoising_autoencoder", "model.noise_levels=[0.0,0.5]"), tmp_path / "run")
    assert {"test/psnr_gain_0", "test/psnr_gain_0.5"} <= metrics.keys()
    assert metrics["test/psnr_gain_0"] < 0  # nothing to gain: the input is the clean image, 100 dB
    without = train(tiny("denoising_autoencoder", "model.corruption=null", "callbacks=default"), tmp_path / "without")
    assert not any("gain" in name for name in without)
    said = command("run=run", "action=denoise", "level=0.5", cwd=tmp_path, module="apply")
    assert "dB" in said.stdout
    assert "denoised.png" in said.stdout
