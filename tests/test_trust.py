"""A stranger's checkpoint, run folder and sweep: nothing in them runs code of others."""

import json
import re
import shlex
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.core.plugins import Plugins
from tools import tiny
from torch import nn

from scalian_exp.actions.action import data_of
from scalian_exp.build import build, build_task, located
from scalian_exp.callbacks.sample_quality import SampleQuality
from scalian_exp.checkpoint import load
from scalian_exp.commandline.app import find_own_modules
from scalian_exp.refusal import Refusal
from scalian_exp.run.init_from import start_network_from
from scalian_exp.run.resume import resumed
from scalian_exp.sweep.resume import resumed_sweep
from scalian_exp.sweep.stored_overrides import check_overrides
from scalian_exp.trust import FUNCTIONS, arguments_to_resume, check_origin, check_study, modules
from scalian_exp.vocabulary.nodes import targets
from scalian_exp.vocabulary.options import CONFIGS

MARKER = "was_here"
"""a file that malicious code would make"""
RUN = f"__import__('pathlib').Path({MARKER!r}).touch()"
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
    {"_target_": "scalian_exp.train.main"},
    {"_target_": "scalian_exp.actions.export.Export"},
    {"_target_": "scalian_exp.datasets.folder.ImageFolder", "root": "."},
    {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.system", "command": "true"}},
    {"_target_": "hydra.utils.get_object", "path": "os.system"},
    {"_target_": "torch.nn.Module.__class__", "_args_": ["x", [], {}]},
    {"_target_": "torch.nn.modules.module.functools.partial", "_args_": ["x"]},
    {"_target_": "torch.nn.Module.load_state_dict"},
    {"_target_": "torch.nn.init.torch.load", "f": "evil.pt"},
    {"_target_": "torchmetrics.image.fid.FrechetInceptionDistance"},  # it fetches weights
    {"_target_": "evil.Network"},
    {"_target_": "../evil"},
    {"_target_": ""},
    {"_target_": ["os", "system"]},
    {"_target_": None},
]


def wrapped(node: dict[str, Any]) -> list[Any]:
    """A node as it is, and hidden in others."""
    return [
        node,
        {**node, "_partial_": True},
        {"_target_": "torch.nn.Sequential", "_args_": [node]},
        {"_target_": "torch.nn.ReLU", "_recursive_": False, "x": [{"y": node}]},
    ]


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    """What a checkpoint of a tiny autoencoder contains."""
    config = tiny("autoencoder")
    return {"scalian_exp": {"config": config}, "state_dict": build_task(config).state_dict()}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text(f"from torch import nn\n{RUN}\nclass Network(nn.Module): pass\n")
    torch.save([torch.nn.Module()], tmp_path / "evil.pt")


def unharmed() -> bool:
    return not Path(MARKER).exists() and "evil" not in sys.modules


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
def test_trust_makes_nothing_harmful_of_other_packages(name: str) -> None:
    for node in HARMFUL:
        for config in ({"model": {"network": node}}, {"loss": node}, {"callbacks": {"x": node}}):
            with pytest.raises(Refusal, match="in stranger names"):
                check_origin(config, Path("stranger"), modules(name))
    assert unharmed()


def test_what_could_do_anything_is_not_offered_for_trust() -> None:
    for target in ("torch.load", "torch.hub.load", "sympy.sympify", "numpy.load", "hydra.utils.get_object"):
        with pytest.raises(Refusal, match=r"don't use this file\.$"):
            check_origin({"loss": {"_target_": target}}, Path("stranger"), ())


def test_all_that_reads_a_checkpoint_judges_it(checkpoint: dict[str, Any]) -> None:
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


def test_whoever_is_trusted_may_build(
    checkpoint: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "import os\nfrom scalian_exp.networks.autoencoder import DenseAutoencoder\n"
        "class Mine(DenseAutoencoder): pass\ndef make(**said): return Mine(**said)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    contents = deepcopy(checkpoint)
    network = contents["scalian_exp"]["config"]["model"]["network"]
    for name in ("Mine", "make"):
        network["_target_"] = f"mine.{name}"
        torch.save(contents, "mine.ckpt")
        with pytest.raises(Refusal, match=r"model\.network in mine\.ckpt names mine"):
            load("mine.ckpt")
        assert ("mine" in sys.modules) == (name == "make")  # a name that nobody trusts isn't even imported
        for trust in (["mine"], "mine", "other,mine", ("mine",)):
            assert type(load("mine.ckpt", trust=trust).task.network).__name__ == "Mine"
    network["_target_"] = "mine.os.system"  # what is trusted is mine, not whatever it imports
    torch.save(contents, "mine.ckpt")
    with pytest.raises(Refusal, match=r"names mine\.os\.system"):
        load("mine.ckpt", trust="mine")
    del sys.modules["mine"]


def test_who_can_be_trusted() -> None:
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


def test_our_own_configs_need_no_trust() -> None:
    functions = set()
    for file in CONFIGS.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        node = yaml.safe_load(text) or {}
        for _, part in targets("", node):
            found = located(part["_target_"])
            functions |= set() if isinstance(found, type) else {f"{found.__module__}.{found.__qualname__}"}
        package = re.match("# @package (.*)", text)
        for part in reversed([package[1]] if package else file.relative_to(CONFIGS).parent.parts):
            node = node if part == "_global_" else {part: node}
        check_origin(node, file, ())
    assert functions == FUNCTIONS


def test_values_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "42")
    values = {"a": "${oc.env:SECRET}", "b": ["${a}"], "c": {"d": 1}}
    assert vars(build("x", {"_target_": "argparse.Namespace", **values})) == values


def run_folder(folder: Path, config: dict[str, Any]) -> Path:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints/last.ckpt").touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


OF_THE_TRAINER: list[tuple[str, Any, str]] = [
    ("callbacks.x", {"_target_": "os.system", "command": f"touch {MARKER}"}, "part of Python"),
    ("callbacks.x", {"_target_": "scalian_exp.files.write_text", "file": MARKER, "text": "x"}, "not a pytorch_light"),
    (
        "callbacks.x",
        {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
        "could do harm; don't use this file",
    ),
    ("callbacks.x", {"_target_": "torch.nn.ReLU"}, "not a pytorch_lightning.Callback"),
    ("callbacks.x", {"_target_": "scalian_exp.callbacks.figures.Figures", "folder": "/tmp"}, "callbacks.x.folder=/tmp"),
    (
        "callbacks.x",
        {
            "_target_": "pytorch_lightning.callbacks.LambdaCallback",
            "setup": {"_target_": "os.system", "_partial_": True},
        },
        "os.system",
    ),
    ("callbacks.best.dirpath", "/somewhere/else", "add callbacks.best.dirpath=/somewhere/else"),
    ("callbacks.best.filename", "../../else", r"add callbacks.best.filename=\.\./\.\./else"),
    ("callbacks.best.dirpath", "~/else", "outside the run folder"),
    ("callbacks.best.dirpath", "$HOME/else", "outside the run folder"),
    ("logger", {"x": {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "/else"}}, "logger.x.save_dir"),
    ("logger", {"x": {"_target_": "pytorch_lightning.loggers.WandbLogger"}}, "trust=pytorch_lightning.loggers.wandb"),
    (
        "logger",
        {"x": {"_target_": "pytorch_lightning.loggers.MLFlowLogger", "tracking_uri": "http://evil:80"}},
        "add logger.x.tracking_uri=http://evil:80",
    ),
    ("trainer._target_", "os.system", "part of Python"),
    ("trainer.default_root_dir", "/", "outside the run folder"),
    (
        "trainer.plugins",
        [{"_target_": "pytorch_lightning.plugins.TorchCheckpointIO"}],
        "not belong",
    ),
    ("trainer.strategy", {"_target_": "os.system", "command": "true"}, "part of Python"),
    ("trainer.precision", "${oc.env:HOME}", "plain data"),
    ("model.network", {"_target_": "evil.Network"}, "trust=evil"),
    ("dataset", {"_target_": "evil.Network"}, "trust=evil"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), OF_THE_TRAINER)
def test_a_run_folder_builds_nothing_harmful(key: str, value: Any, sentence: str, tmp_path: Path) -> None:
    config = tiny("autoencoder")
    *above, last = key.split(".")
    parent = config
    for name in above:
        parent = parent[name]
    parent[last] = value
    folder = run_folder(tmp_path / "run", config)
    with pytest.raises(Refusal, match=sentence):
        resumed([f"resume={folder}"])
    assert unharmed()


def test_what_the_user_says_is_his_own(tmp_path: Path) -> None:
    config = tiny("autoencoder")
    config["callbacks"]["best"]["dirpath"] = str(tmp_path / "else")
    config["callbacks"]["mine"] = {"_target_": "mine.Callback"}
    config["trust"] = ["mine"]  # a file can't vouch for itself
    folder = run_folder(tmp_path / "run", config)
    with pytest.raises(Refusal, match=r"callbacks\.mine .* add trust=mine"):
        resumed([f"resume={folder}"])
    needed = arguments_to_resume(config, folder)
    assert needed == ["trust=mine", f"callbacks.best.dirpath={tmp_path / 'else'}"]
    (tmp_path / "mine.py").write_text("import pytorch_lightning as pl\nclass Callback(pl.Callback): pass\n")
    sys.path.append(str(tmp_path))
    try:
        assert resumed([f"resume={folder}", *needed])[0]["trust"] == ["mine"]
    finally:
        sys.path.remove(str(tmp_path))
    inside = tiny("autoencoder")
    inside["callbacks"]["best"]["dirpath"] = str(tmp_path / "run/else")
    assert "trust" not in resumed([f"resume={run_folder(folder, inside)}"])[0]


HARMFUL_OVERRIDES = [
    "hydra.callbacks.x._target_=os.system",
    "+hydra.callbacks.x={_target_:os.system,command:true}",
    "hydra.searchpath=[file://evil]",
    "hydra.launcher.setup=[reboot]",
    "hydra.job_logging.handlers.console.class=evil.Handler",
    "hydra/launcher=../../evil",
    "hydra.sweeper.custom_search_space=evil.space",
    "hydra.sweeper.sampler._target_=os.system",
    "hydra.job.env_set.LD_PRELOAD=/evil.so",
    "hydra.sweep.subdir=/else",
    "model=../../evil",
    "model=vae,../../evil",
    "+callbacks.x._target_=os.system",
    "+callbacks.x={_target_:os.system,command:true}",
    "model.network._target_=evil.Network",
    "model.network._target_=torch.nn.ReLU,evil.Network",
    "model.network.activation._target_=torch.load",
    "+x=${oc.env:HOME}",
    "callbacks.best.dirpath=/else",
    "logger.csv.save_dir=../..",
]


@pytest.mark.parametrize("said", HARMFUL_OVERRIDES)
def test_a_sweeps_folder_says_nothing_harmful(said: str, tmp_path: Path) -> None:
    kept = {"task": [], "hydra": ["hydra.mode=MULTIRUN"], "said": [said]}
    kept["hydra" if said.lstrip("+").startswith("hydra") else "task"].append(said)
    text = yaml.safe_dump({"hydra": {"overrides": kept, "runtime": {"cwd": str(tmp_path)}}})
    (tmp_path / "multirun.yaml").write_text(text)
    with pytest.raises(Refusal, match="if the sweep is yours, say so again: ") as refused:
        resumed_sweep([f"sweep.resume={tmp_path}"])
    assert unharmed()
    program, *arguments = shlex.split(str(refused.value).partition("again: ")[2])  # what is printed works
    assert program.endswith("scalian-train")
    assert said in resumed_sweep(arguments)


def test_harmless_sweeps_go_on(tmp_path: Path) -> None:
    task = [
        *["model=vae,autoencoder", "loss.beta=0.5,1", "loss=glob(*)", "model.optimizer.lr=interval(1e-4,1e-2)"],
        *["model.optimizer._target_=torch.optim.Adam,torch.optim.SGD", "dataset.root=../data", "~callbacks.figures"],
        *[
            "init_from=/runs/a",
            "model.network.hidden=[8],[16]",
            "+model.schedule={_target_:scalian_exp.schedules.Cosine}",
        ],
        *["loss.beta=${dataset.in_channels}", "experiment=null", "callbacks.sample_quality.judge=/runs/judge"],
    ]
    hydras = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3"]
    check_overrides(tmp_path, task, [*hydras, "hydra.sweeper.direction=minimize", "hydra/sweeper/sampler=grid"], [])


def test_a_searchs_pruner_is_optunas_and_its_database_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    study = {"storage": f"sqlite:///{tmp_path / 'study.db'}", "study_name": "x", "pruner": None}
    file = tmp_path / "study.json"
    for pruner in (None, {"_target_": "optuna.pruners.MedianPruner"}):
        file.write_text(json.dumps({**study, "pruner": pruner}))
        check_study(tmp_path, ())
    for change, sentence in (
        ({"pruner": {"_target_": "os.system", "command": "true"}}, "part of Python"),
        ({"storage": "mysql://evil/x"}, "sweep.resume="),
    ):
        file.write_text(json.dumps({**study, **change}))
        with pytest.raises(Refusal, match=sentence):
            check_study(tmp_path, ())


def test_plugins_of_the_folder_one_starts_from_are_not_imported(tmp_path: Path) -> None:
    (tmp_path / "hydra_plugins/evil").mkdir(parents=True)
    (tmp_path / "hydra_plugins/evil/__init__.py").write_text(RUN)
    before = sys.path[:]
    try:
        find_own_modules()
        assert sys.path == [*before, str(tmp_path)]
        Plugins.instance()
    finally:
        sys.path[:] = before
    assert unharmed()
