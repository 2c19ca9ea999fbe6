"""Train a latent-variable model by its evidence lower bound."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch
from scalian_exp.figures.drawing import bars_by_step, drawing_strip
from scalian_exp.figures.grids import image_grid, rows_of_images
from scalian_exp.figures.latent import latent_map
from scalian_exp.metrics.importance_sampling import log_likelihood_bound
from scalian_exp.metrics.latents import ActiveUnits
from scalian_exp.ranges import NonNegativeInt
from scalian_exp.tasks.base import Step
from scalian_exp.tasks.capabilities import DrawsInSteps
from scalian_exp.tasks.decoding import Decoding, probabilities
from scalian_exp.tasks.loss_protocols import DrawsCodes, VariationalLoss
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.protocols import VariationalNetwork


class Variational(Decoding):
    """Trains a latent-variable model by the terms that the loss computes of the network and images x.

    The best checkpoint is the one of least loss, the total that was trained on, with the final β and free bits.

    Logs, in nats per image: `neg_elbo` = `reconstruction` + `kl` whatever β is, an upper bound of −log p(x); and at the
    test, or throughout if the loss trains on it, `nll_bound_iw<k>`, a tighter one by k importance samples (Burda et al.
    2016, eq. 8). Validation and test of a network with steps add `kl/step_<i>`, whose sum is `kl`, if the loss tells
    latents apart.
    """

    monitor = "val/loss"
    network: VariationalNetwork
    loss: VariationalLoss

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        schedule: Callable[[float], float] | None = None,
        importance_samples: NonNegativeInt = 100,
    ):
        super().__init__(network, loss, optimizer, schedule)
        self.importance_samples = importance_samples
        self.active_units = ActiveUnits()

    def compiled(self) -> list[nn.Module]:
        """Return the network, or its parts where the loss draws several codes, which isn't its forward pass."""
        network: Any = self.network
        return [*network.children()] if offers(self.loss, DrawsCodes) else [network]

    def step(self, batch: Batch) -> Step:
        """Compute the negative bound and its terms."""
        terms = self.loss.terms(self.network, batch["image"], self.current_epoch if self.training else None)
        bound = terms.reconstruction + terms.kl
        logs = {"neg_elbo": bound, "reconstruction": terms.reconstruction, "kl": terms.kl, **terms.bounds}
        if not self.training and terms.kl_of_latents is not None and offers(self.network, DrawsInSteps):
            by_step = kl_by_step(terms.kl_of_latents[None], self.network.steps)
            logs |= {f"kl/step_{i:02}": value for i, value in enumerate(by_step, start=1)}
        return Step(terms.loss, logs)

    def test_logs(self, batch: Batch, outputs: None) -> dict[str, Tensor]:
        """Return the importance-weighted bound, and count active units."""
        x = batch["image"]
        self.active_units.update(self.network.encode(x))
        if self.importance_samples == 0:
            return {}
        return {f"nll_bound_iw{self.importance_samples}": -self.log_likelihood_bound(x, self.importance_samples).mean()}

    def test_totals(self) -> dict[str, Tensor]:
        """Return the number of active units."""
        active = self.active_units.compute()
        self.active_units.reset()
        return {"active_units": active}

    def log_likelihood_bound(self, x: Tensor, samples: int) -> Tensor:
        """Estimate the importance-weighted bound of log p(x) for each image, (B,), in nats."""
        return log_likelihood_bound(self.network.importance, self.loss.likelihood, x, samples)

    def negative_log_likelihood(self, x: Tensor, samples: int) -> Tensor:
        """Estimate an upper bound of −log p(x) for each image, (B,), in nats, by importance samples."""
        return -self.log_likelihood_bound(x, samples)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the posterior's mean of images (B, C, H, W), without noise: images in [0, 1]."""
        return probabilities(self.network.decode(self.network.encode(x)))

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw reconstructions, samples and a map of the codes, and the steps of a network that draws in steps."""
        x = batch["image"]
        codes = self.network.encode(x)
        figures = {
            "reconstructions": rows_of_images(
                {"input": x[:10], "output": self.reconstruct(x[:10])}, "images, encoded and decoded again"
            ),
            "samples": image_grid(self.network.sample(64).float(), title="samples, decoded from codes drawn from p(z)"),
            "latent_map": latent_map(codes, batch.get("label"), self.decoded, names=self.class_names),
        }
        if not offers(self.network, DrawsInSteps):
            return figures
        return figures | figures_of_steps(self.network, x)


def kl_by_step(kl: Tensor, steps: int) -> Tensor:
    """Sum the KL of each latent (B, steps·latents) over each step; the mean over the batch, (steps,)."""
    return kl.unflatten(1, (steps, -1)).sum(2).mean(0)


def figures_of_steps(network: Any, x: Tensor) -> dict[str, Figure]:
    """Draw how a network that draws in steps copies images (B, C, H, W), and invents some."""
    copied, invented = network.drawing(network.encode(x[:8])), network.drawing(network.prior(8))
    copies, inventions = probabilities(copied.canvases), probabilities(invented.canvases)
    return {
        "drawing_of_images": drawing_strip(copies, copied.write, copied.read, x[:8]),
        "drawing_of_samples": drawing_strip(inventions, invented.write),
        "kl_by_step": bars_by_step(
            kl_by_step(network(x)[1], network.steps), "KL, nats per image", "what each step adds to the code's KL"
        ),
    }
