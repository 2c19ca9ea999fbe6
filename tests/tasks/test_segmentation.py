"""The segmentation task: scores, parameter groups, losses and refusals."""

import json
import logging
import math
import shlex
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from tools import script, tiny
from torch import nn
from torchvision.models import resnet50

from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.build import build, build_task
from scalian_exp.checkpoint import load
from scalian_exp.networks.crf import DenseCRF
from scalian_exp.networks.tiramisu import BatchNorm
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.vocabulary.checks import check_plain


def test_the_iou_is_computed_over_the_entire_split(tmp_path: Path) -> None:
    """Unlike a mean over batches or images, it doesn't depend on the batch size."""
    same = ["model.optimizer.lr=0", "model.network.dropout=0"]
    metrics = [train(tiny("unet", f"dataset.batch_size={size}", *same), tmp_path / str(size)) for size in (8, 3)]
    assert metrics[0]["test/miou"] == pytest.approx(metrics[1]["test/miou"], rel=1e-5)


def test_the_test_says_which_classes_mean_iou_leaves_out(caplog: pytest.LogCaptureFixture) -> None:
    task = build_task(tiny("unet", "dataset.num_classes=4", "+dataset.class_names=[sky,road,car,dog]"))
    for labels, expected in (([0, 2], ["mean IoU is over 2 of 4 classes", "road or dog,"]), ([0, 1, 2, 3], [])):
        caplog.clear()
        task.confusion.update(torch.tensor([0, 2, 2, 0])[: len(labels)], torch.tensor(labels))
        with caplog.at_level(logging.INFO):
            values = task.test_totals()
        assert all(part in caplog.text for part in expected)
        assert bool(caplog.text) == ("miou_classes" in values) == bool(expected)


@pytest.mark.parametrize(("model", "heads"), [("deeplab_v3", ("aspp.", "head.")), ("deeplab_v1_largefov", ("fc8.",))])
def test_backbones_have_a_lower_learning_rate_than_heads(model: str, heads: tuple[str, ...]) -> None:
    task = build_task(tiny(model, "model.head_lr=10", "model.optimizer.lr=0.01"))
    groups = task.make_optimizer().param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.01, 0.1])
    assert sum(len(group["params"]) for group in groups) == len(list(task.network.parameters()))
    names = {id(p): name for name, p in task.network.named_parameters()}
    assert all(names[id(p)].startswith("backbone.") for p in groups[0]["params"])
    assert all(names[id(p)].startswith(heads) for p in groups[1]["params"])


def test_tiramisus_weight_decay_spares_biases_and_shifts() -> None:
    """As in Lasagne's regularize_network_params, weights and scales γ decay, but biases and shifts β don't."""
    task = build_task(tiny("tiramisu56", "model.optimizer.lr=0.1", "model.optimizer.weight_decay=0.5"))
    optimizer = task.make_optimizer()
    before = {name: parameter.detach().clone() for name, parameter in task.network.named_parameters()}
    with torch.no_grad():
        for parameter in task.network.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = {name for name, parameter in task.network.named_parameters() if (parameter < 1).all()}
    unchanged = {name for name, parameter in task.network.named_parameters() if (parameter == 1).all()}
    kinds = {type(module): {n for n, _ in module.named_parameters()} for module in task.network.modules()}
    assert kinds[nn.Conv2d] == kinds[nn.ConvTranspose2d] == kinds[BatchNorm] == {"weight", "bias"}
    assert shrunk == {name for name in before if name.endswith(".weight")}
    assert unchanged == {name for name in before if name.endswith(".bias")}


def test_head_lr_and_decay_biases_can_be_combined() -> None:
    decay = ["model.head_lr=10", "+model.decay_biases=false", "model.optimizer.weight_decay=0.5"]
    task = build_task(tiny("deeplab_v3", "model.optimizer.lr=0.01", *decay))
    names = {id(p): name for name, p in task.network.named_parameters()}
    groups = task.make_optimizer().param_groups
    assert sum(len(group["params"]) for group in groups) == len(names)
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert group["lr"] == pytest.approx(0.01 if name.startswith("backbone.") else 0.1)
            assert group["weight_decay"] == (0.0 if name.endswith(".bias") else 0.5)


def test_heads_and_auxiliary_losses_add_up() -> None:
    config = tiny("fastfcn", "model.aux_weight=0.3", "model.presence_weight=0.7")
    task, data = build_task(config).train(), build("dataset", config["dataset"])
    data.setup()
    batch = data.prepare(data.splits["train"][torch.arange(4)])
    torch.manual_seed(0)
    total = task.step(batch).loss
    torch.manual_seed(0)
    outputs = task.network(batch["image"])
    there = torch.zeros(4, 4)
    for i, mask in enumerate(batch["mask"]):
        for k in mask[mask >= 0].unique():
            there[i, k] = 1
    cross_entropy, p = torch.nn.functional.cross_entropy, torch.sigmoid(outputs["presence"])
    presence = -(there * p.log() + (1 - there) * (1 - p).log()).mean()
    parts = [cross_entropy(outputs[name], batch["mask"]) for name in ("out", "aux")]
    assert total.item() == pytest.approx((parts[0] + 0.3 * parts[1] + 0.7 * presence).item(), rel=1e-4)


def test_class_weights_come_from_the_training_split(tmp_path: Path) -> None:
    config = tiny("unet", "loss=median_frequency")
    train(config, tmp_path)
    data = build("dataset", config["dataset"])
    data.setup()
    masks = data.splits["train"].examples["mask"]
    frequencies = []
    for k in range(4):
        having = torch.stack([mask for mask in masks if (mask == k).any()])
        frequencies.append(float((having == k).sum() / (having != 255).sum()))
    expected = np.median(frequencies) / np.array(frequencies)
    assert load(tmp_path).task.loss.weights.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_images_smaller_than_the_stride_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"of 32×32 pixels are too small for FastFCN.*stride of 32"):
        train(tiny("fastfcn", "dataset.image_size=[32,32]"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_scores_of_crf_and_network_are_both_reported(tmp_path: Path) -> None:
    metrics = train(tiny("unet", "model/crf=default", "model.crf.iterations=2"), tmp_path)
    for name in ("miou", "pixel_accuracy", "boundary_f1", "iou/0"):
        assert 0 <= metrics[f"test/crf_{name}"] <= 1
        assert 0 <= metrics[f"test/{name}"] <= 1
    (file,) = Evaluate().run(load(tmp_path), tmp_path / "again")
    assert json.loads(file.read_text())["test/crf_miou"] == pytest.approx(metrics["test/crf_miou"])


def test_pretrained_runs_load_without_imagenet_weights(tmp_path: Path) -> None:
    config = tiny("deeplab_v3")
    config["model"]["network"] |= {"pretrained": True, "width": 1.0}
    state = resnet50().state_dict()
    with patch("torchvision.models.ResNet50_Weights.get_state_dict", return_value=state):
        train({**config, "trainer": {**config["trainer"], "limit_train_batches": 1}, "test": False}, tmp_path)
    with patch("torchvision.models.ResNet50_Weights.get_state_dict", side_effect=OSError):
        network = load(tmp_path).task.network
        with pytest.raises(Refusal, match="ImageNet weights can't be loaded"):
            train(config, tmp_path / "another")
    assert not (tmp_path / "another").exists()
    near = (network.backbone.layer1[0].conv1.weight - state["layer1.0.conv1.weight"]).abs().max()
    assert near < 0.01  # one step away from the pretrained weights


def test_augmented_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    changes = ["dataset/augmentation=[elastic,scale,crop,flip,brightness]", "dataset.augmentation.crop.size=[34,40]"]
    train(tiny("unet", "trainer.max_epochs=2", *changes), tmp_path / "straight")
    train(tiny("unet", "trainer.max_epochs=1", *changes), tmp_path / "parts")
    train(*resumed([f"resume={tmp_path / 'parts'}", "trainer.max_epochs=2"]))
    states = [load(tmp_path / name / "checkpoints/last.ckpt").task.state_dict() for name in ("straight", "parts")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["dataset.num_classes=1"], "masks have 2 to 254 classes"),
        (["dataset.ignore_index=2"], "is one of the classes"),
        (["dataset.ignore_index=300"], "read with 8 bits"),
        (["dataset.palette=[[0,0,0]]"], "has 1 colours, but dataset.num_classes is 4"),
        (["dataset.palette=[[0,0],[1,1]]"], r"has \[0, 0\], which isn't a colour"),
        (["dataset.palette=[[0,0,0],[0,0,300]]"], r"has \[0, 0, 300\], which isn't a colour"),
        (["dataset.image_size=[120]"], r"two whole numbers, height and width, such as \[96,128\], not \[120\]"),
        (["dataset.palette=red"], "must be a list of colours or null"),
        (["+dataset.class_names=[a,b]"], "has 2 names, but dataset.num_classes is 4"),
        (["+dataset.class_names=[a,b,a,c]"], "two classes have the same name"),
        (
            ["dataset=mask_folder", "dataset.root=.", "dataset.class_names=[a]"],
            "has 1 names, but dataset.num_classes is 2",
        ),
        (["model=deeplab_v2", "model.network.rates=[]"], "at least one rate"),
        (["+model.head_lr=10"], r"head_lr=10 is for networks with a `backbone`, and UNet has none; leave it out"),
        (["model/crf=default", "model.crf.appearance_pixels=1e-15"], "model.crf: "),
    ],
)
def test_unsuitable_options_are_refused_before_training(overrides: list[str], sentence: str, tmp_path: Path) -> None:
    config = tiny("unet", *overrides)

    def checked_and_trained() -> None:
        check_plain(config)
        train(config, tmp_path / "run")

    with pytest.raises(Refusal, match=sentence):
        checked_and_trained()
    assert not (tmp_path / "run").exists()


def test_the_crf_is_tuned_on_validation_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune_crf = script("tune_crf")
    best = (10.0 * 2, 0.08 * 100, 4.0, 0.3)  # on the coarse grid, except for the weight, which is doubled

    def score(_: object, crf: DenseCRF) -> tuple[float, float]:
        chosen = (crf.appearance_weight, crf.appearance_pixels, crf.appearance_colours, crf.smoothness_weight)
        return -sum(abs(math.log(a / b)) for a, b in zip(chosen, best, strict=True)), 0.0

    with patch.object(tune_crf.Answers, "score", score):
        assert tune_crf.search(tune_crf.Answers(*torch.zeros(3, 1)), 100.0) == pytest.approx(best)
    small = {"WEIGHTS": (1.0, 3.0), "EXTENTS": (0.1,), "COLOURS": (6.0,), "SMOOTHNESS": (1.0,)}
    copy = tmp_path / "run"
    train(tiny("unet"), copy)
    (copy / ".hydra").mkdir()
    (copy / ".hydra/overrides.yaml").write_text("[model=unet, seed=3, model.crf.iterations=2, test=false]")
    with patch.multiple(tune_crf, **small), patch("sys.argv", ["tune_crf.py", str(copy)]):
        tune_crf.main()
    command = shlex.split(capsys.readouterr().out.strip().splitlines()[-1].partition("scalian-train ")[2])
    assert {"seed=3", f"init_from={copy}/checkpoints/best.ckpt", "trainer.max_epochs=0"} < set(command)
    assert not {"model.crf.iterations=2", "test=false"} & set(command)
    assert isinstance(build_task(tiny("unet", *command[1:])).crf, DenseCRF)
