"""Decide whose code a file may run: classes named in a checkpoint or run folder are built only if harmless or trusted.

A config that a user composes may name any class or function. A config read from a file may come from anyone, so there
each key takes only classes of a few packages, derived from the base class that belongs there. Other packages have to be
named by `trust=…`. What counts is where the object is defined: `scalian_exp.checkpoint.torch.load` belongs to torch.
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
"""packages whose modules may be imported to look up a name in a file"""
FUNCTIONS = {"scalian_exp.callbacks.progress.progress"}
"""the only functions that this package's configs name"""
DEPENDENCIES = {
    *("torch", "torchvision", "torchmetrics"),
    *("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities"),
    *("numpy", "scipy", "sympy", "sklearn", "pandas", "networkx", "matplotlib", "PIL", "jinja2", "yaml", "antlr4"),
    *("hydra", "omegaconf", "fsspec", "filelock", "joblib", "cloudpickle", "optuna", "sqlalchemy", "alembic"),
    *("wandb", "trackio", "gradio_client", "mlflow"),
    *("submitit", "ray", "litdata", "onnx", "onnxruntime", "onnxscript", "tensorboard", "pip", "setuptools"),
    *("timm", "safetensors", "huggingface_hub"),
}
"""packages installed with this one, through which a file could do harm, so that none can be trusted as a whole"""
VOUCHED = "torchvision.models"
"""the only functions of these packages that may be trusted: they build networks"""
OF_NUMBERS = ("aggregation", "classification", "clustering", "nominal", "regression", "retrieval", "segmentation")
"""modules of torchmetrics whose metrics download no weights"""
OURS = tuple(f"scalian_exp.{package}" for package in ("networks", "losses", "metrics", "schedules"))
PARTS = (*OURS, "torch.nn", *(f"torchmetrics.{kind}" for kind in OF_NUMBERS))
LIGHTNINGS = tuple(f"pytorch_lightning.loggers.{module}" for module in ("tensorboard", "csv_logs", "mlflow"))
LOGGERS = ("scalian_exp.callbacks", "scalian_exp.loggers", *LIGHTNINGS)
"""loggers that write only where the config says, or to the account of whoever trains; others have their own server"""
SENT_TO = {"entity", "space_id"}
"""arguments of loggers that name somebody's account, to which what is logged would be sent"""
PLAIN = {"judge", "notes", "group", "tags"}
"""arguments that name no file to write"""


class Place(NamedTuple):
    """A position in a config and the classes that a file may name there."""

    path: str
    """regular expression of the position"""
    base: str
    """base class of what may be built there"""
    packages: tuple[str, ...]
    """packages in which those classes are defined"""
    others: tuple[str, ...] = ()
    """packages of which any class is allowed"""


PLACES = (
    Place(r"model", "scalian_exp.tasks.base.Task", ("scalian_exp.tasks",)),
    Place(r"model\.network", "torch.nn.Module", PARTS),
    Place(r"model\.optimizer", "torch.optim.Optimizer", ("torch.optim",)),
    Place(r"loss", "torch.nn.Module", PARTS),
    Place(r"(model|loss)\..+", "torch.nn.Module", PARTS, OURS),
    Place(r"dataset", "scalian_exp.datasets.base.Data", ("scalian_exp.datasets",)),
    Place(r"dataset\..+", "torch.nn.Module", ("torchvision.transforms.v2", "scalian_exp.datasets.augmentation")),
    Place(r"trainer", "pytorch_lightning.Trainer", ("pytorch_lightning.trainer", "scalian_exp.run.lean_loop")),
    Place(r"trainer\.strategy", "pytorch_lightning.strategies.Strategy", ("pytorch_lightning.strategies",)),
    Place(r"callbacks\.\w+", "pytorch_lightning.Callback", ("pytorch_lightning.callbacks", "scalian_exp.callbacks")),
    Place(r"pruner", "optuna.pruners.BasePruner", ("optuna.pruners",)),
    Place(r"logger\.\w+", "pytorch_lightning.loggers.Logger", LOGGERS),
)
"""all positions where a file's config may build something; the first that matches a path counts"""
BUILT = ("model", "loss", "dataset", "trainer", "callbacks", "logger")
WRITING = ("trainer", "callbacks", "logger")
"""groups whose strings may name files to write"""


def modules(trust: Any) -> tuple[str, ...]:
    """Return the packages that `trust=…` names: None, one name, several separated by commas, or a list.

    Raises:
        Refusal: if it isn't a package name, or names part of Python's library or a dependency of this package.
    """
    names = [name.strip() for name in trust.split(",")] if isinstance(trust, str) else trust or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and importable(name) for name in names):
        raise Refusal(f"trust must be the name of a package or a list of them, as trust=halves, not {trust!r}.")
    if own := [name for name in names if name.partition(".")[0] in sys.stdlib_module_names]:
        raise Refusal(f"trust={own[0]} is part of Python, which has no networks; name the network's package.")
    if own := [name for name in names if harmful(name)]:
        raise Refusal(f"trust={own[0]} could do anything that a file asks for; name the network's own package.")
    return tuple(names)


def harmful(name: str) -> bool:
    """Return whether a name belongs to a dependency of this package, outside the modules that a file may name."""
    return name.partition(".")[0] in DEPENDENCIES and not within(name, (*PUBLIC, VOUCHED))


def importable(path: str) -> bool:
    """Return whether a string is a dotted path of Python names."""
    return all(part.isidentifier() for part in path.split("."))


class Objection(NamedTuple):
    """The reason why a value of a file's config isn't accepted."""

    path: str
    """the value's position in the config"""
    reason: str
    advice: str
    """an argument that allows it, or an empty string if there is none"""


def check_origin(
    config: dict[str, Any],
    file: Path,
    trust: Sequence[str],
    groups: Collection[str] = BUILT,
    folder: Path | None = None,
    given: Collection[str] = (),
) -> None:
    """Check a config that was read from a file, before anything in it is built.

    Args:
        config: the resolved config.
        file: where it comes from, for the message.
        trust: packages that the user trusts.
        groups: parts of the config that are going to be built.
        folder: the run folder if the run is resumed there; its trainer may then write only inside it.
        given: keys whose values the user has given, which are accepted.

    Raises:
        Refusal: if the config names code that isn't trusted, or a path outside the folder.
    """
    for objection in objections(config, trust, groups, folder):
        if any(objection.path == key or objection.path.startswith((f"{key}.", f"{key}[")) for key in given):
            continue
        raise Refusal(f"{objection.path} in {file} {objection.reason}")


def arguments_to_resume(config: dict[str, Any], folder: Path) -> list[str]:
    """Return the arguments that `resume=RUN` needs beside it, to allow what a file may not decide by itself."""
    advice = {objection.advice: None for objection in objections(config, (), BUILT, folder) if objection.advice}
    trusted = [argument.partition("=")[2] for argument in advice if argument.startswith("trust=")]
    others = [argument for argument in advice if not argument.startswith("trust=")]
    return [*([f"trust=[{','.join(trusted)}]"] if len(trusted) > 1 else [f"trust={name}" for name in trusted]), *others]


def check_study(folder: Path, trust: Sequence[str]) -> None:
    """Check the pruner and the database that a search's folder names, before one of its trials is resumed alone.

    Raises:
        Refusal: if the pruner isn't trusted, or the database lies outside the folder.
    """
    file = folder / STUDY
    if not file.exists():
        return
    study = read_json(file)
    if (pruner := study.get("pruner")) and (objection := objection_to_target("pruner", pruner.get("_target_"), trust)):
        raise Refusal(f"The pruner in {file} {objection.reason}")
    if not lies_in(folder, study.get("storage")):
        raise Refusal(
            f"{file} names a database outside its folder; resume the whole search instead: "
            f"{command_to_resume(folder, 'sweep.resume')}"
        )


def objections(
    config: dict[str, Any], trust: Sequence[str], groups: Collection[str], folder: Path | None
) -> Iterator[Objection]:
    """Yield all reasons why a file's config isn't accepted; see `check_origin` for the arguments."""
    for group in groups:
        for path, node in targets(group, config.get(group)):
            if objection := objection_to_target(path, node["_target_"], trust):
                yield objection
    if folder is None:
        return
    for group in WRITING:
        for path, text in texts(group, config.get(group)):
            key, again = re.sub(r"\[.*", "", path.rpartition(".")[2]), f"{path}={literal(text)}"
            if key in SENT_TO or (key not in PLAIN and leads_out(path, text, folder)):
                place = "somebody's account" if key in SENT_TO else "outside the run folder"
                reason = f"is {text}, {place}; if that is what you want, add {shlex.quote(again)}"
                yield Objection(path, reason, again)


def objection_to_target(path: str, target: Any, trust: Sequence[str]) -> Objection | None:
    """Return the reason why a file may not name this target at this position of a config; None if it may."""
    place = next((place for place in PLACES if re.fullmatch(place.path, path)), None)
    if not isinstance(target, str) or not importable(target):
        return Objection(path, f"names no class: {target!r}; this file is broken.", "")
    if not within(target, (*PUBLIC, *trust)):
        return foreign(path, target, VOUCHED if within(target, (VOUCHED,)) else target.partition(".")[0])
    item = located(target)
    home = f"{getattr(item, '__module__', '')}.{getattr(item, '__qualname__', '')}"
    if within(home, trust) and trusted_item_fits(item, home, place):
        return None
    if place is None or not within(home, PUBLIC):
        return Objection(path, f"names {target}, which does not belong there; don't use this file.", "")
    if home in FUNCTIONS and within(home, place.packages):
        return None
    if not isinstance(item, type) or not (issubclass(item, located(place.base)) or within(home, place.others)):
        return Objection(path, f"names {target}, which is not a {place.base}; don't use this file.", "")
    return None if within(home, place.packages) else foreign(path, target, home.rpartition(".")[0])


def trusted_item_fits(item: Any, home: str, place: Place | None) -> bool:
    """Return whether an object of a trusted package may be built at this place.

    A class must derive from the place's base class unless it is a nested part; a function must belong neither to this
    package nor to one of its dependencies.
    """
    if not isinstance(item, type):
        return within(home, [VOUCHED]) or home.partition(".")[0] not in {*DEPENDENCIES, "scalian_exp"}
    return place is None or place.path.endswith(".+") or issubclass(item, located(place.base))


def foreign(path: str, target: str, module: str) -> Objection:
    """Object to code of a package that isn't trusted, and advise how to trust it unless it could do harm."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return Objection(path, f"names {target}, which is part of Python and could do harm; don't use this file.", "")
    if harmful(module) or harmful(target):
        return Objection(path, f"names {target}, which could do harm; don't use this file.", "")
    reason = (
        f"names {target}, whose code could do anything. If you trust the file and {module}, add trust={module} "
        f"(in Python: trust=[{module!r}])."
    )
    return Objection(path, reason, f"trust={module}")


def within(name: str, packages: Collection[str]) -> bool:
    """Return whether a dotted name is one of these packages or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
