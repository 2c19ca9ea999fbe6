"""The likelihood of a Boltzmann machine, or of a stack of them, at validation and test."""

import logging
from abc import abstractmethod
from itertools import islice

import torch
from torch import Tensor

from scalian_exp.batches import Batch
from scalian_exp.distributed import ranks
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.metrics.ais import AnnealedImportanceSampling, LogPartition, log_partition
from scalian_exp.metrics.reliability import doubt
from scalian_exp.networks.rbm import RBM
from scalian_exp.tasks.capabilities import Classifies
from scalian_exp.tasks.decoding import Decoding
from scalian_exp.tasks.greedy import LayerByLayer
from scalian_exp.tasks.loss_protocols import EnergyLoss
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.protocols import BoltzmannNetwork

log = logging.getLogger(__name__)


class Boltzmann(LayerByLayer, Decoding):
    """A stack of RBMs, `network.rbms`, trained one after another; one RBM is a stack of one.

    Logs of the RBM that is being trained, in nats per example, where v are all units that it sees, labels too:
    - log p(v) = −F(v) − log Z: `log_likelihood_exact` of at most 20 binary hidden units, else `log_likelihood_ais`,
      with `ais_effective_runs` and `ais_reliable`, 1 or 0.
    - `free_energy_gap`: mean F of validation examples less that of training examples; it grows with overfitting.

    The test adds `log_partition`, estimates also by reverse runs that start at training examples, and gives the
    likelihood's interval, `log_likelihood_ais_low` and `_high`. Once the last layer of a stack has been trained, the
    likelihood is a lower bound for the entire stack, `log_likelihood_bound_ais`. It is that of images, without labels.
    """

    network: BoltzmannNetwork
    loss: EnergyLoss
    likelihood: AnnealedImportanceSampling
    """estimates log Z for the test"""
    val_likelihood: AnnealedImportanceSampling
    """estimates log Z for every validation, without reverse runs"""
    draw_pixels: bool
    """whether grey pixels are probabilities, from which states are drawn"""

    @abstractmethod
    def states(self, batch: Batch) -> Tensor:
        """Return the visible states (B, D) from which the current RBM learns."""

    @property
    def rbm(self) -> RBM:
        """The RBM that is being trained."""
        rbm: RBM = self.network.rbms[self.turn]
        return rbm

    def val_totals(self) -> dict[str, Tensor]:
        """Return the log-likelihood, the free-energy gap and the number of epochs trained."""
        free_energy = self.val_means.compute()["free_energy"]
        partition = log_partition(self.rbm, self.val_likelihood)
        return {
            f"log_likelihood_{partition.kind}": -free_energy - partition.value,
            "epochs_trained": free_energy.new_tensor(self.current_epoch + 1),
            "free_energy_gap": free_energy - self.training_free_energy(),
            **partition.quality(),
        }

    def training_free_energy(self, batches: int = 20) -> Tensor:
        """Return the mean free energy over some batches of the training data, drawn as an epoch's are."""
        loader = islice(self.trainer.datamodule.loader("train", shuffle=True), batches)
        states = [self.states(self.trainer.strategy.batch_to_device(batch)) for batch in loader]
        return self.rbm.free_energy(torch.cat(states)).mean()

    def training_states(self, count: int) -> Tensor:
        """Return states of the current RBM's visible units for training examples spread over the data, (count, D)."""
        data = self.trainer.datamodule.splits["train"]
        parts = (torch.arange(count) * len(data) // count).split(100)
        return torch.cat([self.states(self.trainer.strategy.batch_to_device(data[part])) for part in parts])

    @property
    def finished(self) -> bool:
        """Whether training has reached the last layer."""
        return self.turn == self.layers - 1

    @property
    def measured(self) -> str:
        """The name of the test's likelihood."""
        return f"log_likelihood_{'bound_' if self.layers > 1 else ''}{self.partition.kind}"

    def on_test_start(self) -> None:
        """Estimate log Z once for all test batches, with less effort if only some of them are used, as to try a run."""
        part = repr(self.trainer.limit_test_batches) != "1.0"  # the number 1 is a single batch
        effort = self.val_likelihood if part else self.likelihood
        estimate = log_partition(self.rbm, effort, self.training_states(effort.runs))
        self.partition = LogPartition(*[ranks.from_first(value) for value in estimate])
        if part:
            log.info("a test of some batches only: log Z is estimated as at validations, by model.val_likelihood")
        elif problem := doubt({f"test/{name}": float(value) for name, value in self.partition.quality().items()}):
            log.warning(
                "log Z is %s; use more temperatures (model.likelihood.steps) or more runs (model.likelihood.runs)",
                problem,
            )

    def test_logs(self, batch: Batch, outputs: None) -> dict[str, Tensor]:
        """Return the lower bound of the log-likelihood of a finished stack, summed over labels that its top RBM sees.

        Of a single RBM without labels, it is minus its free energy, which is logged already, and log Z.
        """
        if not self.finished or (self.layers == 1 and not offers(self.network, Classifies)):
            return {}
        states = bernoulli(batch["image"]) if self.draw_pixels else batch["image"]
        return {self.measured: self.network.log_likelihood_bound(states, self.partition.value).mean()}

    def test_totals(self) -> dict[str, Tensor]:
        """Return log Z, and the likelihood with its interval."""
        partition, means = self.partition, self.test_means.compute()
        totals = {"log_partition": partition.value, **partition.quality()}
        if not self.finished:
            return totals
        value = means.get(self.measured, -means["free_energy"] - partition.value)
        return {**partition.interval(self.measured, value), **totals}
