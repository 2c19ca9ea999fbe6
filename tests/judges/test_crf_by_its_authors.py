"""The fully connected CRF against Krähenbühl & Koltun's own code."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from verdicts import Judge

from scalian_exp.networks.crf import DenseCRF

CLASSES = 12


def test_marginals(judge: Judge) -> None:
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason="pip install 'scalian-exp[judges]' to compare with it")
    height, width = 60, 80
    image = F.interpolate(torch.rand(1, 3, 3, 4), (height, width), mode="bicubic").clamp(0, 1).mul(255).round().div(255)
    logits = 2 * F.interpolate(torch.randn(1, CLASSES, 4, 5), (height, width), mode="bilinear")
    peer = densecrf.DenseCRF2D(width, height, CLASSES)
    peer.setUnaryEnergy((-logits[0].log_softmax(0)).flatten(1).numpy())
    peer.addPairwiseGaussian(sxy=3, compat=3)
    colours = image[0].mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    peer.addPairwiseBilateral(sxy=80, srgb=13, rgbim=colours, compat=10)
    theirs = np.array(peer.inference(10)).reshape(CLASSES, height, width)
    ours = DenseCRF()(logits, image)[0].numpy()
    before = logits[0].softmax(0).numpy()
    assert np.abs(theirs - before).max() > 0.1  # the CRF does something here
    largest = np.abs(theirs - ours).max()
    judge("CRF: largest difference of marginals, 60×80, 12 classes", "pydensecrf2", 0, largest, 1e-4)
    theirs, ours = (-(q * np.log(q + 1e-12)).sum(0).mean() for q in (theirs, ours))
    judge("CRF: mean entropy of marginals, nats", "pydensecrf2", theirs, ours, 1e-4)
