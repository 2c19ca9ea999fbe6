"""A stranger's run folder and sweep run none of the code that they name."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from harm import MARKER, RUN, unharmed
from hydra.core.plugins import Plugins
from tools import tiny

from scalian_exp.commandline.app import find_own_modules
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.sweep.resume import resumed_sweep
from scalian_exp.sweep.stored_overrides import check_overrides
from scalian_exp.trust import arguments_to_resume, check_study

pytestmark = pytest.mark.usefixtures("evil_files")


def run_folder(folder: Path, config: dict[str, Any]) -> Path:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints/last.ckpt").touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


HARMFUL_VALUES: list[tuple[str, Any, str]] = [
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
    (
        "logger",
        {"x": {"_target_": "scalian_exp.loggers.wandb.WandB", "entity": "evil"}},
        "somebody's account; if that is what you want, add logger.x.entity=evil",
    ),
    (
        "logger",
        {"x": {"_target_": "scalian_exp.loggers.mlflow.MLflow", "tracking_uri": "http://evil:80"}},
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


@pytest.mark.parametrize(("key", "value", "sentence"), HARMFUL_VALUES)
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


def test_what_the_user_passes_on_the_command_line_is_trusted(tmp_path: Path) -> None:
    config = tiny("autoencoder")
    config["callbacks"]["best"]["dirpath"] = str(tmp_path / "else")
    config["callbacks"]["mine"] = {"_target_": "mine.Callback"}
    config["trust"] = ["mine"]  # a file can't declare itself trusted
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
        sys.modules.pop("mine", None)
    inside = tiny("autoencoder")
    inside["callbacks"]["best"]["dirpath"] = str(tmp_path / "run/else")
    assert "trust" not in resumed([f"resume={run_folder(folder, inside)}"])[0]


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_a_tracked_run_resumes_without_being_vouched_for(name: str, tmp_path: Path) -> None:
    assert arguments_to_resume(tiny("autoencoder", f"logger={name}"), tmp_path) == []


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


@pytest.mark.parametrize("override", HARMFUL_OVERRIDES)
def test_harmful_overrides_of_a_sweeps_folder_are_refused(override: str, tmp_path: Path) -> None:
    overrides = {"task": [], "hydra": ["hydra.mode=MULTIRUN"]}
    overrides["hydra" if override.lstrip("+").startswith("hydra") else "task"].append(override)
    text = yaml.safe_dump({"hydra": {"overrides": overrides, "runtime": {"cwd": str(tmp_path)}}})
    (tmp_path / "multirun.yaml").write_text(text)
    with pytest.raises(Refusal, match="if the sweep is yours, repeat it: ") as refused:
        resumed_sweep([f"sweep.resume={tmp_path}"])
    assert unharmed()
    program, *arguments = shlex.split(str(refused.value).partition("repeat it: ")[2])  # the printed command works
    assert program.endswith("scalian-train")
    assert override in resumed_sweep(arguments)


def test_harmless_overrides_of_a_sweep_are_accepted(tmp_path: Path) -> None:
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


def test_a_searchs_pruner_must_be_optunas_and_its_database_in_its_folder(tmp_path: Path) -> None:
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


def test_hydra_plugins_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
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
