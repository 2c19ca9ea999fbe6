"""Actions on representations: neighbours, probes, denoising, classification."""

import json
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
from tools import numbered, read_csv, tiny

from scalian_exp.actions.action import data_of, examples, image_from, save_image, spread
from scalian_exp.actions.probe import standardised
from scalian_exp.actions.representations import Split, competitors
from scalian_exp.checkpoint import load
from scalian_exp.commandline.actions import as_override
from scalian_exp.datasets.texts import FakeTexts
from scalian_exp.figures.classes import confusion_matrix
from scalian_exp.run.training import train
from scalian_exp.vocabulary.grammar import text_of


def test_nearest_and_probe_from_the_command_line(tmp_path: Path) -> None:
    train(tiny("autoencoder"), tmp_path / "images")
    train(tiny("text_autoencoder", "trainer.max_epochs=30"), tmp_path / "texts")

    def act(*arguments: str) -> str:
        result = command(*arguments, cwd=tmp_path, module="apply")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def refusal(*arguments: str) -> str:
        result = command(*arguments, cwd=tmp_path, module="apply")
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        return result.stderr

    for run in ("images", "texts"):
        output = act(f"run={run}", "action=nearest", "count=3")
        assert "precision@10" in output
        assert "codes (" in output
        (file,) = (tmp_path / run / "nearest").glob("*/metrics.json")
        values = json.loads(file.read_text())
        assert all(0 <= value <= 1 for value in values.values())
        assert "linear probe" in act(f"run={run}", "action=probe", "labels=[20,null]")
        assert "codes.npy" in act(f"run={run}", "action=embed")
    assert act("run=texts", "action=nearest", "count=3").count("nearest to test ") == 2  # of five
    output = act("run=texts", "action=nearest", "text=topic2word1, topic2word4 (topic2word7)", "count=4")
    assert output.count("topic2word") >= 4
    output = act("run=texts", "action=nearest", "index=5", "count=3")
    query = FakeTexts(vocabulary_size=60, batch_size=16, val_size=16).read()["test"]
    assert f"nearest to test 5 ({query.labels[5]}): '{query.texts[5][:20]}" in output
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
    assert "None of the words in '42'" in refusal("run=texts", "action=embed", "text=42")
    assert "not from texts" in refusal("run=images", "action=embed", "text=hello")
    output = act("run=images", "action=probe", "labels=[20,1000]")
    assert "1000 labels were requested, but there are 48 training examples: left out." in output
    assert "20 labels" in output
    assert "nearest.png" in act("run=images", "action=nearest", "index=5", "split=train", "count=3")
    (file,) = [path for path in (tmp_path / "images/nearest").glob("*/nearest.csv") if "\n1," not in path.read_text()]
    neighbours = read_csv(file)
    assert {(row["split"], row["index"]) for row in neighbours} == {("train", "5")}
    assert not any(row["training_example"] == "5" for row in neighbours)
    assert "20 examples, counted from 0" in refusal("run=images", "action=nearest", "index=20")
    assert "not from texts" in refusal("run=images", "action=nearest", "text=hello")
    assert "not from images" in refusal("run=texts", "action=nearest", "image=a.png")
    assert "Give one query" in refusal("run=texts", "action=nearest", "text=a", "index=1")
    assert "The text is empty" in refusal("run=texts", "action=nearest", "text= ")
    assert "neighbours are wanted" in refusal("run=texts", "action=nearest", "index=1", "count=1000")
    assert "There is no image file" in refusal("run=images", "action=nearest", "image=a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    assert "can't be read as an image" in refusal("run=images", "action=nearest", "image=b.png")
    assert "labels were requested" in refusal("run=images", "action=probe", "labels=[1000]")
    assert "action=reconstruct needs images" in refusal("run=texts", "action=reconstruct")
    assert re.search(r"denoised +PSNR .* dB → .* dB \(10 images\)", act("run=images", "action=denoise"))


def test_an_actions_options_need_no_prefix() -> None:
    def expanded(argument: str) -> str:
        return as_override(argument, several=False)

    assert expanded("count=3") == "action.count=3"
    assert expanded("labels=[1,2]") == "action.labels=[1,2]"
    for text in ("it's (not), 2", "red, green", "a (1).png", "42", "1e3"):
        assert text_of(expanded(f"text={text}")) == text_of(expanded(f"action.text={text}")) == text
    assert text_of(expanded("text='42'")) == "42"
    assert expanded("text=null") == "action.text=null"
    assert as_override("seed=1,2", several=True) == "action.seed=1,2"
    for argument in ("run=a", "action=sample", "--help", "action.count=3", "+action.x=1"):
        assert expanded(argument) == argument


def test_denoising_reports_its_gain(tmp_path: Path) -> None:
    metrics = train(tiny("denoising_autoencoder", "model.noise_levels=[0.0,0.5]"), tmp_path / "run")
    assert {"test/psnr_gain_0", "test/psnr_gain_0.5"} <= metrics.keys()
    assert metrics["test/psnr_gain_0"] < 0  # nothing to gain: the input is the clean image, 100 dB
    without = train(tiny("denoising_autoencoder", "model.corruption=null", "callbacks=default"), tmp_path / "without")
    assert not any("gain" in name for name in without)
    result = command("run=run", "action=denoise", "level=0.5", cwd=tmp_path, module="apply")
    assert "dB" in result.stdout
    assert "denoised.png" in result.stdout
    picture = torch.rand(1, 1, 16, 16)
    save_image(picture, tmp_path / "noisy.png")
    model = load(tmp_path / "run")
    with torch.no_grad():
        expected = model.task.reconstruct((picture * 255).round() / 255)
    for action in ("denoise", "reconstruct"):
        result = command("run=run", f"action={action}", "image=noisy.png", cwd=tmp_path, module="apply")
        (file,) = (tmp_path / "run" / action).glob("*/output.png")
        assert "output.png" in result.stdout
        assert np.asarray(Image.open(file))[..., 0] / 255 == pytest.approx(expected[0, 0].numpy(), abs=0.003)
    for arguments, sentence in (
        (["image=noisy.png", "level=0.5"], "level is the noise added to test images"),
        (["level=1.5"], "level 1.5: Masking takes 0 to 1"),
    ):
        result = command("run=run", "action=denoise", *arguments, cwd=tmp_path, module="apply")
        assert result.returncode == 1
        assert sentence in result.stderr


def test_an_image_is_classified_from_the_command_line(tmp_path: Path) -> None:
    train(tiny("classifier", "+dataset.class_names=[a,b,c,d,e,f,g,h,i,j]"), tmp_path / "run")
    save_image(torch.rand(1, 1, 20, 20), tmp_path / "42.png")
    model = load(tmp_path / "run")
    with torch.no_grad():
        expected = torch.softmax(model.task.network(image_from(model, str(tmp_path / "42.png"))), 1)[0]
    result = command("run=run", "action=classify", "image=42.png", cwd=tmp_path, module="apply")
    assert result.returncode == 0, result.stderr
    (file,) = (tmp_path / "run/classify").glob("*/classes.csv")
    rows = read_csv(file)
    order = expected.argsort(descending=True).tolist()
    assert [row["class"] for row in rows] == ["abcdefghij"[k] for k in order]
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected[order].tolist(), rel=1e-4)
    assert f"{100 * float(expected.max()):.1f} %" in result.stdout
    assert (file.parent / "classes.png").stat().st_size > 1000
    file.unlink()
    assert command("run=run", "action=classify", "count=12", cwd=tmp_path, module="apply").returncode == 0
    (file,) = (tmp_path / "run/classify").glob("*/classes.csv")
    truths = [row["truth"] for row in read_csv(file) if row["rank"] == "1"]
    assert truths == ["abcdefghij"[k] for k in examples(model, 12)["label"].tolist()]
    train(tiny("autoencoder", "test=false"), tmp_path / "other")
    other = command("run=other", "action=classify", cwd=tmp_path, module="apply")
    assert "action=classify needs classes that it tells apart" in other.stderr


def test_the_confusion_matrix_covers_the_entire_split(tmp_path: Path) -> None:
    config = tiny("classifier", "callbacks=default", "dataset.test_size=60", "callbacks.figures.examples=5")
    with patch("scalian_exp.tasks.classification.confusion_matrix", wraps=confusion_matrix) as drawn:
        metrics = train(config, tmp_path)
    counts = drawn.call_args[0][0]
    assert counts.sum(1).tolist() == [6] * 10
    assert 1 - float(counts.trace()) / 60 == pytest.approx(metrics["test/error"], abs=1e-6)


def test_a_probe_scales_all_features_by_one_factor() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(5, (10, 0.1), (500, 2))
    scaled, same = standardised(x, x)
    assert np.array_equal(scaled, same)
    assert scaled.mean(0) == pytest.approx([0, 0], abs=1e-9)
    assert np.square(scaled).mean() == pytest.approx(1)
    assert scaled.std(0)[0] / scaled.std(0)[1] == pytest.approx(x.std(0)[0] / x.std(0)[1])
    dense, _ = standardised(sparse.csr_matrix(x), x)
    assert dense.toarray() == pytest.approx(x / np.sqrt(np.square(x).mean()))


def test_pca_with_as_many_components_as_inputs_is_not_compared() -> None:
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    assert list(competitors(Split(x[:, :3], x, None), Split(x[:, :3], x, None))) == [
        "codes (3)",
        "pca (3)",
        "inputs (4)",
    ]
    assert list(competitors(Split(x, x, None), Split(x, x, None))) == ["codes (4)", "inputs (4)"]


@pytest.mark.parametrize("size", [1000, 1001, 1957, 10_000, 26_032])
def test_an_action_takes_the_requested_number_of_test_examples(size: int) -> None:
    """They are distinct and spread from the first to the last."""
    model: Any = SimpleNamespace()
    data = SimpleNamespace(splits={"test": numbered(size)})
    with patch("scalian_exp.actions.action.prepared", lambda *given: given[-1]):
        taken = spread(model, data, 1000)["image"]
    assert len(taken.unique()) == len(taken) == 1000
    assert (int(taken[0]), int(taken[-1])) == (0, size - 1)
