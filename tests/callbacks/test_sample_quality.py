"""The distance between samples and data in a judge's features."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from tools import tiny

from scalian_exp.actions.evaluate import Evaluate
from scalian_exp.callbacks.sample_quality import SampleQuality
from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


def test_frechet_distance_is_that_of_two_gaussians(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(tiny("classifier", "dataset.test_size=60"), tmp_path / "judge")
    judge = load(tmp_path / "judge").task.network
    quality = SampleQuality(str(tmp_path / "judge"), samples=80)
    config = tiny("vae", "dataset.test_size=60")
    config["callbacks"]["sample_quality"] = {
        "_target_": "scalian_exp.callbacks.sample_quality.SampleQuality",
        "judge": str(tmp_path / "judge"),
        "samples": 80,
    }
    metrics = train(config, tmp_path / "vae")
    assert 0 <= metrics["test/classes_covered"] <= 10
    names = {"test/frechet_distance", "test/classes_covered"}
    (file,) = Evaluate().run(load(tmp_path / "vae"), tmp_path / "again")
    again = json.loads(file.read_text())
    assert {name: again[name] for name in names} == {name: metrics[name] for name in names}
    (tmp_path / "judge").rename(tmp_path / "elsewhere")
    (file,) = Evaluate().run(load(tmp_path / "vae"), tmp_path / "without")
    assert json.loads(file.read_text()).keys() == again.keys() - names
    assert "the samples aren't judged: callbacks.sample_quality: There is no judge" in caplog.text

    real, fake = torch.rand(300, 1, 16, 16), torch.rand(300, 1, 16, 16) ** 2
    quality.metric.update(real, real=True)
    quality.metric.update(fake, real=False)
    with torch.no_grad():
        a, b = (judge.encode(x).double().numpy() for x in (real, fake))
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert float(quality.metric.compute()) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_sums_stay_on_the_cpu_if_the_device_has_no_double_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny("classifier", "test=false"), tmp_path)
    quality, task = SampleQuality(str(tmp_path), samples=80), SimpleNamespace(device=torch.device("cpu"))
    quality.on_test_start(None, task)
    quality.metric.update(torch.rand(9, 1, 16, 16), real=True)
    assert quality.metric.real_features_sum.dtype == torch.float64
    task.device = torch.device("meta")  # stands in for another device
    monkeypatch.setattr("scalian_exp.callbacks.sample_quality.widest", lambda _: torch.float32)
    quality.on_test_start(None, task)
    assert {parameter.device.type for parameter in quality.classifier.parameters()} == {"meta"}
    assert quality.metric.real_features_sum.device.type == quality.features.sums_on.type == "cpu"


def test_a_judge_must_fit(tmp_path: Path) -> None:
    train(tiny("autoencoder", "test=false"), tmp_path / "no_judge")
    with pytest.raises(Refusal, match="is a DenseAutoencoder; judge by a run of model=classifier"):
        SampleQuality(str(tmp_path / "no_judge"))
    train(tiny("classifier", "test=false"), tmp_path / "judge")
    node = {
        "_target_": "scalian_exp.callbacks.sample_quality.SampleQuality",
        "judge": str(tmp_path / "judge"),
        "samples": 10,
    }
    for config, message in (
        (tiny("autoencoder"), "needs a network that samples"),
        (
            tiny("vae", "dataset.image_size=[12,12]"),
            r"classifies images of FakeImages, \(1, 16, 16\), but these are of",
        ),
        (
            tiny("vae", "dataset=sklearn_digits", "dataset.image_size=[8,8]"),
            r"but these are of Digits, \(1, 8, 8\); judge by a run of model=classifier on the same data set",
        ),
    ):
        config["callbacks"]["sample_quality"] = node
        with pytest.raises(Refusal, match=message):
            train(config, tmp_path / "refused")
        assert not (tmp_path / "refused").exists()
