"""Start a network from the matching part of another run's."""

import logging
from pathlib import Path

from torch import nn

from scalian_exp.checkpoint import checkpoint_file, read
from scalian_exp.refusal import Refusal

log = logging.getLogger(__name__)


def start_network_from(network: nn.Module, run: str) -> list[str]:
    """Copy all weights of a run that have the same name and shape here; the others keep their random start.

    Returns:
        The names of the parameters and buffers that were copied.

    Raises:
        Refusal: if there is no such run, or nothing of it matches.
    """
    file = checkpoint_file(Path(run))
    contents = read(file)
    theirs = {
        name.removeprefix("network."): values
        for name, values in contents["state_dict"].items()
        if name.startswith("network.")
    }
    ours = network.state_dict()
    matching = {name: values for name, values in theirs.items() if name in ours and ours[name].shape == values.shape}
    if not any(values.dim() > 1 for values in matching.values()):  # biases and counters alone are no start
        other = contents["scalian_exp"]["config"]["model"]["network"]["_target_"].rpartition(".")[2]
        raise Refusal(
            f"init_from={run}: nothing of its {other} has the name and shape of anything in {type(network).__name__} "
            f"(there: {', '.join(list(theirs)[:3])}, …; here: {', '.join(list(ours)[:3])}, …); give both equal widths."
        )
    network.load_state_dict(matching, strict=False)
    rest = [name for name in ours if name not in matching]
    log.info("started %d of %d tensors from %s; at random: %s", len(matching), len(ours), file, ", ".join(rest) or "-")
    return list(matching)
