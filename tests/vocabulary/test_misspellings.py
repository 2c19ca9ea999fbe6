"""What a sentence suggests in place of a wrong name is never something else than was meant."""

from pathlib import Path

import pytest

from scalian_exp import compose
from scalian_exp.build import build
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.options import may_misspell


def refusal_of(*overrides: str) -> str:
    with pytest.raises(Refusal) as caught:
        compose(*overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        *(("latent_dm", "latent_dim", True), ("batchsize", "batch_size", True), ("max_epoch", "max_epochs", True)),
        *(("min_steps", "max_steps", False), ("train_size", "val_size", False), ("train_size", "trainer", False)),
        *(("limit_val_batches", "limit_train_batches", False), ("lrr", "lr", True)),
    ],
)
def test_words_that_differ_are_not_misspelt(name: str, other: str, expected: bool) -> None:
    assert may_misspell(name, other) == expected


@pytest.mark.parametrize("key", ["trainer.min_steps", "trainer.min_epochs", "model.optimizer.amsgrad"])
def test_an_argument_that_the_class_takes_is_added_by_a_plus(key: str) -> None:
    model = ["model=autoencoder"]
    message = refusal_of(*model, f"{key}=2")
    assert message.startswith(f"This experiment doesn't set {key}, but ")
    assert message.endswith(f"takes it; write '+{key}=…'")
    if key.startswith("trainer"):
        assert compose(*model, f"+{key}=2")["trainer"][key.partition(".")[2]] == 2


def test_no_other_quantity_is_suggested() -> None:
    message = refusal_of("dataset.train_size=500")
    assert message == (
        "There is no dataset.train_size in this experiment; scalian_exp.datasets.bundled.FashionMNISTSample takes "
        "in_channels, image_size, batch_size, val_size, resample_binary, balanced, fold."
    )
    assert "did you mean" not in refusal_of("+dataset.train_size=500")


def test_a_misspelt_class_has_its_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halves_here.py").write_text("class Halves:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, sentence in (("Halfs", "halves_here has no Halfs; did you mean Halves?"), ("Qq", "has no Qq; correct")):
        with pytest.raises(Refusal) as caught:
            build("model.network", {"_target_": f"halves_here.{name}"})
        assert sentence in str(caught.value)
        assert "No module" not in str(caught.value)


HEADER = "# @package _global_"


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("model", "defaults: [vae, _self_]\nmodel:\n  network:\n    latent_dim: 3\n"),
        ("model", "model:\n  _target_: a.B\n  fits: { task: reconstruction }\n"),
        ("model", "defaults: [base/reconstruction, {override /dataset: mnist}]\nmodel: {}\n"),
        ("experiment", "defaults: [{override /model: vae}]\nseed: 2\n"),
        ("experiment", "model:\n  network:\n    latent_dim: 3\n"),
        ("loss", "loss:\n  _target_: a.B\n"),
    ],
)
def test_a_file_without_its_first_line_is_told_to_have_it(group: str, text: str, tmp_path: Path) -> None:
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(text)
    message = refusal_of(f"{group}=mine", f"hydra.searchpath=[{tmp_path}]")
    assert message.endswith(f" must be {HEADER}")
    assert f"{group}/" in message


def test_a_misspelt_task_is_not_blamed_on_the_loss(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for task, advice in (("variatonal", "did you mean variational?"), ("xyz", "there are ")):
        text = f"{HEADER}\ndefaults: [vae, _self_]\nmodel:\n  fits: {{ task: {task} }}\n"
        (tmp_path / "model" / f"{task}.yaml").write_text(text)
        message = refusal_of(f"model={task}", f"hydra.searchpath=[{tmp_path}]")
        assert f"has fits.task: {task}, a task that no loss is for; {advice}" in message
