"""Dropout of the dense classifier, which acts on every hidden layer."""

import torch
from torch import nn

from scalian_exp.networks.classifier import MLPClassifier


def test_dropout_acts_on_every_hidden_layer() -> None:
    """Two layers of one unit that hand on what they get: by halves, either drops it or doubles it."""
    torch.manual_seed(0)
    network = MLPClassifier(1, [1, 1], [1, 1], 2, activation=nn.Identity, dropout=0.5)
    for parameter in network.encoder.parameters():
        nn.init.constant_(parameter, 1.0 if parameter.dim() == 2 else 0.0)
    images = torch.ones(4000, 1, 1, 1)
    features = network.encode(images)
    assert set(features.unique().tolist()) == {0.0, 4.0}
    assert abs((features == 4).float().mean().item() - 0.25) < 0.03  # standard error 0.007
    assert (network.eval().encode(images) == 1).all()


def test_weights_have_the_same_names_with_dropout() -> None:
    """A stack's weights start a classifier with dropout as well."""
    plain, dropped = (MLPClassifier(1, [2, 2], [3, 4], 2, dropout=share) for share in (0.0, 0.5))
    dropped.load_state_dict(plain.state_dict())
    images = torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(dropped.eval()(images), plain.eval()(images))
