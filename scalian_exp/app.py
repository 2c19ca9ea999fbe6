"""The command line around Hydra: where configs lie, and how a user's mistake is told."""

import os
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from scalian_exp.checks import leaf_paths
from scalian_exp.files import failures_refused
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary import CONFIGS, options

OF_OPTIONS = re.compile("(model|dataset|loss|callbacks)[./]")
"""begins what only some options of a group have"""
SEVERAL = {"trainer.strategy", "trainer.num_nodes"}
"""what only a trainer/accelerator for several processes has"""


def not_there(key: str, root: DictConfig) -> str:
    """That an experiment has no such key, and which one is close."""
    if key in SEVERAL:
        return f"There is no {key} with one process; first choose trainer/accelerator=ddp_cpu, ddp, fsdp or multinode."
    paths = [path for path in leaf_paths(root) if not path.startswith("hydra.")]
    ends = {path.rpartition(".")[2]: path for path in reversed(paths)}
    close = get_close_matches(key, paths, n=1, cutoff=0.8) or [
        ends[name] for name in get_close_matches(key.rpartition(".")[2], ends, n=1, cutoff=0.7)
    ]
    advice = f"did you mean {close[0]}?" if close else f"to add it all the same, say +{key}=…"
    return f"There is no {key} in this experiment; {advice}"


def run(
    task_function: Callable[[DictConfig], Any],
    config_name: str,
    unknown: Callable[[str, DictConfig], str] = not_there,
) -> None:
    """Hand the command line to Hydra; a user's mistake ends in one sentence and exit code 1.

    Args:
        unknown: a key that isn't in the config, and the config → the sentence that says so.
    """
    said = {argument.partition("=")[0] for argument in sys.argv}
    with_sentences(lambda: check_options(sys.argv[1:]))
    if {"-m", "--multirun"} & said and {"-c", "--cfg", "-i", "--info"} & said:
        sys.exit("--cfg and --info show one job: leave -m out, and say one value for each word.")
    if {"-m", "--multirun"} & said:
        sys.argv[1:] = each_for_its_job(sys.argv[1:])
    # Hydra's own handler would add "set HYDRA_FULL_ERROR=1" to every sentence, and cut the traces of real errors.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    command = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(task_function)
    try:
        with_sentences(command, unknown)
    except SystemExit as stop:
        if stop.code == 130:
            end_sweep()
        raise
    except Exception:
        end_sweep()  # a launcher raises what it likes where a job's process was killed; that is told after the summary
        raise


def read(argument: str) -> Override | None:
    """What Hydra reads in it; None of flags, and of what it will itself refuse."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def check_options(arguments: list[str]) -> None:
    """
    Raises:
        Refusal: if a word's option is a number or null: Hydra would end in a trace.
    """
    for override in filter(None, map(read, arguments)):
        group = override.key_or_group
        if override.is_sweep_override() or override.is_delete() or isinstance(override.value(), str | list | dict):
            continue  # before the options, whose files take a while to read
        if known := options(group):
            told = f"{group}={override.get_value_element_as_str()} is none of {', '.join(known)}"
            raise Refusal(f"{told}; say one, or leave the word out.")


def each_for_its_job(arguments: list[str]) -> list[str]:
    """A sweep over options, as model=unet,fastfcn, with `a.b=1` as `a.b=choice(1)`.

    Hydra first composes what isn't swept over, with the default model; it would refuse a key that only those of the
    sweep have.
    """
    said = {argument: override for argument in arguments if (override := read(argument))}
    if not any(override.is_sweep_override() and options(override.key_or_group) for override in said.values()):
        return arguments
    plain = {o.input_line for o in said.values() if o.type == OverrideType.CHANGE and not o.is_sweep_override()}
    return [one_valued(said[a]) if a in plain and OF_OPTIONS.match(a) else a for a in arguments]


def one_valued(said: Override) -> str:
    """The sweep by which a job gets just what `key=value` means; the same words where Hydra can't say it."""
    argument = str(said.input_line)
    key, _, value = argument.partition("=")
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    for sweep in (f"{key}=choice({value})", f"{key}=choice('{quoted}')"):  # quotes are lost on the way to a job
        if override := read(sweep):
            (given,) = override.sweep_string_iterator()
            if (job := read(f"{key}={given}")) and repr(job.value()) == repr(said.value()):
                return sweep
    return argument


def end_sweep() -> None:
    """What a sweep that breaks off has to say, if this is one."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        from scalian_exp.summary import summarise

        folder = Path(HydraConfig.get().sweep.dir)
        print(f"The sweep ends here; sweep.resume={folder} goes on, also with jobs that are not in this table.")
        summarise(folder)


def find_own_modules() -> None:
    """Search the folder one starts from for Python modules, last of all: a network of one's own may lie there."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def with_sentences(action: Callable[[], Any], unknown: Callable[[str, DictConfig], str] = not_there) -> None:
    """Do it; tell a user's mistake in one sentence, with exit code 1."""
    try:
        with failures_refused():
            action()
    except KeyboardInterrupt:  # once training has begun, Lightning handles it
        sys.stderr.write("Interrupted before anything was done.\n")
        sys.exit(130)
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(sentence(error, unknown))


def sentence(error: Exception, unknown: Callable[[str, DictConfig], str]) -> str:
    """What went wrong with a command line, and what would be right."""
    cause = error.__cause__ or error
    if isinstance(error, MissingConfigException):
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group and (known := error.options or list(options(group))):
            close = get_close_matches(name, known, n=1)
            advice = f"did you mean {group}={close[0]}?" if close else f"there are: {', '.join(known)}."
            return f"There is no {group}={name}; {advice}"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.parent_node is not None:
        return unknown(str(cause.full_key), cause.parent_node._get_root())
    if found := re.match("Could not override '([^']+)'", str(error)):
        outer, inner, _ = found[1].partition("/")
        other = f", or choose a {outer} that has it" if inner else ""
        return f"Nothing in this experiment is chosen by {found[1]}=…; leave it out{other}."
    if "Ambiguous value" in str(error):
        return f"{str(error).splitlines()[0]}; add -m to sweep over several values, or write a list as [a,b]."
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} can't be read; an override is word=option or path.to.value=value, quoted for the shell."
        )
    if isinstance(error, Refusal):
        return refusal_in(str(error))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)


def refusal_in(text: str) -> str:
    """The sentence alone, where a worker process added its traceback to it."""
    return text.rpartition("Refusal: ")[2].strip() if "Original Traceback" in text else text
