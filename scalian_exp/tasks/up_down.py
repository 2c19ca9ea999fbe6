"""Fine-tune a deep belief network as a generative model."""

import logging
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch, called
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.figures.classes import confusion_matrix
from scalian_exp.figures.grids import image_grid, rows_of_images
from scalian_exp.metrics.confusion import Confusion
from scalian_exp.networks.units import log_probability
from scalian_exp.tasks.base import Step
from scalian_exp.tasks.decoding import Decoding
from scalian_exp.tasks.loss_protocols import EnergyLoss
from scalian_exp.tasks.protocols import UpDownNetwork

log = logging.getLogger(__name__)


class UpDown(Decoding):
    """Trains by the up-down algorithm (Hinton, Osindero & Teh 2006, appendix B), a contrastive wake-sleep, as one loss.

    - wake: states drawn upwards by the recognition weights teach the generative ones to give the states below;
    - the top RBM, whose visible units are the upper states and the label, learns by the contrastive loss;
    - sleep: states drawn downwards from the RBM's negative phase teach the recognition weights to give those above.

    Logs `error`, the share of examples whose label hasn't the least free energy; the best checkpoint has the least. The
    loss of validation and test is the cross-entropy of the labels given the images.
    """

    monitor = "val/error"
    draws_by_rows = True
    network: UpDownNetwork
    loss: EnergyLoss

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        schedule: Callable[[float], float] | None = None,
    ):
        super().__init__(network, loss, optimizer, schedule)
        self.loss.attach([self.network.rbms[-1]])
        self.confusion = Confusion(self.network.num_classes)

    def compiled(self) -> list[nn.Module]:
        """Return an empty list: a step is a handful of matrix products, with random numbers between them."""
        return []

    def on_fit_start(self) -> None:
        """Give both directions separate weights, and untrained RBMs a mean to start from."""
        super().on_fit_start()
        if not bool(self.network.untied):
            self.network.untie()
        if self.network.layers_untrained:
            log.info("starts from random weights; it is meant to start from a run of model=dbn_labels: init_from=RUN")
        for rbm in self.network.rbms:
            if not rbm.started:
                rbm.visible_mean.fill_(0.5)

    def step(self, batch: Batch) -> Step:
        """Compute the up-down loss in training, else the cross-entropy and the error of the labels."""
        labels = batch["label"]
        if self.training:
            return Step(self.up_down(bernoulli(batch["image"].flatten(1)), labels), {})
        logits = self.network.classify(batch["image"])
        predicted = logits.argmax(1)
        self.confusion.update(predicted, labels)
        return Step(F.cross_entropy(logits, labels), {"error": (predicted != labels).float().mean()})

    def up_down(self, v: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of visible states (B, D) and their class numbers (B,)."""
        *lower, top = self.network.rbms
        wake = v.new_zeros(())
        for layer, rbm in enumerate(lower):
            above = rbm.hidden_sample(v).detach()
            wake = wake - log_probability(rbm.visible, self.network.input_below(layer, above), v).mean()
            v = above
        terms = self.loss(top, self.network.seen_by_top(v, labels), 0, self.progress(self.global_step))
        above, sleep = bernoulli(terms.negative[:, : v.shape[1]]), v.new_zeros(())
        for layer, rbm in reversed(list(enumerate(lower))):
            x = self.network.input_below(layer, above).detach()
            dream = rbm.visible.sample(x) if layer > 0 else rbm.visible.mean(x)
            sleep = sleep - log_probability(rbm.hidden, rbm.hidden_input(dream), above).mean()
            above = dream
        return wake + terms.loss + sleep

    def on_validation_epoch_start(self) -> None:
        """Reset the confusion matrix."""
        self.confusion.reset()

    def on_test_epoch_start(self) -> None:
        """Reset the confusion matrix."""
        self.confusion.reset()

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw the confusion matrix of all examples so far, samples of each class, and reconstructions."""
        x, labels = batch["image"], torch.arange(self.network.num_classes, device=batch["image"].device)
        drawn = self.network.sample_of(labels.repeat_interleave(10)).float()
        names = [called(self.class_names, k) for k in range(self.network.num_classes)]
        return {
            "confusion": confusion_matrix(self.confusion.compute(), self.class_names),
            "samples": image_grid(drawn, columns=10, title="samples, a row for each class: " + ", ".join(names)),
            "reconstructions": rows_of_images(
                {"input": x[:10], "output": self.reconstruct(x[:10])}, "images after a pass up the stack and down again"
            ),
        }
