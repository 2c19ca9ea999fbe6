"""Codes as the start of another network, one layer after the other, and what they are compared by."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from commands import command
from PIL import Image
from scipy import sparse
from scipy.linalg import sqrtm
from tools import numbered, read_csv, tiny

from scalian_exp.actions.action import data_of, examples, image_from, save_image, spread
from scalian_exp.actions.probe import standardised
from scalian_exp.actions.representations import Split, competitors
from scalian_exp.build import build_task
from scalian_exp.callbacks.network_summary import summary
from scalian_exp.callbacks.sample_quality import SampleQuality
from scalian_exp.checkpoint import load
from scalian_exp.commandline.actions import spelt_out
from scalian_exp.datasets.texts import FakeTexts
from scalian_exp.figures.classes import confusion_matrix
from scalian_exp.losses.adversarial import Hinge, NonSaturating
from scalian_exp.losses.multinomial import Multinomial
from scalian_exp.refusal import Refusal
from scalian_exp.run.init_from import start_network_from
from scalian_exp.run.training import train
from scalian_exp.tasks.reconstruction import psnr
from scalian_exp.vocabulary.grammar import text_of

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
    names = start_network_from(started, data_of(load(tmp_path / "stack")), str(tmp_path / "stack"))
    stack = load(tmp_path / "stack").task.network
    assert len(names) == 4
    assert torch.equal(started.encoder.network[2].weight, stack.encoder.network[2].weight)
    assert torch.equal(started.head.weight, fresh.head.weight)
    config = tiny("mlp_classifier", widths, f"init_from={tmp_path / 'stack'}", "model.optimizer.lr=1e-12")
    train(config, tmp_path / "tuned")
    tuned = load(tmp_path / "tuned").task.network
    assert torch.allclose(tuned.encoder.network[2].weight, stack.encoder.network[2].weight, atol=1e-6)
    unequal = (
        r"nothing of its StackedAutoencoder has the name and shape .*: encoder.network.0.weight is 8×256 there and 5×"
    )
    with pytest.raises(Refusal, match=unequal):
        train(tiny("mlp_classifier", "model.network.hidden=[5]", f"init_from={tmp_path / 'stack'}"), tmp_path / "no")
    with pytest.raises(Refusal, match=r"they are of different kinds \(there: encoder.network.0.weight.*same names"):
        train(tiny("classifier", f"init_from={tmp_path / 'stack'}"), tmp_path / "no")
    with pytest.raises(Refusal, match="neither a checkpoint nor a run folder"):
        train(tiny("mlp_classifier", f"init_from={tmp_path / 'nowhere'}"), tmp_path / "no")


def test_equal_counters_and_biases_are_no_start(tmp_path: Path) -> None:
    train(tiny("classifier", "test=false"), tmp_path / "run")
    other = build_task(tiny("classifier", "model.network.channels=[5,6]", "model.network.features=9")).network
    with pytest.raises(Refusal, match="nothing of its ConvClassifier has the name and shape"):
        start_network_from(other, data_of(load(tmp_path / "run")), str(tmp_path / "run"))


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
    figure = confusion_matrix(torch.tensor([[1, 1], [0, 1]]), ["cat", "dog"])
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
        (
            tiny("vae", "dataset.image_size=[12,12]"),
            r"classifies images of FakeImages, \(1, 16, 16\), but these are of",
        ),
        (
            tiny("vae", "dataset=sklearn_digits", "dataset.image_size=[8,8]"),
            r"but these are of Digits, \(1, 8, 8\); judge by a run of model=classifier on the same data set",
        ),
    ):
        said["callbacks"]["sample_quality"] = node
        with pytest.raises(Refusal, match=sentence):
            train(said, tmp_path / "refused")
        assert not (tmp_path / "refused").exists()


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
    assert act("run=texts", "action=nearest", "count=3").count("nearest to test ") == 2  # of five
    said = act("run=texts", "action=nearest", "text=topic2word1, topic2word4 (topic2word7)", "count=4")
    assert said.count("topic2word") >= 4
    said = act("run=texts", "action=nearest", "index=5", "count=3")
    query = FakeTexts(vocabulary_size=60, batch_size=16, val_size=16).read()["test"]
    assert f"nearest to test 5 ({query.labels[5]}): '{query.texts[5][:20]}" in said
    (rows,) = [
        rows for rows in map(read_csv, (tmp_path / "texts/nearest").glob("*/nearest.csv")) if rows[0]["index"] == "5"
    ][:1]
    assert [(row["split"], row["query_label"], row["query_text"]) for row in rows] == [
        ("test", query.labels[5], query.texts[5])
    ] * 3
    assert all(row["text"].count(row["label"]) == 10 for row in rows)
    assert "codes.npy" in act("run=texts", "action=embed", "text=topic2word1")
    (file,) = [path for path in (tmp_path / "texts/embed").glob("*/codes.npy") if len(np.load(path)) == 1]
    model = load(tmp_path / "texts")
    expected = model.task.network.encode(data_of(model).vector("topic2word1"))
    assert np.load(file) == pytest.approx(expected.detach().numpy())
    assert "None of the words in '42'" in no("run=texts", "action=embed", "text=42")
    assert "not from texts" in no("run=images", "action=embed", "text=hello")
    said = act("run=images", "action=probe", "labels=[20,1000]")
    assert "1000 labels were requested, but there are 48 training examples: left out." in said
    assert "20 labels" in said
    assert "nearest.png" in act("run=images", "action=nearest", "index=5", "split=train", "count=3")
    (file,) = [path for path in (tmp_path / "images/nearest").glob("*/nearest.csv") if "\n1," not in path.read_text()]
    neighbours = read_csv(file)
    assert {(row["split"], row["index"]) for row in neighbours} == {("train", "5")}
    assert not any(row["training_example"] == "5" for row in neighbours)
    assert "20 examples, counted from 0" in no("run=images", "action=nearest", "index=20")
    assert "not from texts" in no("run=images", "action=nearest", "text=hello")
    assert "not from images" in no("run=texts", "action=nearest", "image=a.png")
    assert "Give one query" in no("run=texts", "action=nearest", "text=a", "index=1")
    assert "The text is empty" in no("run=texts", "action=nearest", "text= ")
    assert "neighbours are wanted" in no("run=texts", "action=nearest", "index=1", "count=1000")
    assert "There is no image file" in no("run=images", "action=nearest", "image=a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    assert "can't be read as an image" in no("run=images", "action=nearest", "image=b.png")
    assert "labels were requested" in no("run=images", "action=probe", "labels=[1000]")
    assert "action=reconstruct needs images" in no("run=texts", "action=reconstruct")
    assert re.search(r"denoised +PSNR .* dB → .* dB \(10 images\)", act("run=images", "action=denoise"))


def test_an_actions_options_need_no_prefix() -> None:
    def once(said: str) -> str:
        return spelt_out(said, several=False)

    assert once("count=3") == "action.count=3"
    assert once("labels=[1,2]") == "action.labels=[1,2]"
    for text in ("it's (not), 2", "red, green", "a (1).png", "42", "1e3"):
        assert text_of(once(f"text={text}")) == text_of(once(f"action.text={text}")) == text
    assert text_of(once("text='42'")) == "42"
    assert once("text=null") == "action.text=null"
    assert spelt_out("seed=1,2", several=True) == "action.seed=1,2"
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
    picture = torch.rand(1, 1, 16, 16)
    save_image(picture, tmp_path / "noisy.png")
    model = load(tmp_path / "run")
    with torch.no_grad():
        expected = model.task.reconstruct((picture * 255).round() / 255)
    for action in ("denoise", "reconstruct"):
        said = command("run=run", f"action={action}", "image=noisy.png", cwd=tmp_path, module="apply")
        (file,) = (tmp_path / "run" / action).glob("*/output.png")
        assert "output.png" in said.stdout
        assert np.asarray(Image.open(file))[..., 0] / 255 == pytest.approx(expected[0, 0].numpy(), abs=0.003)
    for arguments, sentence in (
        (["image=noisy.png", "level=0.5"], "level is the noise added to test images"),
        (["level=1.5"], "level 1.5: Masking takes 0 to 1"),
    ):
        refused = command("run=run", "action=denoise", *arguments, cwd=tmp_path, module="apply")
        assert refused.returncode == 1
        assert sentence in refused.stderr


def test_an_image_is_classified_from_the_command_line(tmp_path: Path) -> None:
    train(tiny("classifier", "+dataset.class_names=[a,b,c,d,e,f,g,h,i,j]"), tmp_path / "run")
    save_image(torch.rand(1, 1, 20, 20), tmp_path / "42.png")
    model = load(tmp_path / "run")
    with torch.no_grad():
        expected = torch.softmax(model.task.network(image_from(model, str(tmp_path / "42.png"))), 1)[0]
    said = command("run=run", "action=classify", "image=42.png", cwd=tmp_path, module="apply")
    assert said.returncode == 0, said.stderr
    (file,) = (tmp_path / "run/classify").glob("*/classes.csv")
    rows = read_csv(file)
    order = expected.argsort(descending=True).tolist()
    assert [row["class"] for row in rows] == ["abcdefghij"[k] for k in order]
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected[order].tolist(), rel=1e-4)
    assert f"{100 * float(expected.max()):.1f} %" in said.stdout
    assert (file.parent / "classes.png").stat().st_size > 1000
    file.unlink()
    assert command("run=run", "action=classify", "count=12", cwd=tmp_path, module="apply").returncode == 0
    (file,) = (tmp_path / "run/classify").glob("*/classes.csv")
    truths = [row["truth"] for row in read_csv(file) if row["rank"] == "1"]
    assert truths == ["abcdefghij"[k] for k in examples(model, 12)["label"].tolist()]
    train(tiny("autoencoder", "test=false"), tmp_path / "other")
    other = command("run=other", "action=classify", cwd=tmp_path, module="apply")
    assert "action=classify needs num_classes" in other.stderr


def test_the_confusion_matrix_is_of_the_whole_split(tmp_path: Path) -> None:
    config = tiny("classifier", "callbacks=default", "dataset.test_size=60", "callbacks.figures.examples=5")
    with patch("scalian_exp.tasks.classification.confusion_matrix", wraps=confusion_matrix) as drawn:
        metrics = train(config, tmp_path)
    counts = drawn.call_args[0][0]
    assert counts.sum(1).tolist() == [6] * 10
    assert 1 - float(counts.trace()) / 60 == pytest.approx(metrics["test/error"], abs=1e-6)


def test_words_that_mean_something_else_are_no_start(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    colours, fruits = (
        "label,text\n" + "".join(f"{index % 2},{a} {b}\n" for index in range(6))
        for a, b in (("red", "blue"), ("plum", "fig"))
    )
    data = ["dataset=text_csv", f"dataset.root={tmp_path / 'texts'}", "dataset.vocabulary_size=2", "dataset.val_size=2"]
    for text in (colours, fruits):
        for split in ("train", "test"):
            (tmp_path / f"texts/{split}.csv").write_text(text)
        if text == colours:
            train(tiny("text_autoencoder", *data), tmp_path / "run")
            train(tiny("text_autoencoder", *data, f"init_from={tmp_path / 'run'}"), tmp_path / "same")
    with pytest.raises(Refusal, match="learned from inputs of another vocabulary"):
        train(tiny("text_autoencoder", *data, f"init_from={tmp_path / 'run'}"), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_a_stack_says_which_layers_have_no_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    three = ["model.network.hidden=[8,7,6]", "model.epochs_per_layer=2", "test=false"]
    train(tiny("stacked_autoencoder", *three, "trainer.max_epochs=3"), tmp_path / "short")
    assert caplog.messages.count(
        "trains 2 of 3 layers (trainer.max_epochs=3, model.epochs_per_layer=2); for all of them give "
        "trainer.max_epochs=6"
    )
    caplog.clear()
    train(tiny("stacked_autoencoder", *three, "trainer.max_epochs=5"), tmp_path / "long")
    assert not any("layers" in message for message in caplog.messages)


def test_the_summary_claims_nothing_of_parts_that_were_not_called() -> None:
    table = summary(build_task(tiny("gan")).network, torch.zeros(1, 2))
    columns = [list(column.cells) for column in table.columns]
    rows = {cells[0]: cells[1:] for cells in zip(*columns, strict=True)}
    assert rows["discriminator"][-2:] == ("–", "–")
    assert rows["generator"][-2] == "1×16×16"
    assert rows["generator"][-1] == rows["all"][-1] != "0"


def test_the_summarys_parts_add_up_to_all_of_it() -> None:
    """Lists of parts too, which nobody calls as a whole."""
    table = summary(build_task(tiny("unet")).network, torch.zeros(1, 3, 32, 32))
    names, *_, told = (list(column.cells) for column in table.columns)
    flops = {name: int(str(cell).replace(",", "").replace("–", "0")) for name, cell in zip(names, told, strict=True)}
    everything = flops.pop("all")
    assert flops["down"] > 0
    assert sum(flops.values()) == everything


def test_a_probe_scales_representations_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(5, (10, 0.1), (500, 2))
    scaled, same = standardised(x, x)
    assert np.array_equal(scaled, same)
    assert scaled.mean(0) == pytest.approx([0, 0], abs=1e-9)
    assert np.square(scaled).mean() == pytest.approx(1)
    assert scaled.std(0)[0] / scaled.std(0)[1] == pytest.approx(x.std(0)[0] / x.std(0)[1])
    dense, _ = standardised(sparse.csr_matrix(x), x)
    assert dense.toarray() == pytest.approx(x / np.sqrt(np.square(x).mean()))


def test_as_many_components_as_inputs_are_no_competitor() -> None:
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    assert list(competitors(Split(x[:, :3], x, None), Split(x[:, :3], x, None))) == [
        "codes (3)",
        "pca (3)",
        "inputs (4)",
    ]
    assert list(competitors(Split(x, x, None), Split(x, x, None))) == ["codes (4)", "inputs (4)"]


@pytest.mark.parametrize("size", [1000, 1001, 1957, 10_000, 26_032])
def test_an_action_takes_as_many_test_examples_as_are_asked_for(size: int) -> None:
    """All different, from the first to the last."""
    model: Any = SimpleNamespace()
    data = SimpleNamespace(splits={"test": numbered(size)})
    with patch("scalian_exp.actions.action.prepared", lambda *given: given[-1]):
        taken = spread(model, data, 1000)["image"]
    assert len(taken.unique()) == len(taken) == 1000
    assert (int(taken[0]), int(taken[-1])) == (0, size - 1)
