"""Use a trained run: `scalian-apply run=outputs/vae_mnist/<time> action=sample`; `scalian-apply --help` lists actions.

Results lie in <run folder>/<action>/<time>; nothing of the run itself is changed.
"""

import sys
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig, OmegaConf

from scalian_exp import app
from scalian_exp.annotations import expected
from scalian_exp.checks import RESERVED, check_arguments, find_data_at
from scalian_exp.files import failures_refused
from scalian_exp.folders import results_in
from scalian_exp.refusal import Refusal
from scalian_exp.shell import as_text, command_to_resume, literal, quoted, read, shown, sweeping
from scalian_exp.signatures import signature
from scalian_exp.vocabulary import documented, files, options

OWN = ("run", "device", "trust", "dataset", "action")
"""what the command itself takes; all else is the action's"""
THROUGH_THE_TOP = {"encode", "complete", "sample"}
"""what a network offers by its last layer"""


@failures_refused()
def apply(config: dict[str, Any]) -> None:
    """Run an action on a trained model.

    Raises:
        Refusal: if the model doesn't offer what the action needs, or an input can't be used.
    """
    from scalian_exp.actions.action import Action
    from scalian_exp.build import build
    from scalian_exp.checkpoint import load
    from scalian_exp.report import quiet
    from scalian_exp.runs import torch_device

    quiet()
    model = load(str(config["run"]), torch_device(str(config["device"])), config["trust"])
    if (root := config["dataset"]["root"]) is not None:
        find_data_at(model.config["dataset"], root)
    name, node = config["name"], config["action"]
    if missing := lacks(model, node["needs"]):
        offered = [other for other, said in options("action").items() if not lacks(model, said.get("needs", []))]
        raise Refusal(
            f"action={name} needs {' and '.join(missing)}, which {type(model.task.network).__name__} and its data "
            f"don't offer; this run can do action={'|'.join(offered)}."
        )
    untrained: int = getattr(model.task.network, "layers_untrained", 0)
    if untrained and THROUGH_THE_TOP & set(node["needs"]):
        raise Refusal(
            f"The upper {untrained} of this stack's layers have not been trained yet, and action={name} goes through "
            f"the top; go on with {command_to_resume(model.folder)} trainer.max_epochs=…."
        )
    action: Action = build("action", node)
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    with results_in(model.folder / name / now) as folder:
        files = action.run(model, folder)
    for file in files:
        print(f"{name:<12} {shown(file)}")


def lacks(model: Any, needs: list[str]) -> list[str]:
    """Those needs of an action that neither the network nor its task offers, nor the data provides."""
    provided = model.config["dataset"].get("provides", [])
    offers = (model.task.network, model.task)
    return [need for need in needs if need not in provided and not any(hasattr(offer, need) for offer in offers)]


def job(config: DictConfig) -> None:
    """One job of Hydra's."""
    from hydra.core.hydra_config import HydraConfig

    if added := [
        *(str(key) for key in config if key not in OWN),
        *(f"dataset.{k}" for k in config.dataset if k != "root"),
    ]:
        raise Refusal(not_taken(added[0], config))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain["run"] is None:
        raise Refusal("Say which run: run=<run folder or checkpoint>.")
    if isinstance(plain["run"], list | dict):
        raise Refusal(f"run={plain['run']}: say one run folder or checkpoint; -m run=a,b goes over several.")
    check_arguments({"action": plain["action"]})
    apply({**plain, "name": HydraConfig.get().runtime.choices["action"]})


def spelt_out(said: str, several: bool) -> str:
    """`text=…` as `action.text=…`; in quotes what Hydra can't read, would take for a sweep that nobody asked for, or
    for a number where a text is wanted."""
    key, equals, value = said.partition("=")
    key = key.removeprefix("action.")
    if not equals or not key.isidentifier() or key in OWN:
        return said
    if key in texts():
        return f"action.{key}={as_text(value, several)}"
    override = read(f"action.{key}={value}")
    readable = override is not None and (several or not override.is_sweep_override())
    return f"action.{key}={value if readable else quoted(value)}"


@cache
def texts() -> set[str]:
    """The actions' arguments that are texts: a file's name, for instance."""
    found = set()
    for node in options("action").values():
        takes = signature(node["_target_"])
        for name, parameter in takes.parameters.items() if takes else ():
            if parameter.annotation and not expected("any", parameter.annotation) and expected(0, parameter.annotation):
                found.add(name)
    return found


def not_taken(key: str, root: DictConfig) -> str:
    """That an action takes no such argument, and which ones it takes."""
    known = [name for name, node in options("action").items() if node["_target_"] == root.action["_target_"]]
    chosen = [o.value() for o in map(read, sys.argv[1:]) if o and o.key_or_group == "action" and o.value() in known]
    name = [*known, *chosen][-1 if chosen else 0]  # several may share a class
    own = [str(argument) for argument in root.action if argument not in RESERVED]
    said = key.removeprefix("action.")
    close = get_close_matches(said, [*own, "run", "device", "trust", "dataset.root"], n=1, cutoff=0.7)
    advice = f"did you mean {close[0]}? " if close else ""
    takes = f"action={name} takes {', '.join(own) or 'nothing'}, beside run, device, dataset.root and trust"
    return f"There is no {said} here; {advice}{takes}."


def arguments_of_actions() -> str:
    """Of --help: all actions, each with its arguments, their defaults and what their files say of them."""
    lines = []
    for name, file in files("action").items():
        first = file.read_text(encoding="utf-8").partition("\n")[0]
        lines.append(f"action={name}".ljust(28) + (first.removeprefix("# ") if first.startswith("# ") else ""))
        for key, default, comment in documented(file, "action"):
            if key not in RESERVED:
                lines.append(f"    {key}={default}".ljust(27) + " " + comment)
    return "\n".join(lines)


OmegaConf.register_new_resolver("arguments_of_actions", arguments_of_actions, replace=True)


def main() -> None:
    """The command `scalian-apply`."""
    if app.saying(sys.argv[1:], "trust="):
        app.find_own_modules()
    several = sweeping(sys.argv)
    sys.argv[1:] = [spelt_out(app.as_list(said), several) for said in sys.argv[1:]]
    with TemporaryDirectory() as scratch:  # Hydra's multirun.yaml would replace that of a sweep if one starts there
        sys.argv[1:] += [f"hydra.sweep.dir={literal(scratch)}"] if several else []
        app.run(job, "apply", not_taken)


if __name__ == "__main__":
    main()
