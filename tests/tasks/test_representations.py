"""Layerwise training of autoencoders, and runs whose weights initialise another network."""

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from tools import tiny

from scalian_exp.actions.action import data_of
from scalian_exp.build import build_task
from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal
from scalian_exp.run.init_from import start_network_from
from scalian_exp.run.training import train
from scalian_exp.tasks.greedy import LayerByLayer

STACK = ["model.network.hidden=[8,6]", "model.epochs_per_layer=1", "trainer.max_epochs=2"]


def test_layers_are_trained_one_after_the_other(tmp_path: Path) -> None:
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


def test_a_classifier_is_initialised_from_the_stack_and_keeps_its_head(tmp_path: Path) -> None:
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


def test_matching_counters_and_biases_alone_do_not_initialise_a_network(tmp_path: Path) -> None:
    train(tiny("classifier", "test=false"), tmp_path / "run")
    other = build_task(tiny("classifier", "model.network.channels=[5,6]", "model.network.features=9")).network
    with pytest.raises(Refusal, match="nothing of its ConvClassifier has the name and shape"):
        start_network_from(other, data_of(load(tmp_path / "run")), str(tmp_path / "run"))


def test_weights_of_another_vocabulary_do_not_initialise_a_network(tmp_path: Path) -> None:
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


def test_a_stack_reports_layers_that_are_not_trained(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    three = ["model.network.hidden=[8,7,6]", "model.epochs_per_layer=2", "test=false"]
    train(tiny("stacked_autoencoder", *three, "trainer.max_epochs=3"), tmp_path / "short")
    assert caplog.messages.count(
        "trains 2 of 3 layers (trainer.max_epochs=3, model.epochs_per_layer=2); to train all, use trainer.max_epochs=6"
    )
    caplog.clear()
    train(tiny("stacked_autoencoder", *three, "trainer.max_epochs=5"), tmp_path / "long")
    assert not any("layers" in message for message in caplog.messages)


@pytest.mark.parametrize(("limit", "last"), [("trainer.max_epochs=5", 15), ("trainer.max_steps=13", 13)])
def test_schedules_restart_with_each_layer_by_steps(limit: str, last: int, tmp_path: Path) -> None:
    """Ten batches, four at a time, make three steps an epoch: six for the first layer of two, the rest for the last."""
    seen = dict[int, float]()
    progress = LayerByLayer.progress

    def record(task: LayerByLayer, step: int) -> float:
        return seen.setdefault(step, progress(task, step))

    batches = ["dataset.batch_size=2", "trainer.limit_train_batches=10", "trainer.accumulate_grad_batches=4"]
    layers = ["model.network.hidden=[8,6]", "model.epochs_per_layer=2", "model/schedule=linear"]
    with patch.object(LayerByLayer, "progress", record):
        train(tiny("stacked_autoencoder", *layers, *batches, "trainer.max_epochs=5", limit, "test=false"), tmp_path)
    expected = [step / 6 for step in range(6)] + [(step - 6) / (last - 6) for step in range(6, last + 1)]
    assert [seen[step] for step in range(last + 1)] == pytest.approx(expected)
