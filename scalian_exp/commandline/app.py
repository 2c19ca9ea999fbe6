"""The command line around Hydra: run a function on a config, and report mistakes of the user in one sentence."""

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import hydra
import hydra.utils
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, InterpolationResolutionError, OmegaConfBaseException

from scalian_exp.commandline import help, starting
from scalian_exp.commandline.overrides import as_sweeps_of_one, check_flags, check_options, check_searchpath
from scalian_exp.commandline.unknown_keys import unknown_key
from scalian_exp.files import failures_refused, reason
from scalian_exp.folders import MULTIRUN
from scalian_exp.refusal import Refusal, refusal_in
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.encodings import not_text
from scalian_exp.vocabulary.grammar import SWEEP_FLAGS, quote_texts, quoted, read, sweeping
from scalian_exp.vocabulary.options import close_to, files, group_and_name, inherited
from scalian_exp.vocabulary.yaml_files import explained

CHOSEN_TWICE = re.compile(r"Multiple values for (\S+)\.|force-add of config groups is not supported: '\+\+([^=]+)")
"""Hydra's messages about +model=unet and ++model=unet"""


def run(
    task_function: Callable[[DictConfig], Any],
    config_name: str,
    unknown: Callable[[str, DictConfig], str] = unknown_key,
) -> None:
    """Hand the command line to Hydra; mistakes of the user end in one sentence and exit code 1.

    Args:
        task_function: called with the composed config of each job.
        config_name: name of the primary config.
        unknown: returns the sentence about a key that isn't in the config; takes the key and the config.
    """
    if help.is_requested(sys.argv[1:]):
        with_sentences(lambda: print(help.page(config_name, sys.argv[1:])), unknown)
        return
    with_sentences(lambda: prepare(sys.argv))
    # Hydra's own handler would add "set HYDRA_FULL_ERROR=1" to every sentence, and cut the traces of real errors.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    command = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(task_function)
    with permitting():
        with_sentences(command, unknown)


def permitting() -> AbstractContextManager[Any]:
    """Allow Hydra to build this package's own classes, which Hydra 1.4 and later must permit explicitly."""
    whitelist = getattr(hydra.utils, "execution_whitelist", None)
    return nullcontext() if whitelist is None else whitelist(("scalian_exp.*", "hydra_plugins.*"))


def prepare(argv: list[str]) -> None:
    """Rewrite the overrides of a command line, argv[1:], in the form that Hydra needs.

    Raises:
        Refusal: if one of them can't work.
    """
    check_flags(argv[1:])
    argv[1:] = quote_texts(argv[1:])
    check_searchpath(argv[1:])
    check_options(argv[1:])
    if sweeping(argv):
        if {argument.partition("=")[0] for argument in argv} & {"-c", "--cfg", "-i", "--info"}:
            raise Refusal("--cfg and --info show one job: leave -m out, and give one value for each override.")
        overrides = [argument for argument in argv[1:] if argument not in SWEEP_FLAGS]
        argv[1:] = ["-m", *as_sweeps_of_one(overrides)]  # Hydra wants its flags in one place


def any_starts_with(arguments: list[str], *starts: str) -> bool:
    """Return whether any of the arguments begins with one of these strings."""
    return any(argument.startswith(starts) for argument in arguments)


def as_list(argument: str) -> str:
    """Write `trust=a,b` as `trust=[a,b]`, because several packages are not a sweep."""
    key, _, names = argument.partition("=")
    return f"trust=[{names}]" if key == "trust" and "," in names and not names.startswith("[") else argument


def sweep_begun() -> Path | None:
    """Return the folder of the sweep that this process runs; None if it hasn't begun one."""
    if not (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN):
        return None
    folder = Path(HydraConfig.get().sweep.dir)
    return folder if (folder / MULTIRUN).is_file() else None


def find_own_modules() -> None:
    """Add the current folder to the end of Python's search path, so that your own networks can be imported from there.

    Commands that only load files do so only if the user trusts a package. Hydra imports all plugins on the path, so it
    has to search for them before.
    """
    Plugins.instance()
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def with_sentences(action: Callable[[], Any], unknown: Callable[[str, DictConfig], str] = unknown_key) -> None:
    """Run an action; report mistakes of the user in one sentence, with exit code 1."""
    threading.excepthook = ignore_reported_failures
    try:
        starting.remember()
        with failures_refused():
            action()
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as in `scalian-apply --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush doesn't fail again
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:  # once training has begun, Lightning handles it
        sys.stderr.write("Interrupted.\n" if sweep_begun() else starting.INTERRUPTED)
        sys.exit(130)
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(sentence(error, unknown))
    except yaml.YAMLError as error:  # in a config that Hydra reads
        sys.exit(explained(error))
    except UnicodeDecodeError:  # in a config, too
        if why := not_text():
            sys.exit(why)
        raise
    except RecursionError:
        if why := endless(sys.argv[1:]):
            sys.exit(why)
        raise


def endless(arguments: list[str]) -> str | None:
    """Explain which option on a command line inherits from itself, as Hydra follows it without end; None if none."""
    try:
        for override in filter(None, map(read, arguments)):
            inherited(f"{override.key_or_group}/{override.value()}")
    except Refusal as refusal:
        return str(refusal)
    return None


def ignore_reported_failures(failure: threading.ExceptHookArgs) -> None:
    """Ignore file and memory errors in threads that write logs, because the main thread meets and reports them too."""
    if failure.exc_value is None or reason(failure.exc_value) is None:
        threading.__excepthook__(failure)


def sentence(error: Exception, unknown: Callable[[str, DictConfig], str]) -> str:
    """Explain in one sentence what is wrong with a command line, and what would be right."""
    cause = error.__cause__ or error
    if isinstance(error, MissingConfigException):
        group, name = group_and_name(str(error.missing_cfg_file))
        if group and (known := list(files(group)) or error.options):
            close = close_to(name, known)
            advice = f"did you mean {group}={close}?" if close else f"choose one of: {', '.join(known)}."
            return f"There is no {group}={name}; {advice}" if name else f"{group}= names nothing; {advice}"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.parent_node is not None:
        return unknown(str(cause.full_key), cause.parent_node._get_root())
    if match := re.match("In '([^']+)': Could not override '[^'@]+@", str(error)):
        return f"{match[1]}.yaml chooses options of other groups, so its first line must be # @package _global_"
    if match := re.match("Could not override '([^']+)'", str(error)):
        outer, inner, _ = match[1].partition("/")
        other = f", or choose a {outer} that has it" if inner else ""
        return f"Nothing in this experiment is chosen by {match[1]}=…; leave it out{other}."
    if match := CHOSEN_TWICE.match(str(error)):
        group = match[1] or match[2]
        return f"{group} is chosen already; to choose another, leave + out: {group}=…"
    if "INTERVAL_SWEEP" in str(error):
        return "interval(…) is for searches: add hydra/sweeper=optuna, or list the values, such as 0.1,0.3,1."
    if "requires --multirun" in str(error):
        return f"{str(error).replace('Sweep parameters', 'The sweep').replace(' requires --multirun', '')} needs -m."
    if isinstance(cause, InterpolationResolutionError):
        return unresolved(cause)
    if "Ambiguous value" in str(error):
        return f"{str(error).splitlines()[0]}; add -m to sweep over several values, or write a list as [a,b]."
    if isinstance(error, OverrideParseException):
        return unread(str(error.override))
    if isinstance(error, Refusal):
        return refusal_in(str(error))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)


def unread(argument: str) -> str:
    """Explain that Hydra can't read an override, and how to quote it if it looks like a string."""
    key, equals, value = argument.partition("=")
    text = f"{key}={quoted(value)}"
    is_text = equals and read(text) and not set("'\"()") & set(value)
    advice = f"; if its value is a string, quote it: {shlex.quote(text)}" if is_text else ""
    rule = "an override is group=option or path.to.value=value, quoted for the shell"
    return f"{argument} can't be read; {rule}{advice}."


def unresolved(error: InterpolationResolutionError) -> str:
    """Explain that a value refers to something that doesn't exist."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, Refusal):  # of one of this package's resolvers
            return str(inner)
        inner = inner.__context__
    reason = (error.msg or str(error)).splitlines()[0].rstrip(".")
    return f"{error.full_key or 'A value'} refers to something that doesn't exist: {reason}; set it."
