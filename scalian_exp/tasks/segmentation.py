"""Train a network to name the class of every pixel."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from scalian_exp.batches import Batch, called
from scalian_exp.figures.classes import confusion_matrix
from scalian_exp.figures.segmentation import iou_bars, segmentations
from scalian_exp.losses.segmentation import Balanced
from scalian_exp.metrics.confusion import Confusion
from scalian_exp.metrics.objects import rand_error, variation_of_information
from scalian_exp.metrics.segmentation import boundary_f1, ious, present, scores
from scalian_exp.networks.parts.exported import Recogniser, class_logits
from scalian_exp.ranges import NonNegativeFloat, PositiveFloat, PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.base import Step, Task
from scalian_exp.tasks.capabilities import OnBackbone
from scalian_exp.tasks.loss_protocols import SegmentationLoss
from scalian_exp.tasks.offers import offers
from scalian_exp.tasks.protocols import SegmentationNetwork

log = logging.getLogger(__name__)


class Segmentation(Task):
    """Trains a segmentation network by loss(logits (B, K, H, W), labels (B, H, W)); void pixels, −100, don't count.

    Logs mean IoU and its relatives from one confusion matrix over the split; the best checkpoint is that of largest
    mean IoU. The test adds boundary F1, and with a CRF the same metrics after it, `crf_…`.

    Args:
        head_lr: factor of the learning rate of everything that isn't the network's backbone.
        decay_biases: whether the optimizer's weight decay shrinks biases too, among them batch norm's shifts β.
        aux_weight: of the auxiliary head's loss.
        presence_weight: of the presence's binary cross-entropy (the SE loss of Zhang et al. 2018).
        crf: (logits, images) → probabilities, applied at the test.
    """

    monitor = "val/miou"
    mode = "max"
    network: SegmentationNetwork
    loss: SegmentationLoss
    figure_examples = 6
    palette: Sequence[Sequence[int]] | None = None
    """the data set's own colours of its classes, for figures"""
    object_class: int | None = None
    """the class whose connected regions the data set counts as objects"""

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        num_classes: PositiveInt,
        schedule: Callable[[float], float] | None = None,
        head_lr: PositiveFloat = 1.0,
        decay_biases: bool = True,
        aux_weight: NonNegativeFloat = 0.4,
        presence_weight: NonNegativeFloat = 0.2,
        crf: nn.Module | None = None,
    ):
        super().__init__(network, loss, optimizer, schedule)
        self.num_classes, self.head_lr, self.decay_biases = num_classes, head_lr, decay_biases
        self.aux_weight, self.presence_weight, self.crf = aux_weight, presence_weight, crf
        self.confusion, self.crf_confusion = Confusion(num_classes), Confusion(num_classes)

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Take class names, colours and the class of objects from a data set's config."""
        super().describe(facts)
        self.palette, self.object_class = facts.get("palette"), facts.get("object_class")

    def check_size(self, data: Any) -> None:
        """Refuse images that aren't larger than the stride of the network's deepest map."""
        height, width = data.training_size
        if min(height, width) <= self.network.total_stride:
            raise Refusal(
                f"Training images of {height}×{width} pixels are too small for {type(self.network).__name__}, whose "
                f"deepest map has a stride of {self.network.total_stride}; use larger ones (dataset.image_size, crops)."
            )

    def check(self, data: Any) -> None:
        """Refuse small images, `head_lr` without a backbone and an impossible CRF, besides what other tasks refuse."""
        super().check(data)
        if self.head_lr != 1 and not offers(self.network, OnBackbone):
            raise Refusal(
                f"model.head_lr={self.head_lr:g} is for networks with a `backbone`, and {type(self.network).__name__} "
                "has none; leave it out, and set model.optimizer.lr."
            )
        self.check_size(data)
        if self.crf is not None:  # the lattice may be too large, which is better refused now than at the test
            image = data.splits["train"][torch.tensor([0])]["image"] / 255
            try:
                self.crf(torch.zeros(1, self.num_classes, *image.shape[2:]), image)
            except ValueError as error:
                raise Refusal(f"model.crf: {error}") from error

    def on_fit_start(self) -> None:
        """Give a loss that weights classes the pixel counts of the training split."""
        super().on_fit_start()
        if self.trainer.ckpt_path is None and isinstance(self.loss, Balanced):
            try:
                self.loss.balance(*self.trainer.datamodule.class_pixels())
            except ValueError as error:
                raise Refusal(str(error)) from error

    def make_optimizer(self) -> Optimizer:
        """Make an optimizer with separate groups for backbone and head, weights and biases, where needed."""
        if self.head_lr == 1 and self.decay_biases:
            return super().make_optimizer()
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.trained_parameters():
            kind = (name.startswith("backbone."), self.decay_biases or not name.endswith("bias"))
            groups.setdefault(kind, []).append(parameter)
        optimizer: Any = self.optimizer(
            [{"params": group, **({} if decays else {"weight_decay": 0.0})} for (_, decays), group in groups.items()]
        )
        for group, (in_backbone, _) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] *= 1.0 if in_backbone else self.head_lr
        return optimizer

    def logits(self, x: Tensor) -> Tensor:
        """Return the network's logits, (B, K, H, W), without those of auxiliary heads."""
        return class_logits(self.network, x)

    @property
    def exported(self) -> nn.Module:
        """The network for other runtimes: image (B, C, H, W) → logits (B, K, H, W)."""
        return Recogniser(self.network)

    def step(self, batch: Batch) -> Step:
        """Compute the loss, with those of auxiliary heads in training; else count the confusion matrix."""
        labels, outputs = batch["mask"], self.network(self.inputs(batch))
        if not isinstance(outputs, dict):
            outputs = {"out": outputs}
        loss = self.loss(outputs["out"], labels)
        if not self.training:
            self.confusion.update(outputs["out"].argmax(1), labels)
            return Step(loss, {}, outputs["out"])
        if "aux" in outputs:
            loss = loss + self.aux_weight * self.loss(outputs["aux"], labels)
        if "presence" in outputs:
            there, presence = present(labels, self.num_classes), outputs["presence"].float()
            loss = loss + self.presence_weight * F.binary_cross_entropy_with_logits(presence, there.float())
        return Step(loss, {})

    def val_totals(self) -> dict[str, Tensor]:
        """Return scores over the validation split."""
        return self.totals(self.confusion)

    def totals(self, confusion: Confusion) -> dict[str, Tensor]:
        """Return scores over all that was counted, and reset the counts."""
        values = scores(confusion.compute(), self.class_names)
        confusion.reset()
        return {name: value.float() for name, value in values.items()}

    def test_logs(self, batch: Batch, outputs: Tensor) -> dict[str, Tensor]:
        """Return metrics of boundaries and objects, also after the CRF, if there is one."""
        logs = self.shapes(outputs.argmax(1), batch["mask"])
        if self.crf is not None:
            refined = self.crf(outputs, batch["image"]).argmax(1)
            self.crf_confusion.update(refined, batch["mask"])
            logs |= {f"crf_{name}": value for name, value in self.shapes(refined, batch["mask"]).items()}
        return logs

    def shapes(self, predicted: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return metrics of boundaries and objects, image by image."""
        values = {"boundary_f1": boundary_f1(predicted, labels, self.num_classes).mean()}
        if self.object_class is not None:
            for metric in (rand_error, variation_of_information):
                values[metric.__name__] = metric(predicted, labels, self.object_class).mean()
        return values

    def test_totals(self) -> dict[str, Tensor]:
        """Return scores over the test split, also after the CRF, if there is one; say which classes don't count."""
        never = ious(self.confusion.compute()).isnan().nonzero().flatten().tolist()
        if never:
            log.info(
                "mean IoU is over %d of %d classes: no pixel of the test images is %s, nor is one predicted to be",
                *(self.num_classes - len(never), self.num_classes),
                " or ".join(called(self.class_names, k) for k in never),
            )
        refined = self.totals(self.crf_confusion) if self.crf is not None else {}
        return {**self.totals(self.confusion), **{f"crf_{name}": value for name, value in refined.items()}}

    def figures(self, batch: Batch) -> dict[str, Figure]:
        """Draw segmentations, the IoU of each class and the confusion matrix."""
        x, labels = self.inputs(batch)[: self.figure_examples], batch["mask"][: self.figure_examples]
        logits = self.logits(x)
        predicted = logits.argmax(1) if self.crf is None else self.crf(logits, x).argmax(1)
        matrix = self.confusion.compute()
        return {
            "segmentations": segmentations(
                x, labels, predicted, self.num_classes, self.palette, self.class_names, refined=self.crf is not None
            ),
            "iou": iou_bars(ious(matrix), self.class_names),
            "confusion": confusion_matrix(matrix, self.class_names, unit="pixels"),
        }
