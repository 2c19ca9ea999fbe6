"""Initialise a network with the matching weights of another run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from scalian_exp.checkpoint import data_state_in, load, read
from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.datasets.identity import CLASSES, EXAMPLES, FOLD
from scalian_exp.folders import checkpoint_file
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.capabilities import StartsOthers, TrainedByLayers
from scalian_exp.tasks.offers import offers

log = logging.getLogger(__name__)


def start_network_from(network: nn.Module, data: Any, run: str, trust: Sequence[str] = ()) -> list[str]:
    """Copy all weights of a run that have the same name and shape here; the others keep their random values.

    If the run's network can initialise others (StartsOthers), its weights are also matched under this network's names.

    Args:
        network: the network to initialise.
        data: the data to train on, already set up; if it stores in checkpoints what its inputs mean, they must mean the
            same in the other run.
        run: the other run's folder, or a checkpoint of it.
        trust: third-party packages that the run may name.

    Returns:
        The names of the parameters and buffers that were copied.

    Raises:
        Refusal: if there is no such run, nothing of it matches, or its inputs mean something else.
    """
    file = checkpoint_file(Path(run))
    contents = read(file)
    theirs = {
        name.removeprefix("network."): values
        for name, values in contents["state_dict"].items()
        if name.startswith("network.")
    }
    source = load(file, trust=trust).task.network
    if offers(source, StartsOthers):
        try:
            theirs |= source.weights_for(network)
        except ValueError as error:
            raise Refusal(f"init_from={run}: {error}") from error
    ours = network.state_dict()
    fits = {name: ours[name].shape == values.shape for name, values in theirs.items() if name in ours}
    torn = {name.rpartition(".")[0] for name, fitting in fits.items() if not fitting}  # no bias without its weight
    matching = {name: theirs[name] for name in fits if name.rpartition(".")[0] not in torn}
    if not any(values.dim() > 1 for values in matching.values()):  # biases and counters alone are not enough
        other = contents["scalian_exp"]["config"]["model"]["network"]["_target_"].rpartition(".")[2]
        raise Refusal(
            f"init_from={run}: nothing of its {other} has the name and shape of anything in {type(network).__name__}"
            f"{difference(theirs, ours)}"
        )
    before, now = data_state_in(contents), data.state_dict()
    if unlike := [name for name in before.keys() & now.keys() - {CLASSES, EXAMPLES, FOLD} if before[name] != now[name]]:
        raise Refusal(
            f"init_from={run}: it learned from inputs of another {unlike[0]}, so its weights would mean something "
            "else here; start from a run on the same data, or without init_from."
        )
    network.load_state_dict(matching, strict=False)
    if offers(source, TrainedByLayers) and source.layers_untrained:
        log.warning(
            "the upper %d layers of init_from=%s have not been trained yet, so that their weights are random; train "
            "them first: %s trainer.max_epochs=…",
            source.layers_untrained,
            run,
            command_to_resume(file.parent.parent),
        )
    rest = [name for name in ours if name not in matching]
    log.info(
        "initialised %d of %d tensors from %s; at random: %s", len(matching), len(ours), file, ", ".join(rest) or "-"
    )
    return list(matching)


def check_classes_of(run: str, data: Any) -> None:
    """Check that the data's classes are those that a run learned, so that its weights can be tested as they are.

    Raises:
        Refusal: if they differ.
    """
    stored = data_state_in(read(checkpoint_file(Path(run))))
    if CLASSES in stored:
        data.load_state_dict({CLASSES: stored[CLASSES]})


def difference(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> str:
    """Explain why nothing matches, as the end of a sentence."""
    for name, values in theirs.items():
        if name in ours and values.dim() > 1:
            there, here = ("×".join(map(str, tensor.shape)) for tensor in (values, ours[name]))
            return f": {name} is {there} there and {here} here; give both equal widths."
    return (
        f"; they are of different kinds (there: {', '.join(list(theirs)[:3])}, …; here: {', '.join(list(ours)[:3])}, "
        "…): start from a run whose parts have the same names."
    )
