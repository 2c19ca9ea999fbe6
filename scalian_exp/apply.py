"""Apply an action to a trained run: `scalian-apply run=RUN action=sample`.

`scalian-apply` alone lists the last runs, `scalian-apply --help` the actions. `run=latest` is the newest run below
outputs/, and `run=FOLDER` with a folder of runs the newest in it. Results go to a new folder, RUN/ACTION/TIME; the run
itself is never changed.
"""

import scalian_exp.commandline.starting  # noqa: F401 (first: Ctrl-C ends quietly during the other imports)

# isort: split
import sys
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig, OmegaConf

from scalian_exp.commandline import app, completion, starting
from scalian_exp.commandline.actions import OWN, as_override, unknown_argument
from scalian_exp.commandline.runs import LATEST, check_weights, run_meant
from scalian_exp.commandline.shell import command, command_to_resume, shown
from scalian_exp.files import failures_refused
from scalian_exp.folders import check_inside, results_in
from scalian_exp.refusal import Refusal
from scalian_exp.results.listing import list_runs
from scalian_exp.vocabulary.checks import check_arguments, find_data_at
from scalian_exp.vocabulary.grammar import literal, sweeping
from scalian_exp.vocabulary.needs import in_words
from scalian_exp.vocabulary.options import options
from scalian_exp.vocabulary.packages import check_packages

THROUGH_THE_TOP = {"encode", "complete", "sample"}
"""needs that a stack of layers meets only once its last layer is trained"""


@failures_refused()
def apply(config: dict[str, Any]) -> None:
    """Run an action on a trained model.

    Raises:
        Refusal: if the model doesn't offer what the action needs, or can't use an input.
    """
    from scalian_exp.actions.action import Action
    from scalian_exp.build import build
    from scalian_exp.checkpoint import load
    from scalian_exp.networks.parts.folding import for_inference
    from scalian_exp.run.devices import torch_device
    from scalian_exp.run.record import quiet
    from scalian_exp.tasks.capabilities import TrainedByLayers
    from scalian_exp.tasks.offers import offers

    starting.end()
    quiet()
    model = load(str(config["run"]), torch_device(str(config["device"])), config["trust"])
    if (root := config["dataset"]["root"]) is not None:
        find_data_at(model.config["dataset"], root)
    name, node = config["name"], config["action"]
    if missing := lacks(model, node["needs"]):
        offered = [other for other, option in options("action").items() if not lacks(model, option.get("needs", []))]
        raise Refusal(
            f"action={name} needs {in_words(missing)}; {type(model.task.network).__name__} and its data don't have "
            f"that. This run can do action={'|'.join(offered)}."
        )
    network = model.task.network
    untrained = network.layers_untrained if offers(network, TrainedByLayers) else 0
    if untrained and THROUGH_THE_TOP & set(node["needs"]):
        raise Refusal(
            f"The upper {untrained} of this stack's layers have not been trained yet, and action={name} needs them; "
            f"go on with {command_to_resume(model.folder)} trainer.max_epochs=…."
        )
    action: Action = build("action", node)
    model.task.network = for_inference(network, model.task, action)
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    check_inside(model.folder / name, model.folder)
    with results_in(model.folder / name / now) as folder:
        files = action.run(model, folder)
    for file in files:
        print(f"{name:<12} {shown(file)}")


def lacks(model: Any, needs: list[str]) -> list[str]:
    """Return the needs of an action that neither the network nor its task offers, nor the data provides."""
    from scalian_exp.tasks.offers import has

    provided = model.config["dataset"].get("provides", [])
    parts = (model.task.network, model.task)
    return [need for need in needs if need not in provided and not any(has(part, need) for part in parts)]


def job(config: DictConfig) -> None:
    """Run the action of one Hydra job."""
    from hydra.core.hydra_config import HydraConfig

    if added := [
        *(str(key) for key in config if key not in OWN),
        *(f"dataset.{k}" for k in config.dataset if k != "root"),
    ]:
        raise Refusal(unknown_argument(added[0], config))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain["run"] is None:
        raise Refusal(
            f"Choose a run: run={LATEST}, or run=RUN, a run folder or a checkpoint; {command('scalian-apply')} alone "
            "lists the last ones."
        )
    if isinstance(plain["run"], list | dict):
        raise Refusal(
            f"run={plain['run']}: give one run folder or checkpoint; -m run=a,b applies the action to several."
        )
    check_packages({"action": plain["action"]})
    check_arguments({"action": plain["action"]})
    run = run_meant("run", str(plain["run"]))
    check_weights("run", run)  # before torch is imported
    apply({**plain, "run": str(run), "name": HydraConfig.get().runtime.choices["action"]})


def main() -> None:
    """Run the command `scalian-apply`; without arguments, list the last runs."""
    if completion.answer("apply"):
        return
    if not sys.argv[1:]:
        app.with_sentences(list_runs)
        return
    if app.any_starts_with(sys.argv[1:], "trust="):
        app.find_own_modules()
    several = sweeping(sys.argv)
    if not completion.is_about_shells(sys.argv[1:]):
        sys.argv[1:] = [as_override(app.as_list(argument), several) for argument in sys.argv[1:]]
    with TemporaryDirectory() as scratch:  # in the current folder, Hydra's multirun.yaml could replace a sweep's
        sys.argv[1:] += [f"hydra.sweep.dir={literal(scratch)}"] if several else []
        app.run(job, "apply", unknown_argument)


if __name__ == "__main__":
    main()
