"""Explain what to do about a key that an experiment doesn't have."""

import shlex
import sys
from difflib import get_close_matches

from omegaconf import DictConfig, OmegaConf

from scalian_exp.vocabulary.checks import OFFERS
from scalian_exp.vocabulary.grammar import read
from scalian_exp.vocabulary.nodes import leaf_paths
from scalian_exp.vocabulary.options import may_misspell
from scalian_exp.vocabulary.signatures import signature

SEVERAL = "it needs several processes; first choose trainer/accelerator=ddp_cpu, ddp, fsdp or multinode."
ELSEWHERE = {
    "trainer.strategy": SEVERAL,
    "trainer.num_nodes": SEVERAL,
    "dataset.fold": "it divides the training examples of data without a validation split of their own; leave it out.",
}
"""key → why this experiment doesn't have it, and what to do"""


def unknown_key(key: str, root: DictConfig) -> str:
    """Explain that an experiment has no such key, and which similar one it has."""
    if key in ELSEWHERE:
        return f"There is no {key} here: {ELSEWHERE[key]}"
    outer, _, last = key.rpartition(".")
    if outer == "hydra.runtime.choices":  # which the run folder's name refers to
        return f"An experiment needs {last}=…: leave ~{last} out, or choose another."
    node = OmegaConf.select(root, outer) if outer else None
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    takes = signature(target) if isinstance(target, str) else None
    if takes and last in takes.parameters.keys() - OFFERS.get(outer.partition(".")[0], set()):
        given = next((o.input_line for o in map(read, sys.argv[1:]) if o and o.key_or_group == key), f"{key}=…")
        return f"This experiment doesn't set {key}, but {target} takes it; write {shlex.quote(f'+{given}')}"
    paths = [path for path in leaf_paths(root) if not path.startswith("hydra.") and may_misspell(key, path)]
    if takes and not takes.open:  # a misspelt argument of this part, or the right name at the wrong place
        paths = [path for path in paths if path.rpartition(".")[0] == outer or path.rpartition(".")[2] == last]
    ends = {path.rpartition(".")[2]: path for path in reversed(paths)}
    close = get_close_matches(key, paths, n=1, cutoff=0.8) or [
        ends[name] for name in get_close_matches(last, ends, n=1, cutoff=0.7)
    ]
    if close:
        advice = f"did you mean {close[0]}?"
    elif takes and not takes.open:
        advice = f"{target} takes {', '.join(takes.parameters) or 'no argument'}."
    else:
        advice = f"to add it anyway, write +{key}=…"
    return f"There is no {key} in this experiment; {advice}"
