"""Outputs and losses of the wrong shape are named in a sentence; a loss might broadcast them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools import tiny
from torch import Tensor

from scalian_exp.losses.reconstruction import BinaryCrossEntropy
from scalian_exp.networks.autoencoder import DenseAutoencoder
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        (lambda logits: logits.flatten(1), r"gives \(16, 256\)"),
        (lambda logits: logits[:1], r"gives \(1, 1, 16, 16\)"),
        (lambda _: None, "returns NoneType"),
        (lambda logits: (logits, logits), "returns tuple"),
    ],
)
def test_an_output_must_have_the_images_shape(
    wrong: Callable[[Tensor], Any], given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = DenseAutoencoder.forward
    # the pass that measures the network's size, without gradients, is left alone
    monkeypatch.setattr(
        DenseAutoencoder, "forward", lambda self, x: wrong(plain(self, x)) if self.training else plain(self, x)
    )
    sentence = rf"^DenseAutoencoder {given} for images \(16, 1, 16, 16\); its output must be logits"
    with pytest.raises(Refusal, match=sentence):
        train(tiny("autoencoder", "dataset.batch_size=16"), tmp_path)


def test_a_loss_must_be_one_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BinaryCrossEntropy, "forward", lambda _, logits, target: (logits - target).sum((1, 2, 3)))
    with pytest.raises(Refusal, match=r"^BinaryCrossEntropy gives \(16,\) values, but a loss is one; take the mean"):
        train(tiny("autoencoder", "loss=bce", "dataset.batch_size=16"), tmp_path)
