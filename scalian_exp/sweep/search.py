"""Search with Optuna, which chooses the next jobs from the results of earlier ones, instead of sweeping over all.

Its configs have the keys of hydra-optuna-sweeper, whose stable release needs an Optuna that no longer works with
today's SQLAlchemy. Once it is updated, `_target_` in configs/hydra/sweeper/optuna.yaml is all that has to change.
"""

import json
import math
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from scalian_exp.commandline.shell import command, shown, standalone_overrides
from scalian_exp.folders import MULTIRUN, PRUNED, STUDY
from scalian_exp.refusal import Refusal
from scalian_exp.study_database import database_failures_refused, database_of
from scalian_exp.sweep.search_space import distribution, values
from scalian_exp.vocabulary.options import files


class Search(Sweeper):
    """A Hydra sweeper that runs the trials of an Optuna study, one after another or `n_jobs` at a time.

    Trial n is job n, and its value is what the job returns: its best monitored validation value, never a test metric.
    What a trial tries depends only on the finished trials and its number, so an interrupted search ends with the same
    result. A failed trial stays open until `sweep.resume=SWEEP` runs it again.

    Args:
        sampler: `_target_` of an Optuna sampler, with its arguments.
        direction: minimize or maximize; null takes that of the model's task.
        storage: URL of the database that stores the trials; null is an SQLite file in the sweep's folder.
        study_name: the study's name in the database; null is the folder's name.
        n_trials: total number of trials, including those of a resumed search; a grid always tries all its points.
        n_jobs: number of trials at a time, for launchers that run jobs in parallel.
        params: the search space in addition to the command line: override → sweep, such as interval(0.1, 1).
        custom_search_space: import path of a function of (config, trial) that asks the trial for further parameters.
        pruner: `_target_` of an Optuna pruner, for callbacks=pruning.

    Raises:
        Refusal: if there is nothing to search, or the sampler can't search it.
    """

    def __init__(
        self,
        sampler: DictConfig,
        direction: str | None,
        storage: str | None,
        study_name: str | None,
        n_trials: int,
        n_jobs: int,
        params: DictConfig | None,
        custom_search_space: str | None = None,
        pruner: DictConfig | None = None,
    ):
        self.sampler, self.direction, self.storage, self.study_name = sampler, direction, storage, study_name
        self.n_trials, self.n_jobs, self.params = n_trials, n_jobs, params
        self.custom_search_space, self.pruner = custom_search_space, pruner

    hydra_context: Any
    config: Any

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Create the launcher; called by Hydra."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the search for a command line; called by Hydra."""
        folder = Path(self.config.hydra.sweep.dir)
        with database_failures_refused(self.storage or database_of(folder)):
            self.search(folder, arguments)

    def search(self, folder: Path, arguments: list[str]) -> None:
        """Run the search, or the rest of it if it is resumed."""
        import optuna

        from scalian_exp.files import write_text

        for name, value in (("n_trials", self.n_trials), ("n_jobs", self.n_jobs)):
            if type(value) is not int or value < 1:
                raise Refusal(f"hydra.sweeper.{name}={value}: it must be a whole number from 1.")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space, fixed = self.space(arguments)
        study = self.study(folder, space, fixed)
        total = self.n_trials
        if self.sampler._target_.endswith("GridSampler"):
            total = math.prod(len(values(key, searched)) for key, searched in space.items())
        write_text(folder / MULTIRUN, OmegaConf.to_yaml(self.config))

        opened = [trial.number for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING])]
        numbers = chain(opened, range(len(study.trials), total))
        while batch := [*islice(numbers, self.n_jobs)]:
            for _ in range(max(batch) + 1 - len(study.trials)):
                self.ask(study, space)
            self.do(study, fixed, batch)
        self.conclude(study, folder, fixed)

    def space(self, arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Return the search space, as name → Optuna's distribution, and the overrides that all trials share.

        The command line overrides `params`.
        """
        params: Any = OmegaConf.to_container(self.params, resolve=True) if self.params else {}
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*overrides(params), *arguments])
        last = {override.get_key_element(): override for override in parsed}
        swept = {key: distribution(override) for key, override in last.items() if override.is_sweep_override()}
        space = {key: searched for key, searched in swept.items() if not has_one_choice(searched)}
        if not (space or self.custom_search_space):
            raise Refusal(
                "There is nothing to search: give an interval or several values, such as loss.beta='interval(0.5,4)'."
            )
        fixed = [f"{key}={o.get_value_element_as_str()}" for key, o in last.items() if key not in swept]
        return space, [*fixed, *(f"{key}={only.choices[0]}" for key, only in swept.items() if key not in space)]

    def study(self, folder: Path, space: dict[str, Any], fixed: list[str]) -> Any:
        """Load the study of a sweep's folder, creating it if needed."""
        import optuna

        from scalian_exp.files import read_json, write_text

        before = read_json(file) if (file := folder / STUDY).exists() else {"study_name": folder.name}
        storage = self.storage or database_of(folder)
        name = self.study_name or before["study_name"]  # a folder may have been renamed
        direction: Any = self.direction_of(space, fixed)
        pruner = None if self.pruner is None else OmegaConf.to_container(self.pruner, resolve=True)
        write_text(file, json.dumps({"storage": storage, "study_name": name, "pruner": pruner}, indent=2))
        study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
        if (old := study.direction.name.lower()) != direction:
            raise Refusal(
                f"The search in {folder} was begun to {old} its metric, not to {direction} it; start a new one."
            )
        return study

    def direction_of(self, space: dict[str, Any], fixed: list[str]) -> str:
        """Return the direction that is given, or else that of the metric that all trainings monitor.

        Raises:
            Refusal: if one of the models monitors nothing that a search could optimize, or not what the others do.
        """
        from scalian_exp.run.objective import of_search

        load = self.hydra_context.config_loader.load_sweep_config
        first = {key: kind.choices[0] for key, kind in space.items() if files(key)}
        chosen = [{**first, "model": name} for name in space["model"].choices] if "model" in space else [first]
        found = of_search([load(self.config, [*overrides(each), *fixed]) for each in chosen])
        return self.direction or {"min": "minimize", "max": "maximize"}[found.mode]

    def new_sampler(self, space: dict[str, Any], number: int) -> Any:
        """Build a sampler whose random numbers depend on a trial's number."""
        from scalian_exp.build import built

        sampler: Any = OmegaConf.to_container(self.sampler, resolve=True)
        if sampler["_target_"].endswith("GridSampler"):
            sampler["search_space"] = {key: values(key, d) for key, d in space.items()}
        elif sampler.get("seed") is not None:
            sampler["seed"] += number
        return built(sampler)

    def ask(self, study: Any, space: dict[str, Any]) -> None:
        """Add the next trial to the study, with all its parameters at once.

        They are asked of a copy of the study, because a trial that is killed between two parameters can't be resumed.
        """
        import optuna

        copy = optuna.create_study(directions=study.directions, sampler=self.new_sampler(space, len(study.trials)))
        copy.add_trials(study.trials)
        trial = copy.ask(space)
        if self.custom_search_space:
            from scalian_exp.build import located

            located(self.custom_search_space)(self.config, trial)
        asked = copy.trials[-1]
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=asked.params,
                distributions=asked.distributions,
                system_attrs=asked.system_attrs,
            )
        )

    def do(self, study: Any, fixed: list[str], batch: list[int]) -> None:
        """Run the jobs of these trials and report their values to the study."""
        import optuna

        runs = [[batch[0]]]
        for number in batch[1:]:  # a launcher numbers its jobs consecutively
            if number == runs[-1][-1] + 1:
                runs[-1].append(number)
            else:
                runs.append([number])
        study.sampler = optuna.samplers.RandomSampler()  # a grid's would stop Optuna's own loop, which doesn't run
        for numbers in runs:
            tried = [[*fixed, *overrides(study.trials[number].params)] for number in numbers]
            for number, done in zip(numbers, self.launcher.launch(tried, numbers[0]), strict=True):
                value = done.return_value
                if value is None or math.isnan(value):
                    continue
                if study.trials[number].user_attrs.get(PRUNED):
                    study.tell(number, state=optuna.trial.TrialState.PRUNED)
                else:
                    study.tell(number, value)

    def conclude(self, study: Any, folder: Path, fixed: list[str]) -> None:
        """Print the best trial and the command that repeats it, and plot the importance of the parameters."""
        import optuna

        from scalian_exp.figures.png import as_png
        from scalian_exp.figures.sweep import importances_figure
        from scalian_exp.figures.titles import titled

        if not (finished := study.get_trials(states=[optuna.trial.TrialState.COMPLETE])):
            return
        best = study.best_trial
        own = standalone_overrides([*fixed, *overrides(best.params)], self.config.hydra.runtime.choices)
        again = [*own, *([] if self.config.test else ["test=true"])]
        print(f"best      trial {best.number} of {len(study.trials)}: {best.value:.5g}")
        print(f"command   {command('scalian-train', *again)}")
        if len({trial.value for trial in finished}) > 1:
            importances = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
            )
            choices = self.config.hydra.runtime.choices
            figure = titled(
                importances_figure(importances), f"{choices.model} on {choices.dataset}, {len(finished)} trials"
            )
            (folder / "importances.png").write_bytes(as_png(figure, dpi=110))
            print(f"plot      {shown(folder / 'importances.png')}")


def has_one_choice(searched: Any) -> bool:
    """Return whether a distribution consists of a single value."""
    return hasattr(searched, "choices") and len(searched.choices) == 1


def overrides(params: dict[str, Any]) -> list[str]:
    """Return parameters as overrides."""
    return [f"{key}={value}" for key, value in params.items()]
