"""The text of docs/contracts.md, from the package's protocols; scripts/write_docs.py writes it."""

import inspect
from collections.abc import Iterator
from typing import Any

from scalian_exp.callbacks import protocols as callback_protocols
from scalian_exp.losses import ratings as rating_losses
from scalian_exp.losses.segmentation import Balanced
from scalian_exp.tasks import capabilities, data_protocols, loss_protocols
from scalian_exp.tasks.adversarial import Adversarial
from scalian_exp.tasks.autoregressive import Autoregressive
from scalian_exp.tasks.classification import Classification
from scalian_exp.tasks.contrastive import Contrastive
from scalian_exp.tasks.greedy import GreedyReconstruction
from scalian_exp.tasks.offers import asked_by, is_protocol, members, signature
from scalian_exp.tasks.ratings import Ratings
from scalian_exp.tasks.reconstruction import Reconstruction
from scalian_exp.tasks.segmentation import Segmentation
from scalian_exp.tasks.text import TextReconstruction
from scalian_exp.tasks.up_down import UpDown
from scalian_exp.tasks.variational import Variational

TASKS = {
    Reconstruction: "reconstruction",
    GreedyReconstruction: "reconstruction",
    Variational: "variational",
    Adversarial: "adversarial",
    Autoregressive: "autoregressive",
    Contrastive: "contrastive",
    UpDown: "up_down",
    Ratings: "rating_regression, rating_energy or ranking",
    Segmentation: "segmentation",
    Classification: "classification",
    TextReconstruction: "text_reconstruction",
}
"""task → the value of `fits.task` in its models' configs"""

HEAD = """# Contracts: what a network, a loss and a data set offer

<!-- Written by scripts/write_docs.py from the protocols in scalian_exp/tasks and scalian_exp/callbacks. -->

A task trains any network that offers what the task's protocol lists, whatever its class and wherever its file. Nothing
is registered, and nothing but `torch.nn.Module` needs to be inherited: methods with the right names are enough. If one
is missing, the command ends before any data are read, with a sentence that names it.

Images are (B, C, H, W), batch, channels, height, width, float in [0, 1]. Likelihoods and KL are in nats. D is the
length of a code, K the number of classes, V the vocabulary size. *Logits* are values before a sigmoid or a softmax.

## Your own network

This is a complete network for the task `Reconstruction`, which asks for `encode`, `decode` and `forward`; it can lie in
any folder:

```python
from torch import Tensor, nn


class Halfway(nn.Module):
    def __init__(self, in_channels: int, image_size: list[int], latent_dim: int):
        super().__init__()
        shape = (in_channels, *image_size)
        pixels = in_channels * image_size[0] * image_size[1]
        self.encode = nn.Sequential(nn.Flatten(), nn.Linear(pixels, latent_dim))
        self.decode = nn.Sequential(nn.Linear(latent_dim, pixels), nn.Unflatten(1, shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))
```

A config names it by its import path, as [your network](your_network.md) shows step by step.

Your own task derives from `scalian_exp.tasks.base.Task`, states `monitor` and `mode`, computes `step(batch)`, and
annotates `network` and `loss` with its own protocols, which are then checked in the same way.
"""


def text(documented: Any) -> str:
    """Return a docstring as one line, without its sections on arguments and errors."""
    return " ".join((inspect.getdoc(documented) or "").split("\n\nRaises:")[0].split("\n\nArgs:")[0].split())


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def table(protocol: type) -> Iterator[str]:
    """Yield the lines of a table of a protocol's members, `forward` first; nothing if it has none."""
    listed = dict(sorted(members(protocol).items(), key=lambda item: item[0] != "forward"))
    if listed:
        yield from ("", "| member | meaning |", "|---|---|")
    for name, member in listed.items():
        yield row(f"`{signature(name, member)}`", text(member))


def protocols_in(module: Any) -> list[type]:
    """Return the protocols that a module defines, in its order."""
    return [value for value in vars(module).values() if is_protocol(value) and value.__module__ == module.__name__]


def page() -> str:
    """Return the text of docs/contracts.md."""
    lines = [*HEAD.splitlines(), "", "## What each task asks of its network and its loss"]
    for task, names in TASKS.items():
        network, loss = asked_by(task, "network"), asked_by(task, "loss")
        assert network is not None
        assert loss is not None
        lines += ["", f"### {task.__name__}", "", f"`{task.__module__}.{task.__name__}`, `fits.task`: {names}."]
        lines += ["", f"**The network**, {network.__name__}: {text(network)}", *table(network)]
        lines += ["", f"**The loss**, {loss.__name__}: {text(loss)}", *table(loss)]
    lines += ["", "## What a network may also offer", ""]
    lines += ["Each is used if the network has it; without it, only what depends on it is missing."]
    for protocol in protocols_in(capabilities):
        lines += ["", f"**{protocol.__name__}**: {text(protocol)}", *table(protocol)]
    lines += ["", "## What a loss may also offer"]
    for protocol in (Balanced, loss_protocols.AsksOfNetwork, *protocols_in(rating_losses)):
        lines += ["", f"**{protocol.__name__}**: {text(protocol)}", *table(protocol)]
    lines += ["", "## What a callback may also offer", "", "Beside Lightning's hooks:"]
    for protocol in protocols_in(callback_protocols):
        lines += ["", f"**{protocol.__name__}**: {text(protocol)}", *table(protocol)]
    lines += ["", "## What data offer", "", text(data_protocols.DataModule), *table(data_protocols.DataModule)]
    lines += ["", "A data set's config lists in `provides` what its batches hold and what is true of them; models and"]
    lines += ["losses list in `fits.needs` what they need of it:", ""]
    lines += ["| name | what it promises | the data module then offers |", "|---|---|---|"]
    for word, protocol in data_protocols.PROVIDES.items():
        offered = ", ".join(f"`{signature(name, member)}`" for name, member in members(protocol).items())
        lines.append(row(f"`{word}`", text(protocol), offered))
    for word, protocol in data_protocols.PROVIDES.items():
        if members(protocol):
            lines += ["", f"**{word}**", *table(protocol)]
    return "\n".join(lines) + "\n"
