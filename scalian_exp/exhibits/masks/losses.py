"""The settings by which a run's loss differs from the mean of −log p over all labelled pixels."""

from typing import Any

from torch import Tensor, nn

from scalian_exp.tasks.offers import has
from scalian_exp.tasks.segmentation import Segmentation


def training_loss(task: Segmentation, logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return the value of the task's loss without auxiliary heads, as in the test, and the settings that change it.

    `parts` are the terms of a sum; `weights` the smallest and the largest weight, with their classes; `smoothing`
    the share of the target that is spread over all classes; `gamma` the focal loss's exponent; `heads` the weights of
    losses of auxiliary heads, which only training adds. Each is empty or None if the loss has no such setting.
    """
    loss: Any = task.loss
    factors: dict[str, float] = getattr(loss, "factors", {})
    weights: Any = loss.weights if has(loss, "pixel_weights") else []
    order = [int(weights.argmin()), int(weights.argmax())] if len(weights) else []
    heads = {"aux": task.aux_weight, "presence": task.presence_weight}
    return {
        "name": type(loss).__name__,
        "value": float(loss(logits, labels)),
        "parts": [
            {"name": name, "factor": factor, "value": float(part(logits, labels))}
            for (name, factor), part in zip(factors.items(), loss.children(), strict=True)
        ],
        "weights": [{"label": k, "weight": float(weights[k])} for k in order],
        "smoothing": getattr(loss, "label_smoothing", 0.0) or None,
        "gamma": getattr(loss, "gamma", None),
        "heads": [weight for name, weight in heads.items() if weight and has_head(task.network, name)],
    }


def has_head(network: Any, name: str) -> bool:
    """Return whether a part of the network is an auxiliary head of that name."""
    return any(module_name.rpartition(".")[2] == name for module_name, _ in nn.Module.named_modules(network))
