"""The posterior q(z|x) of an image, and the two errors whose sum a VAE minimises."""

from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.networks.vae import kl_from_prior
from scalian_exp.tasks.capabilities import DrawsInSteps
from scalian_exp.tasks.decoding import probabilities
from scalian_exp.tasks.offers import has, offers
from scalian_exp.tasks.variational import Variational

ORDER = 20


def offered(run: Run) -> bool:
    """Return whether the network gives the mean and variance of its posterior, N(μ, σ²)."""
    in_steps = offers(run.network, DrawsInSteps)  # the posterior of a step depends on the steps before it
    errors = has(run.task.loss, "likelihood") and has(run.task.loss, "beta")
    known = isinstance(run.task, Variational) and has(run.network, "posterior") and errors
    return run.of_images and known and not in_steps


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put one program into the store: image and noise → posterior, image decoded with the noise, and both errors."""
    images = run.images(store)
    likelihood = run.task.loss.likelihood

    def terms(network: Any, x: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = network.posterior(x)
        logits = network.decode(mean + torch.exp(0.5 * log_variance) * noise)
        kl = kl_from_prior(mean, log_variance)
        return mean, torch.exp(0.5 * log_variance), probabilities(logits), -likelihood(logits, x), kl

    x = run.batch("test", run.spread("test", 1))["image"]
    size = run.network.posterior(x)[0].shape[1]
    noise = torch.randn(1, size, generator=torch.Generator().manual_seed(0)).to(x.device)
    test = run.facts["test"]
    return {
        "images": images,
        "terms": store.program("posterior", run.network, terms, x, noise),
        "size": size,
        "beta": float(run.task.loss.beta),
        "tested": {key: test[key] for key in ("reconstruction", "kl", "active_units") if key in test},
    }
