"""Train Boltzmann machines: a restricted one, or a stack of them one after another."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch
from scalian_exp.distributed import ranks
from scalian_exp.distributed.noise import bernoulli
from scalian_exp.figures.filters import filter_grid
from scalian_exp.figures.grids import heat_map, image_grid, rows_of_images
from scalian_exp.losses.contrastive_divergence import ContrastiveLoss
from scalian_exp.metrics.ais import AnnealedImportanceSampling
from scalian_exp.metrics.pseudo_likelihood import pseudo_likelihood
from scalian_exp.networks.units import Bernoulli
from scalian_exp.ranges import PositiveFloat, PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.base import Step
from scalian_exp.tasks.by_hand import ByHand
from scalian_exp.tasks.capabilities import Classifies, Denoises
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.reconstruction import gain_against_noise, psnr


class Contrastive(ByHand):
    """Trains a stack of RBMs, `network.rbms`, one after another; a single RBM is a stack of one.

    Each is trained for `epochs_per_layer` epochs, on what the one below gives; the last gets the remaining epochs of
    trainer.max_epochs.

    The best checkpoint is the latest: the quick estimates at validations flatter models whose chains mix badly, and no
    other cheap figure measures how good a model is.

    Logs, besides Boltzmann's metrics, for the RBM that is being trained:
    - `pseudo_likelihood`: Σ_i log p(v_i | the others) in nats, by one i drawn for each example; binary units only.
    - `reconstruction_error`: squared error of a Gibbs step. It measures how far the chain moves, not how good the model
      is.
    - `error`: share of examples whose label hasn't the least free energy, if the last RBM sees labels.

    Args:
        layer_rates: factor of the learning rate for each layer.
        draw_pixels: grey pixels are probabilities from which states are drawn; otherwise pixels must be black or white.
        draw_states: upper layers learn from states drawn from the probabilities that the layers below give, otherwise
            from the probabilities themselves, as in Hinton & Salakhutdinov 2006.
        momentum: progress of a layer's training, 0 to 1 → momentum of the optimizer.
        weight_decay: progress of a layer's training, 0 to 1 → decay of the weights; biases have none.
        likelihood: estimates log Z for the test.
        val_likelihood: estimates it for every validation, without reverse runs: fewer temperatures, higher likelihoods.
    """

    monitor = "val/epochs_trained"
    mode = "max"
    figure_examples = 1000
    draws_by_rows = True

    def __init__(
        self,
        network: nn.Module,
        loss: ContrastiveLoss,
        optimizer: Callable[[Any], Optimizer],
        likelihood: AnnealedImportanceSampling,
        val_likelihood: AnnealedImportanceSampling,
        schedule: Callable[[float], float] | None = None,
        momentum: Callable[[float], float] | None = None,
        weight_decay: Callable[[float], float] | None = None,
        epochs_per_layer: PositiveInt = 10,
        layer_rates: Sequence[PositiveFloat] | None = None,
        draw_pixels: bool = False,
        draw_states: bool = True,
    ):
        super().__init__(network, loss, optimizer, schedule)
        self.draw_pixels, self.draw_states = draw_pixels, draw_states
        self.likelihood, self.val_likelihood = likelihood, val_likelihood
        self.momentum, self.weight_decay = momentum, weight_decay
        self.stack(len(self.network.rbms), epochs_per_layer)
        if layer_rates is not None and len(layer_rates) != self.layers:
            raise Refusal(f"layer_rates has {len(layer_rates)} factors for {self.layers} layers; give one for each.")
        self.layer_rates = layer_rates
        loss.attach(self.network.rbms)

    def check(self, data: Any) -> None:
        """Check the data as other tasks do, and refuse grey pixels for binary units that take no probabilities."""
        super().check(data)
        if self.network.standardised:
            if self.draw_pixels:
                raise Refusal("model.draw_pixels=true is for binary units, but these are Gaussian: leave it out.")
            return
        first = torch.arange(min(100, len(data.splits["train"])))
        image = data.prepare(data.splits["train"][first])["image"]
        if not (self.draw_pixels or bool(((image == 0) | (image == 1)).all())):
            raise Refusal(
                f"{type(data).__name__} has grey pixels, but these units are black or white: use "
                "dataset=mnist_binarized or another binary one, model=dbn 'model.network.hidden=[500]', which "
                "treats grey as a probability, or model=rbm_gaussian."
            )

    def below(self, batch: Batch, layer: int) -> Tensor:
        """Return mean states (B, D) of the units below a layer."""
        return self.network.means_above(batch["image"], layer)

    def states(self, batch: Batch) -> Tensor:
        """Return the inputs of the RBM that is being trained, (B, D): the data, or what the units below give.

        Outside training they are drawn in any case, because a likelihood is one of states, not of probabilities.
        """
        means = self.means(batch)
        drawn = self.draw_pixels if self.turn == 0 else self.draw_states or not self.training
        return bernoulli(means) if drawn else means

    def means(self, batch: Batch) -> Tensor:
        """Return the probabilities of the trained RBM's inputs, (B, D); for labels they are 0 or 1."""
        below = self.layer_input(batch)
        top: Tensor = self.network.seen_by_top(below, batch.get("label")) if self.finished else below
        return top

    def on_fit_start(self) -> None:
        """Give Gaussian units the pixels' mean and standard deviation, unless they are known already."""
        super().on_fit_start()
        if self.trainer.ckpt_path is None and not self.initialised and self.network.standardised:
            mean, square = self.moments(lambda batch: batch["image"].flatten(1))
            self.network.standardise(mean, (square - mean.square()).clamp_min(0).sqrt())

    def on_train_epoch_start(self) -> None:
        """Initialise an RBM from the mean of its inputs when its training begins."""
        super().on_train_epoch_start()
        if not self.rbm.started:
            self.rbm.start_from(self.moments(self.means)[0])

    @torch.no_grad()
    def moments(self, values: Callable[[Batch], Tensor]) -> tuple[Tensor, Tensor]:
        """Return mean and mean square (D,) of values (B, D), computed batch by batch over the training data."""
        sums = torch.zeros((), device=self.device)
        count = 0
        with torch.random.fork_rng():  # drawing pixels here must not change the epoch's noise
            for batch in self.trainer.datamodule.loader("train"):
                x = values(self.trainer.strategy.batch_to_device(batch)).float()
                sums, count = sums + torch.stack([x.sum(0), x.square().sum(0)]), count + len(x)
        mean, square = ranks.mean(sums / count).to(self.dtype)  # drawn pixels differ between processes
        return mean, square

    def make_optimizer(self) -> Optimizer:
        """Make an optimizer whose weight decay leaves biases alone."""
        rbms = list(self.network.rbms)
        parts = [rbms] if self.layer_rates is None else [[rbm] for rbm in rbms]
        groups: list[dict[str, Any]] = []
        for part in parts:
            biases = [bias for rbm in part for bias in (rbm.visible_bias, rbm.hidden_bias)]
            groups += [{"params": [rbm.weight for rbm in part]}, {"params": biases, "weight_decay": 0.0}]
        optimizer = self.optimizer(groups)
        for number, rate in enumerate(self.layer_rates or []):
            for group in optimizer.param_groups[2 * number : 2 * number + 2]:
                group["lr"] *= rate
        if self.momentum is not None and "momentum" not in optimizer.param_groups[0]:
            raise Refusal(f"model.momentum: {type(optimizer).__name__} has none; use SGD, or model.momentum=null.")
        return optimizer

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Set momentum and weight decay by the layer's progress, then train."""
        if self.momentum is not None or self.weight_decay is not None:
            progress = self.progress(self.global_step)
            groups = self.trainer.optimizers[0].param_groups  # weights and biases in turn
            if self.momentum is not None:
                for group in groups:
                    group["momentum"] = self.momentum(progress)
            if self.weight_decay is not None:
                for weights in groups[::2]:
                    weights["weight_decay"] = self.weight_decay(progress)
        return super().training_step(batch, batch_idx)

    def step(self, batch: Batch) -> Step:
        """Compute the contrastive loss in training, else the free energy and diagnostics."""
        v, rbm = self.states(batch), self.rbm
        if not self.training:
            return Step(rbm.free_energy(v).mean(), self.diagnostics(v) | self.class_errors(batch))
        if rbm.centred:
            rbm.recentre(v)
        progress = self.progress(self.global_step)
        if self.by_hand:
            return Step(self.step_by_hand(v, progress), {})
        return Step(self.loss(rbm, v, self.turn, progress).loss, {})

    def diagnostics(self, v: Tensor) -> dict[str, Tensor]:
        """Return free energy, reconstruction error and, for binary units, the pseudo-likelihood."""
        rbm = self.rbm
        again = rbm.visible.mean(rbm.visible_input(rbm.hidden_sample(v)))
        logs = {
            "free_energy": rbm.free_energy(v).mean(),
            "reconstruction_error": (again - v).square().sum(1).mean(),
        }
        if isinstance(rbm.visible, Bernoulli):
            logs["pseudo_likelihood"] = pseudo_likelihood(rbm, v).mean()
        return logs

    def class_errors(self, batch: Batch) -> dict[str, Tensor]:
        """Return how often the label of least free energy is wrong, once the RBM that sees the labels is trained."""
        if not (self.finished and offers(self.network, Classifies)):
            return {}
        return {"error": (self.network.classify(batch["image"]).argmax(1) != batch["label"]).float().mean()}

    def test_logs(self, batch: Batch, outputs: None) -> dict[str, Tensor]:
        """Return the PSNR of a pass up and down, and the likelihood's bound."""
        one_pass = psnr(self.reconstruct(batch["image"]), batch["image"]).mean()
        return {"psnr_one_pass": one_pass, **super().test_logs(batch, outputs)}

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw filters and activity of the current layer; for a finished stack, also reconstructions and samples."""
        layer = self.turn
        which = f"layer {layer + 1} of {self.layers}: " if self.layers > 1 else ""
        filters, activity = self.network.filters(layer), self.activity(batch)
        shown = "" if len(filters) <= 100 else f" (100 of {len(filters)})"
        figures = {
            "filters": filter_grid(filters[:100], f"{which}how each hidden unit{shown} acts on the pixels"),
            "activity": unit_activity(activity, which),
        }
        if self.finished:
            x = batch["image"][:10]
            figures["reconstructions"] = rows_of_images(
                {"input": x, "output": self.reconstruct(x)}, "images after a pass up to the hidden units and down again"
            )
            figures["samples"] = image_grid(self.network.sample(64).float(), title="samples, after Gibbs sampling")
            if offers(self.network, Denoises) and not self.network.standardised:
                figures["psnr_gain"] = gain_against_noise(self.network.denoise, batch["image"][:100])
        return figures

    def compiled(self) -> list[nn.Module]:
        """Return no module: compiling gains nothing, as a step is a few matrix products with random numbers between."""
        return []

    def activity(self, batch: Batch) -> Tensor:
        """Return the probabilities of some hidden units for some examples, (examples, hidden)."""
        means: Tensor = self.network.means_above(batch["image"][:100], self.turn + 1)
        return means[:, :200].float()


def unit_activity(probabilities: Tensor, which: str) -> Figure:
    """Draw how probable it is that a hidden unit is on, (examples, hidden).

    Columns of one colour are dead units (Hinton 2010, section 16.1).
    """
    title = f"{which}which hidden units are on for which images; a column of one colour is a dead unit"
    figure = heat_map(probabilities, title, "probability that the unit is on", most=1)
    figure.axes[0].set(xlabel="hidden unit", ylabel="image")
    return figure
