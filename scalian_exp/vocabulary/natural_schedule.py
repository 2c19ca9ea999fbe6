"""A natural schedule counts epochs of a model's natural data set; on little data of yours, it becomes enough steps.

Composing a config marks it as natural: the lengths that the model's file sets are kept under `natural_schedule`, too.
A training, which knows its data, then replaces them where they would make few steps; the run's config states those that
were used, beside the natural ones. Imports no torch.
"""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from scalian_exp.vocabulary.grammar import read
from scalian_exp.vocabulary.options import inherited, merged
from scalian_exp.vocabulary.training_length import ENOUGH, FEW, counted, steps_per_epoch, takes_part

KEY = "natural_schedule"
"""where a config keeps the natural numbers of epochs, at their paths"""
LENGTHS = {"trainer.max_epochs", "model.epochs_per_layer"}
OTHERS = {"trainer.check_val_every_n_epoch", "loss.warmup_epochs", "loss.growth_epochs"}
"""other numbers of epochs, which keep their share of the training"""


def with_natural_schedule(config: DictConfig, hydra: Any) -> DictConfig:
    """Mark a composed config whose data are the user's own and whose length is that of the model's file.

    Data sets of the user's own are those whose option has no default for `root`.

    Args:
        config: the composed config, in which the mark is added.
        hydra: Hydra's own config of this job: its overrides and choices.
    """
    choices = hydra.runtime.choices
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    given = {override.key_or_group for override in map(read, overrides) if override}
    own_data = (inherited(f"dataset/{choices['dataset']}").get("dataset") or {}).get("root") == "???"
    of_model = OmegaConf.create(inherited(f"model/{choices['model']}"))
    set_elsewhere = any(OmegaConf.select(config, path) != OmegaConf.select(of_model, path) for path in LENGTHS)
    if not own_data or set_elsewhere or LENGTHS & given or not counts(OmegaConf.select(config, "trainer.max_epochs")):
        return config
    natural = OmegaConf.create()
    for path in sorted(LENGTHS | OTHERS - given):
        if counts(value := OmegaConf.select(config, path)):
            OmegaConf.update(natural, path, value)
    with open_dict(config):
        config[KEY] = natural
    return config


def counts(epochs: Any) -> bool:
    """Return whether this is a number of epochs of at least 1."""
    return type(epochs) is int and epochs >= 1


def lengthened(config: dict[str, Any], batches: int) -> dict[str, Any]:
    """Return a config with its natural schedule lengthened to enough steps, if it would make few.

    The learning rate's schedule follows; the epochs of each layer of a stack, of a loss's warm-up and between
    validations keep their share. A config that isn't marked stays as it is, and so does one whose schedule has been
    changed since, or is limited otherwise.

    Args:
        config: the resolved config.
        batches: number of batches of the training split.
    """
    if KEY not in config:
        return config
    trainer = config["trainer"]
    natural: int = config[KEY]["trainer"]["max_epochs"]
    if merged(config, config[KEY]) != config:
        return {key: value for key, value in config.items() if key != KEY}
    per_epoch = steps_per_epoch(trainer, batches)
    most = trainer.get("max_steps", -1)
    few, wanted = (FEW, ENOUGH) if most == -1 else (most, most)
    untrained = not config["model"].get("optimizer")  # nothing is trained by gradient, so one epoch is enough
    if untrained or natural * per_epoch >= few or takes_part(trainer) or trainer.get("max_time"):
        return config
    epochs = -(-wanted // per_epoch)
    longer = {
        group: {name: value * epochs // natural for name, value in values.items()}
        for group, values in config[KEY].items()
    }
    return merged(config, longer)


def remark_on_lengthening(config: Mapping[str, Any]) -> str:
    """Return what the announcement of a training's steps adds if its natural schedule has been lengthened."""
    natural = config.get(KEY, {}).get("trainer", {}).get("max_epochs")
    if natural in (None, config["trainer"]["max_epochs"]):
        return ""
    few = f": the model's own {counted(natural, 'epoch')} would be few steps with so little data"
    return f"{few}; trainer.max_epochs=… sets another number"


def with_lengths_of(config: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run that goes on, with the lengths that it began with if its schedule is natural.

    Args:
        config: the resolved config: composed anew as for a sweep's job, or read from the run's folder.
        stored: the config in the checkpoint.
    """
    if KEY not in config or merged(config, config[KEY]) != config:
        return config
    begun = {group: {name: stored[group][name] for name in values} for group, values in config[KEY].items()}
    return merged(config, begun)


def as_composed(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a run as it was before the training lengthened its natural schedule, without the mark."""
    config = merged(stored, stored.get(KEY, {}))
    config.pop(KEY, None)
    return config
