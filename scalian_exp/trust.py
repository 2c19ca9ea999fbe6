"""Whose code a file may run: what a checkpoint or a run folder names is built only if it is harmless, or trusted.

A config that a user composes may name any class or function. One that comes out of a file may be a stranger's: there,
each place takes a class of a few packages, derived from what belongs there. Other packages have to be named by
`trust=…`. It is the object that counts, and where it is defined: `scalian_exp.checkpoint.torch.load` is torch's.
"""

import re
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scalian_exp.build import located
from scalian_exp.commandline.shell import command_to_resume
from scalian_exp.files import read_json
from scalian_exp.folders import STUDY, leads_out
from scalian_exp.refusal import Refusal
from scalian_exp.study_database import lies_in
from scalian_exp.vocabulary.grammar import literal
from scalian_exp.vocabulary.nodes import targets, texts

PUBLIC = (
    "scalian_exp",
    "torch.nn",
    "torch.optim",
    "torchmetrics",
    "torchvision.transforms.v2",
    "pytorch_lightning",
    "optuna.pruners",
)
"""what a file's names may begin with: only modules of these are imported to see what a name stands for"""
FUNCTIONS = {"scalian_exp.callbacks.progress.progress"}
"""the only functions that our own configs name"""
DEPENDENCIES = {
    *(
        "torch",
        "torchvision",
        "torchmetrics",
        "pytorch_lightning",
        "lightning",
        "lightning_fabric",
        "lightning_utilities",
    ),
    *("numpy", "scipy", "sympy", "sklearn", "pandas", "networkx", "matplotlib", "PIL", "jinja2", "yaml", "antlr4"),
    *("hydra", "omegaconf", "fsspec", "filelock", "joblib", "cloudpickle", "optuna", "sqlalchemy", "alembic", "mlflow"),
    *("submitit", "ray", "litdata", "onnx", "onnxruntime", "onnxscript", "tensorboard", "pip", "setuptools"),
}
"""what is installed with this package, and offers any file the means to do harm: it isn't trusted as a whole"""
VOUCHED = "torchvision.models"
"""the only functions of these packages that may be trusted: they make networks"""
OF_NUMBERS = ("aggregation", "classification", "clustering", "nominal", "regression", "retrieval", "segmentation")
"""the metrics of torchmetrics that fetch no weights from the network"""
OURS = tuple(f"scalian_exp.{package}" for package in ("networks", "losses", "metrics", "schedules"))
PARTS = (*OURS, "torch.nn", *(f"torchmetrics.{kind}" for kind in OF_NUMBERS))
LOGGERS = (
    "scalian_exp.callbacks",
    *(f"pytorch_lightning.loggers.{module}" for module in ("tensorboard", "csv_logs", "mlflow")),
)
"""the loggers that write where they are told to; others send what they log to a server of their own"""


class Place(NamedTuple):
    path: str
    """regular expression of where it is in a config"""
    base: str
    """the class from which one that stands there is derived"""
    packages: tuple[str, ...]
    """where it is defined"""
    others: tuple[str, ...] = ()
    """packages of which any class may stand there"""


PLACES = (
    Place(r"model", "scalian_exp.tasks.base.Task", ("scalian_exp.tasks",)),
    Place(r"model\.network", "torch.nn.Module", PARTS),
    Place(r"model\.optimizer", "torch.optim.Optimizer", ("torch.optim",)),
    Place(r"loss", "torch.nn.Module", PARTS),
    Place(r"(model|loss)\..+", "torch.nn.Module", PARTS, OURS),
    Place(r"dataset", "scalian_exp.datasets.base.Data", ("scalian_exp.datasets",)),
    Place(r"dataset\..+", "torch.nn.Module", ("torchvision.transforms.v2", "scalian_exp.datasets.augmentation")),
    Place(r"trainer", "pytorch_lightning.Trainer", ("pytorch_lightning.trainer",)),
    Place(r"trainer\.strategy", "pytorch_lightning.strategies.Strategy", ("pytorch_lightning.strategies",)),
    Place(r"callbacks\.\w+", "pytorch_lightning.Callback", ("pytorch_lightning.callbacks", "scalian_exp.callbacks")),
    Place(r"pruner", "optuna.pruners.BasePruner", ("optuna.pruners",)),
    Place(r"logger\.\w+", "pytorch_lightning.loggers.Logger", LOGGERS),
)
"""what a file's config may build; of several places that a path is in, the first counts"""
BUILT = ("model", "loss", "dataset", "trainer", "callbacks", "logger")
WRITING = ("trainer", "callbacks", "logger")
"""the groups whose texts may be names of files to write"""
READ = {"judge"}
"""arguments that name a file to read"""


def modules(said: Any) -> tuple[str, ...]:
    """The packages that `trust=…` names: none, one, several with commas between, or a list.

    Raises:
        Refusal: if there are no such names, or one of Python's own library, or of a package that this one depends on.
    """
    names = [name.strip() for name in said.split(",")] if isinstance(said, str) else said or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and importable(name) for name in names):
        raise Refusal(f"trust must be the name of a package or a list of them, as trust=halves, not {said!r}.")
    if own := [name for name in names if name.partition(".")[0] in sys.stdlib_module_names]:
        raise Refusal(f"trust={own[0]} is part of Python, which has no networks; name the package of the network.")
    if own := [name for name in names if harmful(name)]:
        raise Refusal(f"trust={own[0]} could do anything a file asks for; name the package of the network itself.")
    return tuple(names)


def harmful(name: str) -> bool:
    """Is a name a dependency of ours, and in none of its packages that a file may name?"""
    return name.partition(".")[0] in DEPENDENCIES and not within(name, (*PUBLIC, VOUCHED))


def importable(path: str) -> bool:
    return all(part.isidentifier() for part in path.split("."))


class Objection(NamedTuple):
    path: str
    """where it is in the config"""
    reason: str
    advice: str
    """an argument that allows it; nothing if there is none"""


def check_origin(
    config: dict[str, Any],
    file: Path,
    trust: Sequence[str],
    groups: Collection[str] = BUILT,
    folder: Path | None = None,
    said: Collection[str] = (),
) -> None:
    """Judge a config that comes out of a file, before anything of it is built.

    Args:
        file: where it comes from, for the sentence.
        trust: the packages that the user trusts.
        groups: the parts of the config that are going to be built.
        folder: the run folder, if the run goes on there: whatever its trainer writes has to lie in it.
        said: keys whose values are the user's own.

    Raises:
        Refusal: if the config names code of others that isn't trusted, or a place outside of the folder.
    """
    for found in objections(config, trust, groups, folder):
        if any(found.path == key or found.path.startswith((f"{key}.", f"{key}[")) for key in said):
            continue
        raise Refusal(f"{found.path} in {file} {found.reason}")


def arguments_to_resume(config: dict[str, Any], folder: Path) -> list[str]:
    """What `resume=<folder>` needs beside it, because a run of others could do harm by it."""
    advice = {found.advice: None for found in objections(config, (), BUILT, folder) if found.advice}
    trusted = [argument.partition("=")[2] for argument in advice if argument.startswith("trust=")]
    others = [argument for argument in advice if not argument.startswith("trust=")]
    return [*([f"trust=[{','.join(trusted)}]"] if len(trusted) > 1 else [f"trust={name}" for name in trusted]), *others]


def check_study(folder: Path, trust: Sequence[str]) -> None:
    """Judge what a search's folder says of its trials, one of which goes on alone.

    Raises:
        Refusal: if it names a pruner of others, or a database that lies elsewhere.
    """
    file = folder / STUDY
    if not file.exists():
        return
    study = read_json(file)
    if (pruner := study.get("pruner")) and (found := objection("pruner", pruner.get("_target_"), trust)):
        raise Refusal(f"The pruner in {file} {found.reason}")
    if not lies_in(folder, study.get("storage")):
        raise Refusal(
            f"{file} names a database that lies elsewhere; go on with the whole search: "
            f"{command_to_resume(folder, 'sweep.resume')}"
        )


def objections(
    config: dict[str, Any], trust: Sequence[str], groups: Collection[str], folder: Path | None
) -> Iterator[Objection]:
    for group in groups:
        for path, node in targets(group, config.get(group)):
            if found := objection(path, node["_target_"], trust):
                yield found
    if folder is None:
        return
    for group in WRITING:
        for path, text in texts(group, config.get(group)):
            if path.rpartition(".")[2] not in READ and leads_out(path, text, folder):
                again = f"{path}={literal(text)}"
                reason = f"is {text}, outside of the run's folder; if that is what you want, add {shlex.quote(again)}"
                yield Objection(path, reason, again)


def objection(path: str, target: Any, trust: Sequence[str]) -> Objection | None:
    """What is wrong with a name at this place of a config; None if nothing is."""
    place = next((place for place in PLACES if re.fullmatch(place.path, path)), None)
    if not isinstance(target, str) or not importable(target):
        return Objection(path, f"names no class: {target!r}; this file is broken.", "")
    if not within(target, (*PUBLIC, *trust)):
        return foreign(path, target, target.partition(".")[0])
    found = located(target)
    home = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    if within(home, trust) and may_stand(found, home, place):
        return None
    if place is None or not within(home, PUBLIC):
        return Objection(path, f"names {target}, which does not belong there; don't use this file.", "")
    if home in FUNCTIONS and within(home, place.packages):
        return None
    if not isinstance(found, type) or not (issubclass(found, located(place.base)) or within(home, place.others)):
        return Objection(path, f"names {target}, which is no {place.base}; don't use this file.", "")
    return None if within(home, place.packages) else foreign(path, target, home.rpartition(".")[0])


def may_stand(found: Any, home: str, place: Place | None) -> bool:
    """May something of a trusted package be built there? A class must fit the place, unless it is a part of something
    else; a function must be neither ours nor a dependency's."""
    if not isinstance(found, type):
        return within(home, [VOUCHED]) or home.partition(".")[0] not in {*DEPENDENCIES, "scalian_exp"}
    return place is None or place.path.endswith(".+") or issubclass(found, located(place.base))


def foreign(path: str, target: str, module: str) -> Objection:
    """The objection to code of a package that nobody vouches for."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return Objection(path, f"names {target}, which is part of Python and could do harm; don't use this file.", "")
    if harmful(module) or harmful(target):
        return Objection(path, f"names {target}, which could do harm; don't use this file.", "")
    reason = (
        f"names {target}: code that could do anything. If you know the file and {module}, add trust={module} "
        f"(in Python: trust=[{module!r}])."
    )
    return Objection(path, reason, f"trust={module}")


def within(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
