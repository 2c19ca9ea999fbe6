"""Train a stack one layer after another, each on the outputs of the layers below."""

import logging
from abc import abstractmethod
from collections.abc import Callable
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch
from scalian_exp.metrics.explained import ExplainedVariance
from scalian_exp.networks.autoencoder import Autoencoder
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.base import Step, Task
from scalian_exp.tasks.protocols import GreedyNetwork
from scalian_exp.tasks.reconstruction import Reconstruction

log = logging.getLogger(__name__)


class LayerByLayer(Task):
    """Trains the layers of a stack in turn, each for `epochs_per_layer` epochs.

    The rest of trainer.max_epochs goes to the last layer. With several layers, `train/layer` is logged: the number of
    the layer that is being trained, counted from 1.

    Outputs of the layers below are computed once for all training data, when a layer's training begins. Subclasses call
    `stack` in their constructor.
    """

    takes_turns = True
    layers: int
    """number of layers"""
    epochs_per_layer: int
    layer: Tensor
    """the layer that is being trained, counted from 0; a checkpoint is tested with the one stored in it"""
    present: int | None = None
    """`layer` as a Python integer during an epoch: reading the tensor in each step would synchronise with the GPU"""
    gathered: Tensor | None = None
    """the current layer's inputs for all training examples, in the data's order"""
    gathered_for = 0
    """the layer that they belong to; those of the first layer are the data themselves"""

    def stack(self, layers: int, epochs_per_layer: int) -> None:
        """Set the number of layers and of epochs for each; called once, by the constructor."""
        self.layers, self.epochs_per_layer = layers, epochs_per_layer
        self.register_buffer("layer", torch.tensor(0))

    @property
    def turn(self) -> int:
        """The layer that is being trained, counted from 0."""
        return int(self.layer) if self.present is None else self.present

    @abstractmethod
    def below(self, batch: Batch, layer: int) -> Tensor:
        """Return a layer's inputs, (B, D): the data, encoded by the layers below."""

    def layer_input(self, batch: Batch) -> Tensor:
        """Return the current layer's inputs, (B, D); those of training batches have been computed already."""
        if self.gathered is not None and self.training:
            return self.gathered.index_select(0, batch["index"])
        with torch.no_grad():
            return self.below(batch, self.turn)

    def on_fit_start(self) -> None:
        """Refuse endless training of several layers, and log how many layers a short training reaches."""
        super().on_fit_start()
        epochs = self.trainer.max_epochs
        if epochs == -1 and self.layers > 1:
            raise Refusal(
                "trainer.max_epochs=-1: layers are trained one after another, for some epochs each; give "
                "the total, trainer.max_epochs=…"
            )
        if -1 < epochs <= (self.layers - 1) * self.epochs_per_layer:
            log.info(
                "trains %d of %d layers (trainer.max_epochs=%d, model.epochs_per_layer=%d); to train all, use "
                "trainer.max_epochs=%d",
                *(-(-epochs // self.epochs_per_layer), self.layers, epochs, self.epochs_per_layer),
                self.layers * self.epochs_per_layer,
            )

    def on_train_epoch_start(self) -> None:
        """Determine the current layer, and compute its inputs when its training begins."""
        super().on_train_epoch_start()
        layer = min(self.current_epoch // self.epochs_per_layer, self.layers - 1)
        self.layer.fill_(layer)
        self.present = layer
        if self.layers > 1:
            self.log("train/layer", float(layer + 1), prog_bar=True)
        if layer != self.gathered_for:
            self.gathered, self.gathered_for = self.gather(layer), layer
            begins = self.current_epoch == layer * self.epochs_per_layer
            position = (self.current_epoch + 1, layer + 1, self.layers, "begins" if begins else "goes on")
            log.info("epoch %d: layer %d of %d %s", *position)

    @torch.no_grad()
    def gather(self, layer: int) -> Tensor:
        """Compute a layer's inputs for all training data, (N, D)."""
        batches = self.trainer.datamodule.loader("train")
        with torch.random.fork_rng():
            torch.manual_seed(layer)  # so that a resumed run draws the same pixels
            return torch.cat([self.below(self.trainer.strategy.batch_to_device(batch), layer) for batch in batches])

    def on_fit_end(self) -> None:
        """Free the layer's inputs; the test may load a checkpoint of another layer."""
        self.gathered, self.gathered_for, self.present = None, 0, None

    def progress(self, step: int) -> float:
        """Return the progress of the current layer's training: schedules restart with each layer."""
        if self.layers == 1:
            return super().progress(step)
        total = self.trainer.estimated_stepping_batches  # makes the loader, whose length is needed next
        per_epoch = ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        per_layer = self.epochs_per_layer * per_epoch
        layer = min(step // per_layer, self.layers - 1)
        length = per_layer if layer < self.layers - 1 else max(total - layer * per_layer, 1)
        return min((step - layer * per_layer) / length, 1.0)


class GreedyReconstruction(LayerByLayer, Reconstruction):
    """Trains each layer to reconstruct its input, the code of the layers below, from a corrupted copy.

    Vincent et al. 2010, section 3.4. The loss is applied to codes, which must lie in [0, 1] as pixels do.

    The best checkpoint is that of most `layers_trained`: the finished layers, plus the share of its input's variance
    that the current one explains, so that a later layer always counts more.
    """

    monitor = "val/layers_trained"
    mode = "max"
    network: GreedyNetwork

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        schedule: Callable[[float], float] | None = None,
        corruption: nn.Module | None = None,
        epochs_per_layer: PositiveInt = 5,
        penalty: nn.Module | None = None,
    ):
        super().__init__(network, loss, optimizer, schedule, corruption, penalty=penalty)
        self.stack(len(self.network.layer_encoders), epochs_per_layer)
        self.explained = ExplainedVariance()

    def compiled(self) -> list[nn.Module]:
        """Return the dense layers: training never calls the stack as a whole."""
        layers = [*self.network.layer_encoders, *self.network.layer_decoders]
        return [part for layer in layers for part in layer.modules() if isinstance(part, nn.Linear)]

    def below(self, batch: Batch, layer: int) -> Tensor:
        """Encode images by the layers below a layer, (B, D)."""
        codes = batch["image"].flatten(1)
        for encoder in self.network.layer_encoders[:layer]:
            codes = encoder(codes)
        return codes

    def step(self, batch: Batch) -> Step:
        """Compute the current layer's loss; outside training also what `layers_trained` needs."""
        layer = self.turn
        clean = self.layer_input(batch)
        corrupted = self.corruption(clean) if self.corruption is not None and self.training else clean
        # gradients reach only the current layer; optimizers skip parameters without one
        encoder, decoder = self.network.layer_encoders[layer], self.network.layer_decoders[layer]
        codes = encoder(corrupted)
        logits, network = decoder(codes), Autoencoder(encoder, decoder, codes.shape[1])
        loss, logs = self.penalised(self.loss(logits, clean), network, corrupted, codes)
        if not self.training:
            self.explained.update(torch.sigmoid(logits), clean)
        return Step(loss, logs)

    def val_totals(self) -> dict[str, Tensor]:
        """Return how much of the stack is trained."""
        return {"layers_trained": self.turn + self.explained.compute().clamp(0, 0.999)}

    def test_totals(self) -> dict[str, Tensor]:
        """Return how much of the stack is trained."""
        return self.val_totals()

    def test_logs(self, batch: Batch, outputs: Any) -> dict[str, Tensor]:
        """Return the errors of the entire stack: `step` runs one layer alone."""
        logits = self.network(batch["image"])
        return {**self.errors(logits, batch["image"]), **super().test_logs(batch, logits)}
