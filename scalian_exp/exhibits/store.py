"""Blocks of arrays that a page's exhibits share, each stored once, however many exhibits use it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scalian_exp.exhibits.pack import Pack, Shared
from scalian_exp.exhibits.program import Program


class Block(NamedTuple):
    """Arrays of a page that are unpacked together."""

    pack: Pack
    about: dict[str, Any]
    """JSON that describes them"""


class Store:
    """The blocks that the exhibits of a run share, and which of them each exhibit uses.

    Args:
        name: of the run, where a page shows several; it begins the names of all blocks on the page.
    """

    def __init__(self, name: str = ""):
        self.name = name
        self.blocks: dict[str, Block] = {}
        self.shared = Shared()
        self.used: dict[str, list[str]] = {}
        self.user = ""

    @contextmanager
    def exhibit(self, name: str) -> Iterator[None]:
        """Record which blocks an exhibit uses in this context; discard its new blocks if it raises.

        What it draws depends on nothing else, and changes no other random numbers.
        """
        self.user, self.used[name] = name, []
        before = set(self.blocks)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                yield
        except BaseException:
            del self.used[name]
            for block in set(self.blocks) - before:
                del self.blocks[block]
            raise

    def block(self, name: str, fill: Callable[[Pack], dict[str, Any]]) -> str:
        """Use a block, and return its name; the first exhibit to do so fills its pack and describes it."""
        if name not in self.blocks:
            pack = Pack()
            self.blocks[name] = Block(pack, fill(pack))
        if name not in self.used[self.user]:
            self.used[self.user].append(name)
        return name

    def program(self, name: str, network: nn.Module, function: Callable[..., Any], *inputs: Tensor) -> str:
        """Use a function of a network as a program of the page's engine.

        Args:
            name: of the block.
            network: in evaluation mode.
            function: the network and its inputs, each of batch size 1 → tensors.
            inputs: an example.

        Raises:
            Refusal: if the engine doesn't know one of the function's operations.
        """
        return self.block(name, lambda pack: {"program": Program(network, function, *inputs).add_to(pack, self.shared)})

    def on_page(self, block: str) -> str:
        """Return the name that a block has on the page."""
        return f"{self.name}.{block}" if self.name else block

    def filled(self) -> Iterator[tuple[str, Block]]:
        """Yield the blocks that exhibits use by their names on the page, then the weights that their programs share."""
        weights = self.on_page("network")
        used = {name: self.blocks[name] for name in self.blocks if any(name in names for names in self.used.values())}
        for name, (pack, about) in used.items():
            yield self.on_page(name), Block(pack, about | ({"weights": weights} if "program" in about else {}))
        if any("program" in about for _, about in used.values()):
            yield weights, Block(self.shared.pack, {})

    def forget(self, exhibits: str) -> None:
        """Leave out exhibits whose names begin so, and with them the blocks that no other one uses."""
        self.used = {name: blocks for name, blocks in self.used.items() if not name.startswith(exhibits)}
