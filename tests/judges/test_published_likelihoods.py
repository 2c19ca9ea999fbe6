"""Models of MNIST against what others publish of theirs: VAEs against pythae, a library, a PixelCNN against a course.

Their trainings take longer than a test may: each row reads the run of a command, and is skipped without it.
"""

from pathlib import Path

import pytest
from verdicts import Judge, metrics_of

pytestmark = pytest.mark.slow
PYTHAE = "pythae's model card"
AVERAGED = "'callbacks=[default,ema]' trainer.check_val_every_n_epoch=10"
VAE = (
    "experiment=vae_mnist 'model.network.hidden=[400]' model.network.latent_dim=40 model.optimizer.lr=1e-3 "
    "model.network.activation._target_=torch.nn.ReLU dataset.val_size=10000 model.importance_samples=200 "
    f"trainer.max_epochs=150 {AVERAGED}"
)
IWAE = f"experiment=iwae_mnist model.importance_samples=5000 {AVERAGED}"


@pytest.mark.parametrize(
    ("what", "folder", "overrides", "metric", "theirs", "within"),
    [
        ("VAE 784-400-40, −log p(x) by 200 samples, nats", "vae", VAE, "nll_bound_iw200", 89.78, 2.5),
        (
            "IWAE, 5 codes, −log p(x) by 5,000 samples, nats",
            "iwae",
            f"{IWAE} trainer.max_epochs=100",
            "nll_bound_iw5000",
            87.85,
            1.5,
        ),
        (
            "IWAE, 50 codes, −log p(x) by 5,000 samples, nats",
            "iwae50",
            f"{IWAE} loss.samples=50 trainer.max_epochs=64 trainer.precision=bf16-mixed",
            "nll_bound_iw5000",
            86.82,
            2.5,
        ),
    ],
)
def test_ours_beside_theirs(
    what: str, folder: str, overrides: str, metric: str, theirs: float, within: float, judge: Judge, root: Path
) -> None:
    """Ours train for minutes on one core, and an hour with 50 codes, for which they may be so many nats worse."""
    metrics = metrics_of(root / "outputs/judges" / folder, overrides)
    judge.no_worse(what, PYTHAE, theirs, metrics[f"test/{metric}"], within)


def test_a_pixelcnn_of_grey_digits(judge: Judge, root: Path) -> None:
    """Theirs is gated and dilated, with 64 maps, and trains for 150 epochs; ours, of 7 layers of 2 · 32, for 8."""
    short = "trainer.max_epochs=8 model.schedule.final=0.1 trainer.precision=bf16-mixed"
    metrics = metrics_of(root / "outputs/judges/pixelcnn", f"experiment=pixelcnn_mnist_grey {short}")
    source = "University of Amsterdam, deep-learning tutorial 12"
    judge.no_worse("PixelCNN, bits per dimension of grey MNIST", source, 0.808, metrics["test/bits_per_dim"], 0.35)
