"""Measures of images against torch-fidelity and scikit-image."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from verdicts import Judge

from scalian_exp.callbacks.sample_quality import Features
from scalian_exp.tasks.reconstruction import psnr, ssim

WHY = "pip install 'scalian-exp[judges]' to compare with it"


def pictures(count: int, seed: int) -> Tensor:
    """Return grey pictures (N, 1, 28, 28) in [0, 1], smooth as photographs are."""
    coarse = torch.rand(count, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear")


class Pooled(nn.Module):
    """A stand-in for a classifier, whose features are means of patches."""

    def encode(self, x: Tensor) -> Tensor:
        """Map images (B, 1, 28, 28) to 16 features."""
        return nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)


def test_frechet_distance(judge: Judge) -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_fid", reason=WHY)
    real, drawn = pictures(600, 0), pictures(500, 1).sqrt()
    metric = FrechetInceptionDistance(Features(Pooled(), 16))
    for part in real.split(100):
        metric.update(part, real=True)
    for part in drawn.split(100):
        metric.update(part, real=False)
    statistics = [fidelity.fid_features_to_statistics(Pooled().encode(x).double()) for x in (real, drawn)]
    theirs = fidelity.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    judge("frechet_distance on 16 features", "torch-fidelity", theirs, metric.compute(), 1e-4)


def test_signal_to_noise_and_structural_similarity(judge: Judge) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason=WHY)
    clean = pictures(4, 2)
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)
    pairs = [(a[0].double().numpy(), b[0].double().numpy()) for a, b in zip(clean, noisy, strict=True)]
    theirs = np.mean([metrics.peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs])
    judge("psnr, dB", "scikit-image", theirs, psnr(noisy, clean).mean(), 1e-4)
    options = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    theirs = np.mean([metrics.structural_similarity(a, b, **options) for a, b in pairs])
    judge("ssim", "scikit-image", theirs, ssim(noisy, clean), 1e-5)
