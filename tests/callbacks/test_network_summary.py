"""The table that summarises a network's parts."""

import torch
from tools import tiny

from scalian_exp.build import build_task
from scalian_exp.callbacks.network_summary import summary


def test_the_summary_leaves_parts_blank_that_were_not_called() -> None:
    table = summary(build_task(tiny("gan")).network, torch.zeros(1, 2))
    columns = [list(column.cells) for column in table.columns]
    rows = {cells[0]: cells[1:] for cells in zip(*columns, strict=True)}
    assert rows["discriminator"][-2:] == ("–", "–")
    assert rows["generator"][-2] == "1×16×16"
    assert rows["generator"][-1] == rows["all"][-1] != "0"


def test_the_summarys_parts_add_up_to_its_total() -> None:
    """Module lists count too, although only their elements are called."""
    table = summary(build_task(tiny("unet")).network, torch.zeros(1, 3, 32, 32))
    names, *_, counts = (list(column.cells) for column in table.columns)
    flops = {name: int(str(cell).replace(",", "").replace("–", "0")) for name, cell in zip(names, counts, strict=True)}
    everything = flops.pop("all")
    assert flops["down"] > 0
    assert sum(flops.values()) == everything
