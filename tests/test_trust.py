"""A stranger's checkpoint runs none of the code that it names."""

import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from harm import MARKER, RUN, unharmed
from tools import OF_OTHER_LIBRARIES, tiny
from torch import nn

from scalian_exp.actions.action import data_of
from scalian_exp.build import build, build_task, located
from scalian_exp.callbacks.sample_quality import SampleQuality
from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal
from scalian_exp.run.init_from import start_network_from
from scalian_exp.trust import FUNCTIONS, check_origin, modules
from scalian_exp.vocabulary.config_folders import CONFIGS
from scalian_exp.vocabulary.nodes import targets
from scalian_exp.vocabulary.options import package_of

pytestmark = pytest.mark.usefixtures("evil_files")
HARMFUL: list[dict[str, Any]] = [
    {"_target_": "os.system", "command": f"touch {MARKER}"},
    {"_target_": "os.system", "_args_": [f"touch {MARKER}"]},
    {"_target_": "subprocess.Popen", "args": ["touch", MARKER]},
    {"_target_": "builtins.eval", "_args_": [RUN]},
    {"_target_": "builtins.exec", "_args_": [RUN]},
    {"_target_": "sympy.sympify", "a": RUN},
    {"_target_": "sympy.core.sympify.sympify", "a": RUN},
    {"_target_": "pathlib.Path.write_text", "_args_": [{"_target_": "pathlib.Path", "_args_": [MARKER]}, "x"]},
    {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
    {"_target_": "torch.hub.load", "repo_or_dir": "evil", "model": "x", "source": "local"},
    {"_target_": "scalian_exp.checkpoint.torch.load", "f": "evil.pt", "weights_only": False},
    {"_target_": "scalian_exp.checkpoint.load", "path": "."},
    {"_target_": "scalian_exp.files.write_text", "file": MARKER, "text": "x"},
    {"_target_": "scalian_exp.files.os.system", "command": f"touch {MARKER}"},
    {"_target_": "scalian_exp.run.record.subprocess.run", "args": ["touch", MARKER]},
    {"_target_": "scalian_exp.build.build", "path": "x", "node": {"_target_": "os.system", "command": "true"}},
    {"_target_": "scalian_exp.build.located", "path": "os.system"},
    {"_target_": "scalian_exp.apply.main"},
    {"_target_": "scalian_exp.actions.export.Export"},
    {"_target_": "scalian_exp.datasets.folder.ImageFolder", "root": "."},
    {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.system", "command": "true"}},
    {"_target_": "hydra.utils.get_object", "path": "os.system"},
    {"_target_": "torch.nn.Module.__class__", "_args_": ["x", [], {}]},
    {"_target_": "torch.nn.modules.module.functools.partial", "_args_": ["x"]},
    {"_target_": "torch.nn.Module.load_state_dict"},
    {"_target_": "torch.nn.init.torch.load", "f": "evil.pt"},
    {"_target_": "torchmetrics.image.fid.FrechetInceptionDistance"},  # downloads weights
    {"_target_": "evil.Network"},
    {"_target_": "../evil"},
    {"_target_": ""},
    {"_target_": ["os", "system"]},
    {"_target_": None},
]


def wrapped(node: dict[str, Any]) -> list[Any]:
    """Return a node itself, and nodes in which it is hidden."""
    return [
        node,
        {**node, "_partial_": True},
        {"_target_": "torch.nn.Sequential", "_args_": [node]},
        {"_target_": "torch.nn.ReLU", "_recursive_": False, "x": [{"y": node}]},
    ]


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    """Return the contents of a tiny autoencoder's checkpoint."""
    config = tiny("autoencoder")
    return {"scalian_exp": {"config": config}, "state_dict": build_task(config).state_dict()}


@pytest.mark.parametrize("node", HARMFUL, ids=lambda node: str(node["_target_"]))
def test_a_checkpoint_builds_nothing_harmful(node: dict[str, Any], checkpoint: dict[str, Any]) -> None:
    for place in ("model", "model.network", "model.network.activation", "model.optimizer", "model.new", "loss"):
        for hidden in wrapped(node):
            contents: dict[str, Any] = {**checkpoint, "scalian_exp": deepcopy(checkpoint["scalian_exp"])}
            *above, last = place.split(".")
            parent = contents["scalian_exp"]["config"]
            for key in above:
                parent = parent[key]
            parent[last] = hidden
            with pytest.raises(Refusal, match=r"in evil\.ckpt names"):
                check_origin(contents["scalian_exp"]["config"], Path("evil.ckpt"), (), ("model", "loss"))
    torch.save(contents, "evil.ckpt")
    with pytest.raises(Refusal, match=r"in evil\.ckpt names"):
        load("evil.ckpt")
    for place in ("dataset", "trainer", "callbacks", "logger"):
        config = {**checkpoint["scalian_exp"]["config"], place: node if place == "dataset" else {"x": node}}
        if "ImageFolder" in str(node) and place == "dataset":
            continue
        with pytest.raises(Refusal, match="in stranger"):
            check_origin(config, Path("stranger"), ())
    assert unharmed()


@pytest.mark.parametrize("name", ["scalian_exp", "pytorch_lightning", "torch.nn", "torchvision.models", "mine"])
def test_trusting_other_packages_allows_nothing_harmful(name: str) -> None:
    for node in HARMFUL:
        for config in ({"model": {"network": node}}, {"loss": node}, {"callbacks": {"x": node}}):
            with pytest.raises(Refusal, match="in stranger names"):
                check_origin(config, Path("stranger"), modules(name))
    assert unharmed()


def test_trust_is_not_suggested_for_functions_that_can_do_anything() -> None:
    for target in ("torch.load", "torch.hub.load", "sympy.sympify", "numpy.load", "hydra.utils.get_object"):
        with pytest.raises(Refusal, match=r"don't use this file\.$"):
            check_origin({"loss": {"_target_": target}}, Path("stranger"), ())


def test_every_reader_of_a_checkpoint_checks_it(checkpoint: dict[str, Any]) -> None:
    contents = deepcopy(checkpoint)
    contents["scalian_exp"]["config"]["dataset"] = {"_target_": "evil.Data", "root": "."}
    torch.save(contents, "data.ckpt")
    with pytest.raises(Refusal, match=r"dataset in data\.ckpt names evil\.Data.*add trust=evil \(in Python"):
        data_of(load("data.ckpt"))
    contents["scalian_exp"]["config"]["model"]["network"] = {"_target_": "evil.Network"}
    torch.save(contents, "network.ckpt")
    with pytest.raises(Refusal, match="add trust=evil"):
        start_network_from(nn.Linear(1, 1), None, "network.ckpt")
    with pytest.raises(Refusal, match="add trust=evil"):
        SampleQuality("network.ckpt")
    assert unharmed()


def test_trusted_modules_are_built(checkpoint: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import os\nfrom scalian_exp.networks.autoencoder import DenseAutoencoder\n"
        "class Mine(DenseAutoencoder): pass\ndef make(**arguments): return Mine(**arguments)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    contents = deepcopy(checkpoint)
    network = contents["scalian_exp"]["config"]["model"]["network"]
    for name in ("Mine", "make"):
        network["_target_"] = f"mine.{name}"
        torch.save(contents, "mine.ckpt")
        with pytest.raises(Refusal, match=r"model\.network in mine\.ckpt names mine"):
            load("mine.ckpt")
        assert ("mine" in sys.modules) == (name == "make")  # an untrusted module isn't even imported
        for trust in (["mine"], "mine", "other,mine", ("mine",)):
            assert type(load("mine.ckpt", trust=trust).task.network).__name__ == "Mine"
    network["_target_"] = "mine.os.system"  # trusting mine doesn't include what it imports
    torch.save(contents, "mine.ckpt")
    with pytest.raises(Refusal, match=r"names mine\.os\.system"):
        load("mine.ckpt", trust="mine")
    del sys.modules["mine"]


def test_only_custom_modules_can_be_trusted() -> None:
    assert modules(None) == ()
    assert modules("halves, mylib") == modules(["halves", "mylib"]) == ("halves", "mylib")
    for wrong in (
        "os",
        "builtins",
        "torch",
        "torch.hub",
        "numpy",
        "torchvision.io",
        "mine,sympy",
        "a b",
        "../x",
        3,
        [1],
        "-",
        {"a": 1},
    ):
        with pytest.raises(Refusal, match="trust"):
            modules(wrong)


def test_the_packages_configs_need_no_trust() -> None:
    functions = set()
    for file in CONFIGS.rglob("*.yaml"):
        if file.parent.name == "model" and file.stem in OF_OTHER_LIBRARIES:
            continue
        text = file.read_text(encoding="utf-8")
        node = yaml.safe_load(text) or {}
        for _, part in targets("", node):
            target = located(part["_target_"])
            functions |= set() if isinstance(target, type) else {f"{target.__module__}.{target.__qualname__}"}
        for part in filter(None, reversed(package_of(file.relative_to(CONFIGS).as_posix(), text).split("."))):
            node = {part: node}
        check_origin(node, file, ())
    assert functions == FUNCTIONS


def test_values_are_not_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "42")
    values = {"a": "${oc.env:SECRET}", "b": ["${a}"], "c": {"d": 1}}
    assert vars(build("x", {"_target_": "argparse.Namespace", **values})) == values
