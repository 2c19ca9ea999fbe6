"""Training stacks of RBMs, and what is done with them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tools import tiny

from scalian_exp.actions.action import data_of, examples
from scalian_exp.actions.classify import Classify
from scalian_exp.actions.compare_features import CompareFeatures, as_photos, imagenet_network
from scalian_exp.actions.complete import Complete
from scalian_exp.actions.denoise import Denoise
from scalian_exp.actions.filters import Filters
from scalian_exp.actions.sample import Sample
from scalian_exp.apply import apply
from scalian_exp.batches import called
from scalian_exp.build import build, build_task
from scalian_exp.callbacks.seeding import SeededEpochs
from scalian_exp.checkpoint import load
from scalian_exp.datasets.images import TensorBatches
from scalian_exp.datasets.order import ShuffledBatches
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.networks.autoencoder import DenseAutoencoder
from scalian_exp.networks.corruptions import SaltAndPepper
from scalian_exp.networks.dbn import DeepBeliefNetwork
from scalian_exp.networks.dbn_labels import LabelledDBN
from scalian_exp.networks.units import Bernoulli, Gaussian, Softmax
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.vocabulary.options import options

NOT_OF_LBFGS = ("momentum", "weight_decay", "fused")
STACK = ["model.network.hidden=[12, 9, 6]", "model.epochs_per_layer=2", "trainer.max_epochs=6"]


def network_after(epochs: int, folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    train(tiny("dbn", *STACK, *overrides, f"trainer.max_epochs={epochs}"), folder)
    state: dict[str, torch.Tensor] = load(folder / "checkpoints/last.ckpt").task.network.state_dict()
    return state


def test_only_the_layer_whose_turn_it_is_learns(tmp_path: Path) -> None:
    states = [network_after(epochs, tmp_path / str(epochs)) for epochs in (1, 2, 4, 5)]
    for (before, after), layer in zip(((0, 1), (1, 2), (2, 3)), (0, 1, 2), strict=True):
        learned = [name for name in states[0] if name.endswith(("weight", "bias"))]
        changed = {name.split(".")[1] for name in learned if not torch.equal(states[before][name], states[after][name])}
        assert changed == {str(layer)}


def test_a_layer_of_a_stack_learns_what_an_rbm_on_the_same_codes_learns(tmp_path: Path) -> None:
    config = tiny("dbn", *STACK, "trainer.max_epochs=3")
    train(config, tmp_path / "run")
    learned = load(tmp_path / "run/checkpoints/last.ckpt").task.network
    data = build("dataset", config["dataset"])
    data.setup("fit")
    images = data.splits["train"].examples["image"].float() / 255
    with torch.no_grad():
        codes = torch.sigmoid(learned.rbms[0].hidden_input(images.flatten(1)))
    torch.manual_seed(config["seed"])
    task = build_task(config)
    rbm, loss = task.network.rbms[1], task.loss
    rbm.load_state_dict({**rbm.state_dict(), "weight": untrained_weight(config, tmp_path)})
    rbm.start_from(codes.mean(0))
    optimizer = task.optimizer(
        [{"params": [rbm.weight]}, {"params": [rbm.visible_bias, rbm.hidden_bias], "weight_decay": 0.0}]
    )
    torch.manual_seed(config["seed"])
    batches = ShuffledBatches(TensorBatches({"image": codes}), config["dataset"]["batch_size"], epoch=2)
    SeededEpochs(config["seed"]).seed_all(2, 0)
    for indices in batches:
        optimizer.zero_grad()
        loss(rbm, bernoulli(codes[indices]), layer=1).loss.backward()
        optimizer.step()
    torch.testing.assert_close(learned.rbms[1].weight, rbm.weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(learned.rbms[1].visible_bias, rbm.visible_bias, rtol=0, atol=1e-5)


def untrained_weight(config: dict[str, Any], folder: Path) -> torch.Tensor:
    """Of the second layer before its turn."""
    train({**config, "trainer": {**config["trainer"], "max_epochs": 1}}, folder / "start")
    weight: torch.Tensor = load(folder / "start/checkpoints/last.ckpt").task.network.rbms[1].weight.detach()
    return weight


def test_training_resumes_inside_any_layer(tmp_path: Path) -> None:
    whole = network_after(6, tmp_path / "whole")
    for epochs in (1, 2, 3, 5):
        network_after(epochs, tmp_path / str(epochs))
        train(*resumed([f"resume={tmp_path / str(epochs)}", "trainer.max_epochs=6"]))
        parts = load(tmp_path / str(epochs) / "checkpoints/last.ckpt").task.network.state_dict()
        assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_centring_keeps_offsets_near_the_means(tmp_path: Path) -> None:
    train(tiny("rbm", "model.network.centred=true"), tmp_path)
    rbm = load(tmp_path).task.network.rbms[0]
    data = data_of(load(tmp_path))
    v = data.prepare(data.splits["train"][torch.arange(48)])["image"].flatten(1)
    torch.testing.assert_close(rbm.visible_offset, v.mean(0), rtol=0, atol=1e-5)
    with torch.no_grad():
        rbm.weight.normal_()
    before = rbm.hidden.mean(rbm.hidden_input(v)).mean(0)
    for _ in range(1000):
        rbm.recentre(v)
    torch.testing.assert_close(rbm.hidden_offset, before, rtol=0, atol=1e-3)  # the distribution is the same still


def test_gaussian_units_see_standardised_pixels(tmp_path: Path) -> None:
    config = tiny("rbm_gaussian")
    train(config, tmp_path)
    network = load(tmp_path).task.network
    data = build("dataset", config["dataset"])
    data.setup("fit")
    v = network.visible(data.splits["train"].examples["image"].float() / 255)
    torch.testing.assert_close(v.mean(0), torch.zeros(v.shape[1]), rtol=0, atol=1e-3)
    torch.testing.assert_close(v.std(0, correction=0), torch.ones(v.shape[1]), rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["dataset.binary=false"], "grey pixels"),
        (
            ["model.network.visible_units._target_=scalian_exp.networks.units.Gaussian", "model.draw_pixels=true"],
            "binary",
        ),
        (
            ["model.optimizer._target_=torch.optim.Adam", "~model.optimizer.momentum", "+model.momentum._target_=x"],
            "none",
        ),
        (["model.likelihood.steps=[1,2]"], "three numbers"),
        (
            ["model.optimizer._target_=torch.optim.LBFGS", *(f"~model.optimizer.{k}" for k in NOT_OF_LBFGS)],
            "LBFGS doesn't support per-parameter options",
        ),
        (["model.likelihood.runs=1"], "standard error"),
    ],
)
def test_what_cannot_work_is_refused(overrides: list[str], sentence: str, tmp_path: Path) -> None:
    if overrides[-1].endswith("=x"):
        overrides[-1:] = ["model.momentum={_target_: scalian_exp.schedules.Switch, before: 0.5, after: 0.9, at: 0.2}"]
    with pytest.raises(Refusal, match=sentence):
        train(tiny("rbm", *overrides), tmp_path / "run")


def test_a_stack_unrolls_into_a_classifier_and_an_autoencoder(tmp_path: Path) -> None:
    network_after(6, tmp_path / "stack")
    stack = load(tmp_path / "stack").task.network
    start = [f"init_from={tmp_path / 'stack'}", "model.optimizer.lr=1e-12"]
    train(tiny("dbn_classifier", "model.network.hidden=[12, 9, 6]", *start), tmp_path / "classifier")
    images = torch.rand(5, *stack.shape)
    classifier = load(tmp_path / "classifier").task.network
    torch.testing.assert_close(classifier.encode(images), stack.encode(images), rtol=0, atol=1e-4)
    sigmoid = "model.network.activation._target_=torch.nn.Sigmoid"
    code = "model.network.code_activation._target_=torch.nn.Sigmoid"
    widths = ["model.network.hidden=[12, 9]", "model.network.latent_dim=6", sigmoid, code, *start]
    train(tiny("autoencoder", *widths), tmp_path / "autoencoder")
    autoencoder = load(tmp_path / "autoencoder").task.network
    torch.testing.assert_close(torch.sigmoid(autoencoder(images)), torch.sigmoid(stack(images)), rtol=0, atol=1e-4)


def test_other_units_than_the_stacks_are_refused(tmp_path: Path) -> None:
    """Logistic weights mean nothing to a ReLU, nor those of a Bernoulli code to a linear one."""
    network_after(6, tmp_path / "stack")
    start = ["model.network.hidden=[12, 9]", "model.network.latent_dim=6", f"init_from={tmp_path / 'stack'}"]
    logistic = "model.network.activation._target_=torch.nn.Sigmoid"
    linear = "layer 3 has Bernoulli units there, but Identity here"
    for overrides, sentence in (([], "layer 1 has Bernoulli units there, but ReLU here"), ([logistic], linear)):
        with pytest.raises(Refusal, match=sentence):
            train(tiny("autoencoder", *start, *overrides), tmp_path / "run")


def test_a_stack_untied_unrolls_into_both_its_ways() -> None:
    stack = LabelledDBN(1, [2, 2], [3, 2], num_classes=4)
    stack.rbms[-1].visible_mean.fill_(0.25)
    stack.untie()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.normal_()
    network = DenseAutoencoder(1, [2, 2], [3], 2, torch.nn.Sigmoid, torch.nn.Sigmoid)
    network.load_state_dict(stack.weights_for(network))
    codes, images = torch.rand(5, 2), torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(network.encode(images), stack.encode(images))
    torch.testing.assert_close(torch.sigmoid(network.decode(codes)), torch.sigmoid(stack.decode(codes)))
    lower = stack.generative[0].weight  # (pixels, 3)
    torch.testing.assert_close(stack.filters(0).flatten(1), lower.T)
    torch.testing.assert_close(stack.filters(1).flatten(1), stack.rbms[1].weight[:, :3] @ lower.T)


def test_nothing_is_drawn_from_an_unfinished_stack(tmp_path: Path) -> None:
    network_after(2, tmp_path / "stack")
    said: dict[str, Any] = {"run": str(tmp_path / "stack"), "device": "cpu", "trust": [], "dataset": {"root": None}}
    for name in ("sample", "complete", "denoise", "embed"):
        with pytest.raises(Refusal, match="upper 2 of this stack's layers"):
            apply({**said, "name": name, "action": options("action")[name]})


def test_what_began_from_chance_can_be_drawn_from(tmp_path: Path) -> None:
    train(tiny("dbn_up_down"), tmp_path / "run")
    model = load(tmp_path / "run")
    assert model.task.network.layers_untrained == 0
    assert Sample(count=2, frames=1).run(model, tmp_path / "out")


def test_unrolling_takes_offsets_into_account() -> None:
    stack = DeepBeliefNetwork(1, [2, 2], [3, 2], centred=True)
    for name, tensor in stack.state_dict().items():
        if name.startswith("rbms"):
            tensor.copy_(torch.randn(tensor.shape))
    network = DenseAutoencoder(1, [2, 2], [3], 2, torch.nn.Sigmoid, torch.nn.Sigmoid)
    network.load_state_dict(stack.weights_for(network))
    images = torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(torch.sigmoid(network(images)), torch.sigmoid(stack(images)), rtol=0, atol=1e-5)


def test_unrolling_takes_standardised_pixels_and_labels_into_account() -> None:
    gaussian = DeepBeliefNetwork(1, [2, 2], [3, 2], Gaussian())
    gaussian.standardise(torch.tensor([0.5, 0.2, 0.1, 0.7]), torch.tensor([0.2, 0.3, 0.4, 0.1]))
    labelled = LabelledDBN(1, [2, 2], [3, 2], num_classes=4)
    images = torch.rand(5, 1, 2, 2)
    for stack in (gaussian, labelled):
        stack.rbms[-1].visible_mean.fill_(0.25)
        with torch.no_grad():
            for parameter in stack.parameters():
                parameter.normal_()
        network = DenseAutoencoder(1, [2, 2], [3], 2, torch.nn.Sigmoid, torch.nn.Sigmoid)
        weights = stack.weights_for(network)
        network.load_state_dict(weights, strict=False)
        torch.testing.assert_close(network.encode(images), stack.encode(images), rtol=0, atol=1e-5)
    assert "decoder.1.weight" not in gaussian.weights_for(network)
    assert "decoder.1.weight" in weights


def test_labels_are_found_by_free_energy_and_held_while_drawing() -> None:
    network = LabelledDBN(1, [2, 2], [3, 5], num_classes=3)
    top = network.rbms[-1]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    images = torch.rand(4, 1, 2, 2)
    states = network.means_above(images, 1)
    by_hand = torch.stack(
        [torch.stack([-top.free_energy(torch.cat([s, torch.eye(3)[k]])) for k in range(3)]) for s in states]
    )
    torch.testing.assert_close(network.classify(images), by_hand)
    held = network.held(torch.rand(2, 6), torch.tensor([2, 0]))
    assert torch.equal(held[:, 3:], torch.eye(3)[[2, 0]])
    h = torch.rand(2, 5).round()
    before = network.decode(h)
    network.untie()
    torch.testing.assert_close(network.decode(h), before)
    with torch.no_grad():
        network.generative[0].bias.add_(1.0)
    assert (network.decode(h) > before).all()


def test_the_up_down_gradients_are_the_papers_delta_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hinton et al. 2006, appendix B, with states that are means, so that both ways draw the same."""
    monkeypatch.setattr("scalian_exp.tasks.up_down.bernoulli", lambda x: x)
    monkeypatch.setattr(Bernoulli, "sample", Bernoulli.mean)
    task = build_task(tiny("dbn_up_down", "model.network.hidden=[3, 5]", "dataset.image_size=[2, 2]", "loss.k=1"))
    monkeypatch.setattr(task, "progress", lambda _: 0.0)
    monkeypatch.setattr(Softmax, "sample", Softmax.mean)
    monkeypatch.setattr(type(task), "global_step", 0)
    network = task.network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    network.untied.fill_(True)
    (lower, top), (down,) = network.rbms, network.generative
    v, labels = torch.rand(6, 4), torch.arange(6)
    task.up_down(v, labels).backward()
    with torch.no_grad():
        wake = torch.sigmoid(v @ lower.weight.T + lower.hidden_bias)
        given = torch.sigmoid(wake @ down.weight.T + down.bias)
        pair = torch.cat([wake, torch.eye(10)[labels]], 1)
        h = torch.sigmoid(pair @ top.weight.T + top.hidden_bias)
        again = top.visible.mean(h @ top.weight + top.visible_bias)
        h_again = torch.sigmoid(again @ top.weight.T + top.hidden_bias)
        asleep = again[:, :3]
        dream = torch.sigmoid(asleep @ down.weight.T + down.bias)
        recognised = torch.sigmoid(dream @ lower.weight.T + lower.hidden_bias)
    torch.testing.assert_close(down.weight.grad, -(v - given).T @ wake / 6)
    torch.testing.assert_close(top.weight.grad, -(h.T @ pair - h_again.T @ again) / 6)
    torch.testing.assert_close(lower.weight.grad, -(asleep - recognised).T @ dream / 6)
    assert lower.visible_bias.grad is None


def test_up_down_learns_the_way_down_and_the_way_up_apart(tmp_path: Path) -> None:
    train(tiny("dbn_labels", *STACK), tmp_path / "stack")
    start = load(tmp_path / "stack").task.network
    train(
        tiny(
            "dbn_up_down", "model.network.hidden=[12, 9, 6]", f"init_from={tmp_path / 'stack'}", "trainer.max_epochs=2"
        ),
        tmp_path / "run",
    )
    network = load(tmp_path / "run/checkpoints/last.ckpt").task.network
    assert bool(network.untied)
    for layer in range(2):
        tied, up, down = start.rbms[layer].weight, network.rbms[layer].weight, network.generative[layer].weight.T
        assert 0 < float((up - tied).abs().max()) < 0.5
        assert 0 < float((down - tied).abs().max()) < 0.5
        assert not torch.equal(up, down)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "run"
    train(tiny("dbn_labels", "dataset.image_size=[8, 8]", *STACK), folder)
    return folder


def test_a_stack_with_labels_classifies_by_them(stack: Path, tmp_path: Path) -> None:
    model = load(stack)
    files = Classify(count=4).run(model, tmp_path)
    assert [file.name for file in files] == ["classes.csv", "classes.png"]
    x = examples(model, 4)["image"]
    energies = model.task.network.free_energies(model.task.network.means_above(x, 2))
    with files[0].open(newline="", encoding="utf-8") as stream:
        likeliest = [row["class"] for row in csv.DictReader(stream) if row["rank"] == "1"]
    assert likeliest == [called(model.task.class_names, k) for k in energies.argmin(1).tolist()]


def test_actions_leave_pictures(stack: Path, tmp_path: Path) -> None:
    model = load(stack)
    files = Sample(count=4, frames=3, label=2).run(model, tmp_path)
    with Image.open(files[1]) as animation:
        assert getattr(animation, "n_frames", 1) == 3
    files += Filters(count=5).run(model, tmp_path)
    files += Complete(count=3, region="box").run(model, tmp_path)
    files += Denoise(SaltAndPepper(0.3), count=3).run(model, tmp_path)
    assert [file.name for file in files] == [
        *("samples.png", "chain.gif", "filters_layer_1.png", "filters_layer_2.png", "filters_layer_3.png"),
        *("completed.png", "denoised.png"),
    ]
    assert all(file.is_file() for file in files)
    with pytest.raises(Refusal, match="labels 0 to 9"):
        Sample(label=10).run(model, tmp_path)


@pytest.mark.parametrize(
    ("region", "missing"),
    [("bottom", 32), ("top", 32), ("left", 32), ("right", 32), ("box", 16)],
)
def test_a_region_is_missing(region: Any, missing: int) -> None:
    known = Complete(region=region).known(torch.zeros(2, 1, 8, 8))
    assert int((~known[0]).sum()) == missing
    if region == "left":
        assert not known[0, 0, 0, 0]
        assert known[0, 0, 0, 7]


def test_features_are_compared_and_missing_weights_said(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_: Any) -> None:
        raise ValueError("ImageNet weights can't be had (no network)")

    monkeypatch.setattr("scalian_exp.actions.compare_features.imagenet_weights", unreachable)
    CompareFeatures([None]).run(load(stack), tmp_path)
    with (tmp_path / "probe.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["representation"] for row in rows] == [
        "layer 1 (12)",
        "layer 2 (9)",
        "layer 3 (6)",
        "pca (48)",
        "pixels (64)",
    ]
    assert all(0 <= float(row["error"]) <= 1 for row in rows)
    said = capsys.readouterr().out
    assert "unavailable" in said
    assert "ImageNet's ResNet-18: ImageNet weights can't be had (no network)" in said


def test_transferred_features_are_resnets(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(1)
    whole = resnet18().eval()
    monkeypatch.setattr("scalian_exp.actions.compare_features.imagenet_weights", lambda _: whole.state_dict())
    action, model = CompareFeatures([None]), load(stack)
    features = action.transferred(imagenet_network(), model, data_of(model), "test")
    images = data_of(model).splits["test"].examples["image"].float() / 255
    with torch.no_grad():
        logits = whole.fc(torch.from_numpy(np.asarray(features[:4])))
        torch.testing.assert_close(logits, whole(as_photos(images[:4])), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "hidden", "name"), [("rbm", "[24]", "log_likelihood_ais"), ("dbn", "[9, 24]", "log_likelihood_bound_ais")]
)
def test_an_estimated_likelihood_comes_with_its_interval_and_is_marked_where_it_is_unreliable(
    model: str, hidden: str, name: str, tmp_path: Path, capsys: Any, caplog: Any
) -> None:
    epochs = ["model.epochs_per_layer=1", "trainer.max_epochs=2"]
    metrics = train(tiny(model, f"model.network.hidden={hidden}", *epochs), tmp_path)
    assert metrics[f"test/{name}_low"] < metrics[f"test/{name}"] < metrics[f"test/{name}_high"]
    below = metrics[f"test/{name}"] - metrics["test/log_partition_reverse"] + metrics["test/log_partition"]
    assert metrics[f"test/{name}_low"] <= below
    assert metrics["test/ais_effective_runs"] <= 3
    assert metrics["test/ais_reliable"] == 0
    assert metrics["training_examples"] == 48
    assert capsys.readouterr().out.count("unreliable: ") == 5  # three likelihoods and log Z, from both sides
    assert "log Z is unreliable" in caplog.text
    action = {"name": "evaluate", "action": options("action")["evaluate"]}
    apply({"run": str(tmp_path), "device": "cpu", "trust": [], "dataset": {"root": None}, **action})
    (again,) = tmp_path.glob("evaluate/*/metrics.json")
    assert json.loads(again.read_text()).items() <= metrics.items()
