"""Print a table of the network's parts, with their parameters, output sizes and FLOPs."""

from typing import Any

import torch
from pytorch_lightning.callbacks import Callback
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scalian_exp.commandline.terminal import display


def output_size(output: Any) -> str:
    """Format the shapes of whatever a module returns, without the batch dimension."""
    if isinstance(output, Tensor):
        return "×".join(map(str, output.shape[1:])) or "1"
    if isinstance(output, dict):
        return ", ".join(f"{name} {output_size(value)}" for name, value in output.items())
    if isinstance(output, tuple | list):
        return ", ".join(output_size(value) for value in output)
    return type(output).__name__


def summary(network: nn.Module, x: Tensor) -> Table:
    """Return a table of a network's parts, measured on one example (1, …).

    FLOPs are torch's count for the forward pass: two for each multiply-add. Parts that the network doesn't call, such
    as a GAN's discriminator, have none; they and lists of parts have no output.
    """
    outputs: dict[str, str] = {}
    parts = {"": network, **dict(network.named_children())}
    hooks = [
        part.register_forward_hook(lambda _, __, output, name=name: outputs.update({name: output_size(output)}))
        for name, part in parts.items()
    ]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(x)
    for hook in hooks:
        hook.remove()
    flops = counter.get_flop_counts()
    root = type(network).__name__
    table = Table(title=f"{root} on {output_size(x)}")
    for column in ("part", "type", "parameters", "output", "FLOPs"):
        table.add_column(column, justify="left" if column in ("part", "type") else "right")
    for name, part in [*((n, p) for n, p in parts.items() if n), ("all", network)]:
        key, output = (root, outputs[""]) if name == "all" else (f"{root}.{name}", outputs.get(name))
        count = sum(parameter.numel() for parameter in part.parameters())
        operations = flops_of(part, key, flops)
        cell = f"{operations:,}" if operations or output is not None else "–"
        table.add_row(name, type(part).__name__, f"{count:,}", output or "–", cell)
    return table


def flops_of(part: nn.Module, key: str, flops: dict[str, Any]) -> int:
    """Return the FLOPs of a part, or the sum over a list of parts, which isn't called as a whole."""
    if key in flops:
        return sum(flops[key].values())
    return sum(flops_of(child, f"{key}.{name}", flops) for name, child in part.named_children())


class NetworkSummary(Callback):
    """Print the network's summary before training."""

    def on_fit_start(self, trainer: Any, task: Any) -> None:
        """Run the network on one training example and print the table."""
        batch = next(iter(trainer.datamodule.train_dataloader()))
        batch = trainer.strategy.batch_to_device({name: values[:1] for name, values in batch.items()})
        was_training = task.training
        task.eval()
        table = summary(task.network, task.inputs(batch))
        task.train(was_training)
        if trainer.is_global_zero:
            display(table)
