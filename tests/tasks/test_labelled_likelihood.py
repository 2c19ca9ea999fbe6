"""The likelihood of images under an RBM that sees labels, by summing over all states of a tiny one."""

from pathlib import Path

import pytest
import torch
from small_networks import all_states
from tools import tiny

from scalian_exp.actions.action import data_of
from scalian_exp.checkpoint import load
from scalian_exp.run.training import train

CLASSES = 3


def test_a_single_rbm_that_sees_labels_reports_the_likelihood_of_images_alone(tmp_path: Path) -> None:
    data = ["dataset=fake_binary", "dataset.image_size=[3,3]", f"dataset.num_classes={CLASSES}"]
    size = ["model.network.hidden=[4]", "model.draw_pixels=false", "model.optimizer.lr=1.0", "trainer.max_epochs=20"]
    metrics = train(tiny("dbn_labels", *data, *size), tmp_path)

    model = load(tmp_path)
    weight, visible_bias, hidden_bias = (each.detach().double() for each in model.network.rbms[0].parameters())
    hidden = all_states(4).double()

    def log_of_sum(images: torch.Tensor) -> torch.Tensor:
        """Return log Σ_y,h exp(−E(v, y, h)) for images v, (B,)."""
        joint = torch.cat([images.repeat_interleave(CLASSES, 0), torch.eye(CLASSES).repeat(len(images), 1)], 1).double()
        exponents = (joint @ weight.T + hidden_bias) @ hidden.T + (joint @ visible_bias)[:, None]
        return exponents.view(len(images), -1).logsumexp(1)

    examples = data_of(model)
    images = examples.prepare(examples.splits["test"][torch.arange(20)])["image"].flatten(1)
    expected = (log_of_sum(images) - log_of_sum(all_states(9)).logsumexp(0)).mean()
    assert float(weight.std()) > 0.1
    assert metrics["test/log_likelihood_exact"] == pytest.approx(float(expected), rel=1e-4)
