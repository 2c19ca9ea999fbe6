"""Base class of all training procedures: a task defines what a step computes, and this class does the rest."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch, batch_size
from scalian_exp.distributed import ranks
from scalian_exp.metrics.means import Means
from scalian_exp.refusal import Refusal
from scalian_exp.tasks import position
from scalian_exp.tasks.capabilities import HasClasses, StartsFromData
from scalian_exp.tasks.data_protocols import check_classes
from scalian_exp.tasks.divergence import diverged, not_finite
from scalian_exp.tasks.offers import check_parts, offers
from scalian_exp.tasks.optimisation import Optimised
from scalian_exp.tasks.starting import mean_of_inputs

PARTS = {"network": "model.network", "loss": "loss"}
"""attributes of a task that its class may annotate by a protocol → where the config names them"""


class Step(NamedTuple):
    """A task's results for one batch."""

    loss: Tensor
    """a scalar"""
    logs: dict[str, Tensor]
    """name → mean over the batch"""
    outputs: Any = None
    """the network's, for `test_logs`"""


class Task(Optimised):
    """A network, its loss and its optimizer.

    A subclass annotates `network` and `loss` with the protocols that they must satisfy; see protocols.py.

    Args:
        network: the network to train.
        loss: the loss module; each task documents its call.
        optimizer: function of the parameters that returns an optimizer; None if nothing is trained by gradient: then
            `start_from` does all the learning, and a pass over the training data only evaluates.
        schedule: function from the progress of the training, 0 to 1, to a factor of the learning rate; called before
            every step.
    """

    monitor: ClassVar[str]
    """the validation metric by which the best checkpoint is chosen"""
    mode: ClassVar[str] = "min"
    losses: ClassVar[tuple[str, ...]] = ("loss",)
    """names under which the losses that training minimises are logged: a mean that isn't finite ends the run"""
    loss: Any
    class_names: Sequence[str] | None = None
    """names of the data set's classes, for figures"""
    figure_examples: ClassVar[int] = 1000
    """maximum number of examples that the figures can use"""
    draws_by_rows: ClassVar[bool] = False
    """whether all random numbers of training come from distributed/noise.py, which needs one seed for all processes"""
    takes_turns: ClassVar[bool] = False
    """whether each step trains one part of the network, by the gradients of that part alone"""
    initialised = False
    """whether the network's weights come from another run and must not be overwritten"""

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer] | None,
        schedule: Callable[[float], float] | None = None,
    ):
        super().__init__()
        self.network, self.loss = network, loss
        self.optimizer, self.schedule = optimizer, schedule
        check_parts(self, PARTS)
        self.samples_per_epoch = 0
        """training samples seen in the last epoch"""
        self.train_means, self.val_means, self.test_means = Means(), Means(), Means()

    @classmethod
    def objective(cls, network: Any) -> tuple[str, str]:  # noqa: ARG003 (subclasses use it)
        """Return the monitored metric and its mode for a class of networks, which are known before one is built."""
        return cls.monitor, cls.mode

    @property
    def turn(self) -> int:
        """The number of the part that is being trained, counted from 0; always 0 unless parts are trained in turn."""
        return 0

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Take the names of classes from a data set's config."""
        self.class_names = facts.get("class_names")

    def name_classes(self, data: Any) -> None:
        """Take the names of classes from data, set up already, where their config has none."""
        self.class_names = self.class_names or data.class_names

    def step(self, batch: Batch) -> Step:
        """Return the loss of a batch, what to log of it, and perhaps the network's outputs."""
        raise TypeError(f"{type(self).__name__} has no step(batch) → Step(loss, logs)")

    def test_logs(self, batch: Batch, outputs: Any) -> dict[str, Tensor]:
        """Return metrics too slow for every validation: name → mean over the batch; `outputs` are those of `step`."""
        return {}

    def val_totals(self) -> dict[str, Tensor]:
        """Return metrics over the validation split that aren't means over batches, and reset them."""
        return {}

    def test_totals(self) -> dict[str, Tensor]:
        """Return metrics over the test split that aren't means over batches, and reset them."""
        return {}

    def check_size(self, data: Any) -> None:
        """Refuse examples, of a data module set up already, that are too small for the network.

        Raises:
            Refusal: if they are; the network may still be on the meta device.
        """

    def check(self, data: Any) -> None:
        """Refuse data, set up already, that this network can't be trained on.

        Raises:
            Refusal: if they can't be used, for example because the network has another number of classes, or if some
                classes have no name.
        """
        self.name_classes(data)
        known = self.network.num_classes if offers(self.network, HasClasses) else None
        check_classes(data, known, self.class_names)

    def inputs(self, batch: Batch) -> Tensor:
        """Return what the network is called with."""
        return batch["image"]

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw what the network does with these examples: name → figure."""
        return {}

    def compiled(self) -> list[nn.Module]:
        """Return the modules that `compile=true` compiles: those that training calls."""
        return [self.network]

    def forward(self, x: Tensor) -> Any:
        """Call the network."""
        return self.network(x)

    def on_fit_start(self) -> None:
        """Initialise a network that supports it from the training data's mean, unless it has weights already."""
        if self.trainer.ckpt_path is None and not self.initialised and offers(self.network, StartsFromData):
            self.network.start_from(mean_of_inputs(self))

    def on_train_epoch_start(self) -> None:
        """Validate after the last epoch, whatever trainer.check_val_every_n_epoch is: it may be the best."""
        if self.current_epoch + 1 == self.trainer.max_epochs and self.trainer.check_val_every_n_epoch is not None:
            self.trainer.check_val_every_n_epoch = 1

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """Return the loss of a batch, and log it."""
        loss, logs, _ = Step(*self.step(batch))
        if loss.numel() > 1:
            name, shape = type(self.loss).__name__, tuple(loss.shape)
            raise Refusal(f"{name} gives {shape} values, but a loss is one; take the mean.")
        self.train_means.update({"loss": loss, **logs}, batch_size(batch))
        every = self.trainer.log_every_n_steps
        if every and (self.global_step + 1) % every == 0:
            self.log("step/loss", ranks.mean(loss.detach()), prog_bar=True, batch_size=batch_size(batch))
        if self.optimizer is None:
            return None  # nothing for Lightning to backpropagate
        scale = position.scale_of_accumulation(self.trainer, batch_idx)
        return loss if scale == 1 else scale * loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation's means."""
        loss, logs, _ = Step(*self.step(batch))
        self.val_means.update({"loss": loss, **logs}, batch_size(batch))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the test's means."""
        loss, logs, outputs = Step(*self.step(batch))
        self.test_means.update({"loss": loss, **logs, **self.test_logs(batch, outputs)}, batch_size(batch))

    def on_train_epoch_end(self) -> None:
        """Log the training's means and the learning rate."""
        if position.last_batch(self.trainer) or not self.samples_per_epoch:  # see Timing
            self.samples_per_epoch = self.train_means.count * ranks.size()
        self.log_means("train", self.train_means)
        if self.optimizer is not None:
            self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_epoch_end(self) -> None:
        """Log the validation's means and totals."""
        self.log_means("val", self.val_means, self.val_totals())

    def on_test_epoch_end(self) -> None:
        """Log the test's means and totals."""
        self.log_means("test", self.test_means, self.test_totals())

    def log_means(self, split: str, means: Means, totals: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        """Log the split's means over all processes, and the totals; reset the means.

        Raises:
            Refusal: if the training has diverged.
        """
        values = {
            name: ranks.from_first(value) for name, value in (means.compute() | dict(totals)).items()
        }  # random draws differ between processes
        means.reset()
        if split == "train" and (broken := not_finite({name: values[name] for name in self.losses if name in values})):
            raise diverged(f"train/{broken[0]}", self.trainer)
        for name, value in values.items():
            self.log(f"{split}/{name}", value, prog_bar=f"{split}/{name}" == self.monitor)
