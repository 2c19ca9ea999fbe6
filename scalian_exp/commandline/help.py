"""Write the page of --help: all options, and the config that a command line composes.

Hydra's own page composes a config for each config group that it lists, which takes a second.
"""

from collections.abc import Iterator
from string import Template

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from scalian_exp.commandline import actions
from scalian_exp.commandline.overrides import check_searchpath
from scalian_exp.vocabulary.config_folders import CONFIGS, folders
from scalian_exp.vocabulary.grammar import SWEEP_FLAGS
from scalian_exp.vocabulary.options import files, is_group

FLAGS = {"-h", "--help"}
APART = {"hydra", "action"}
"""groups that scalian-train doesn't have"""


def is_requested(arguments: list[str]) -> bool:
    """Return whether the arguments ask for --help, without a flag that only Hydra understands."""
    flags = {argument for argument in arguments if argument.startswith("-")}
    return not FLAGS.isdisjoint(flags) and flags <= FLAGS | SWEEP_FLAGS


def page(config_name: str, arguments: list[str]) -> str:
    """Return the help page for a command line.

    Raises:
        HydraException: if the overrides can't be composed, or name a folder that doesn't exist.
    """
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    check_searchpath(overrides)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(config_name, overrides, return_hydra_config=True)
        template = str(config.hydra.help.template)
    return Template(template).safe_substitute(CONFIG=OmegaConf.to_yaml(OmegaConf.masked_copy(config, own_keys(config))))


def own_keys(config: object) -> list[str]:
    """Return the keys of a composed config that aren't Hydra's own."""
    return [str(key) for key in config if key != "hydra"]  # type: ignore[attr-defined]


def groups() -> Iterator[str]:
    """Yield all config groups in order, from every folder in which Hydra looks."""
    names: set[str] = set()
    for folder in folders():
        for file in folder.rglob("*.yaml"):
            group = file.parent.relative_to(folder)
            if is_group(group) and group.parts[0] not in APART:
                names.add(group.as_posix())
    yield from sorted(names)


def options_by_group() -> str:
    """Return a line for each config group, with the names of its options."""
    return "\n".join(f"{group}: {', '.join(files(group))}" for group in groups())


OmegaConf.register_new_resolver("options_by_group", options_by_group, replace=True)
OmegaConf.register_new_resolver("arguments_of_actions", actions.arguments_of_actions, replace=True)
