"""Today's import paths of classes that older configs name, so that earlier versions' runs still load. No torch."""

import re
from typing import Any

MOVED = {
    "pytorch_lightning.Trainer": "scalian_exp.run.lean_loop.Trainer",
    "pytorch_lightning.loggers.TensorBoardLogger": "scalian_exp.loggers.tensorboard.TensorBoard",
    "scalian_exp.callbacks.summary": "scalian_exp.callbacks.network_summary",
    "scalian_exp.datasets.small.FakeImages": "scalian_exp.datasets.fake.FakeImages",
    "scalian_exp.datasets.small": "scalian_exp.datasets.bundled",
    "scalian_exp.datasets.fake_masks": "scalian_exp.datasets.fake",
    "scalian_exp.losses.contrastive": "scalian_exp.losses.contrastive_divergence",
    "scalian_exp.networks.backbones": "scalian_exp.networks.parts.backbones",
    "scalian_exp.networks.layers": "scalian_exp.networks.parts.layers",
    "scalian_exp.networks.ratings.MatrixFactorisation": "scalian_exp.networks.matrix_factorisation.MatrixFactorisation",
    "scalian_exp.sweeps.Jobs": "scalian_exp.sweep.jobs.JobLifecycle",
}
"""path of a module or class in an earlier version → its path today; the first match counts"""
OLD = re.compile("|".join(rf"\b{re.escape(path)}\b" for path in MOVED))


def current_path(text: str) -> str:
    """Replace old import paths by today's in a text, such as a `_target_` or an override."""
    return OLD.sub(lambda match: MOVED[match[0]], text)


def current_config(node: Any) -> Any:
    """Replace old import paths by today's in the `_target_` of every node of a config."""
    if isinstance(node, list):
        return [current_config(value) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: current_path(value) if key == "_target_" and isinstance(value, str) else current_config(value)
        for key, value in node.items()
    }
