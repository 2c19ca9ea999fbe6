"""A search asks Optuna for trials, and can be killed and resumed."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
from commands import QUICK, command
from hydra.core.override_parser.overrides_parser import OverridesParser

from scalian_exp.callbacks.pruning import Pruning
from scalian_exp.folders import PRUNED, STUDY
from scalian_exp.refusal import Refusal
from scalian_exp.study_database import database_of
from scalian_exp.sweep.search_space import distribution, values
from scalian_exp.trust import check_study

event = pytest.importorskip("sqlalchemy.event")
Engine = pytest.importorskip("sqlalchemy.engine").Engine
optuna = pytest.importorskip("optuna", reason="the extra 'optuna' isn't installed")
SEARCH = [
    *QUICK,
    *["model=vae", "hydra/sweeper=optuna", "hydra.sweep.dir=search", "test=false"],
    "model.optimizer.lr=tag(log,interval(1e-4,1e-2))",
    "loss.warmup_epochs=0,1",
]


def study(folder: Path) -> Any:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'study.db'}")


def trials(folder: Path) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state.name, trial.params, trial.value) for trial in study(folder).trials]


def distribution_of(override: str) -> Any:
    return distribution(OverridesParser.create().parse_override(override))


def test_sweeps_become_distributions() -> None:
    kinds = optuna.distributions
    assert distribution_of("a=interval(0.5,2)") == kinds.FloatDistribution(0.5, 2.0)
    assert distribution_of("a=tag(log,interval(1e-4,1.0))") == kinds.FloatDistribution(1e-4, 1.0, log=True)
    assert distribution_of("a=int(interval(1,4))") == kinds.IntDistribution(1, 4)
    assert distribution_of("a=range(1,8,3)") == kinds.IntDistribution(1, 7, step=3)
    assert distribution_of("a=1,x,[2,3],true") == kinds.CategoricalDistribution([1, "x", "[2,3]", True])
    assert values("a", distribution_of("a=range(1,8,3)")) == [1, 4, 7]
    for override in ("a=tag(log,interval(0,4))", "a=interval(2,1)"):
        with pytest.raises(Refusal, match="can't be searched"):
            distribution_of(override)
    with pytest.raises(Refusal, match="interval a; list its values"):
        values("a", distribution_of("a=interval(0.5,2)"))


def no_more_pages(connection: Any, _: Any) -> None:
    """Limit the database's size, which makes SQLite report a full disk."""
    connection.execute("PRAGMA max_page_count = 2")


@pytest.mark.parametrize(
    ("blocked", "sentence"),
    [
        ("a folder", "the file can't be opened"),
        ("other bytes", "it is damaged; restore it from a copy"),
        ("a full disk", "no space is left on the disk; free some"),
    ],
)
def test_an_unusable_database_is_refused(blocked: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "search/study.db"
    file.parent.mkdir()
    if blocked == "a folder":
        file.mkdir()
    elif blocked == "other bytes":
        file.write_bytes(bytes(range(256)) * 20)
    else:
        event.listen(Engine, "connect", no_more_pages)
    try:
        result = command("-m", *SEARCH, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    finally:
        if blocked == "a full disk":
            event.remove(Engine, "connect", no_more_pages)
    assert result.returncode == 1
    assert f"{file}, which stores the search's trials: {sentence}" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
def test_a_search_in_two_parts_gives_the_same_trials(tmp_path: Path) -> None:
    """The second part begins with a trial without a result, as if its job had been killed."""
    (tmp_path / "straight").mkdir()
    (tmp_path / "parts").mkdir()
    result = command("-m", *SEARCH, "hydra.sweeper.n_trials=5", cwd=tmp_path / "straight")
    assert result.returncode == 0, result.stderr
    expected = trials(tmp_path / "straight/search")
    assert [state for _, state, _, _ in expected] == ["COMPLETE"] * 5
    best = min(expected, key=lambda trial: trial[3])
    assert f"trial {best[0]} of 5" in result.stdout
    assert f"model.optimizer.lr={best[2]['model.optimizer.lr']}" in result.stdout
    assert (tmp_path / "straight/search/importances.png").exists()

    assert command("-m", *SEARCH, "hydra.sweeper.n_trials=2", cwd=tmp_path / "parts").returncode == 0
    folder = tmp_path / "parts/search"
    opened = study(folder)
    opened.sampler = optuna.samplers.TPESampler(seed=2, n_startup_trials=10, multivariate=True)
    opened.ask({"model.optimizer.lr": distribution_of(SEARCH[-2]), "loss.warmup_epochs": distribution_of(SEARCH[-1])})
    assert trials(folder)[2][1] == "RUNNING"
    result = command("sweep.resume=search", "hydra.sweeper.n_trials=5", cwd=tmp_path / "parts")
    assert result.returncode == 0, result.stderr
    assert trials(folder) == expected


def test_a_failed_trial_stays_open(tmp_path: Path) -> None:
    overrides = [*SEARCH[:-2], "model.network.latent_dim=2,2000000000", "hydra/sweeper/sampler=grid"]
    result = command("-m", *overrides, cwd=tmp_path)
    assert result.returncode == 1
    assert "latent_dim" in (next((tmp_path / "search").glob("*/error.txt"))).read_text()
    assert sorted(state for _, state, _, _ in trials(tmp_path / "search")) == ["COMPLETE", "RUNNING"]


def test_hopeless_trials_end_early(tmp_path: Path) -> None:
    grid = ["model.optimizer.lr=1e-2,1e-7", "hydra/sweeper/sampler=grid", "hydra.sweeper.sampler.seed=1"]
    pruner = ["hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=1"]
    overrides = [override for override in SEARCH[:-2] if not override.startswith(("callbacks", "trainer.max_epochs"))]
    epochs = ["trainer.max_epochs=6", "callbacks=[pruning,ema]", "callbacks.figures=null"]
    done = command("-m", *overrides, *grid, *pruner, *epochs, cwd=tmp_path)
    assert done.returncode == 0
    assert re.search(r"^best .*\ncommand .* callbacks=ema ", done.stdout, re.MULTILINE)
    assert command("search", cwd=tmp_path, module="report").returncode == 0
    by_rate = {trial.params["model.optimizer.lr"]: trial for trial in study(tmp_path / "search").trials}
    assert by_rate[1e-2].state.name == "COMPLETE"
    assert by_rate[1e-7].state.name == "PRUNED"
    assert by_rate[1e-7].user_attrs[PRUNED]
    assert max(by_rate[1e-7].intermediate_values) < 6


def test_searches_without_a_search_space_or_study_are_refused(tmp_path: Path) -> None:
    nothing = command("-m", *SEARCH[:-2], cwd=tmp_path)
    assert nothing.returncode == 1
    assert "nothing to search" in nothing.stderr
    assert "for trials of a search" in command(*QUICK[1:], "model=vae", "callbacks=pruning", cwd=tmp_path).stderr
    (tmp_path / STUDY).write_text("{")
    with pytest.raises(Refusal, match=rf"{STUDY} is damaged"):
        Pruning(tmp_path / "0_lr-0.1", "val/loss")


@pytest.mark.parametrize("times", [{"val_check_interval": 0.5}, {"check_val_every_n_epoch": None}])
def test_pruning_takes_one_validation_of_an_epoch(times: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / STUDY).write_text("{}")
    pruning = Pruning(tmp_path / "0_lr-0.1", "val/loss")
    once = {"check_val_every_n_epoch": 1, "val_check_interval": 1.0}
    pruning.setup(SimpleNamespace(**once), pl.LightningModule(), "fit")
    with pytest.raises(Refusal, match="compares trials at the ends of epochs"):
        pruning.setup(SimpleNamespace(**once | times), pl.LightningModule(), "fit")


@pytest.mark.slow
def test_a_search_that_was_killed_and_resumed_has_exactly_the_requested_trials(tmp_path: Path) -> None:
    arguments = ["-m", *SEARCH, "hydra.sweeper.n_trials=12"]
    for moment in ("1_*/checkpoints/*.ckpt", "5_*/metrics.json", "9_*/.hydra/config.yaml"):
        running = subprocess.Popen(
            [sys.executable, "-m", "scalian_exp.train", *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        while not any((tmp_path / "search").glob(moment)) and running.poll() is None:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, f"it ended before {moment}"
        arguments = ["sweep.resume=search"]
    assert command(*arguments, cwd=tmp_path).returncode == 0
    result = trials(tmp_path / "search")
    assert [(number, state) for number, state, _, _ in result] == [(number, "COMPLETE") for number in range(12)]
    (tmp_path / "straight").mkdir()
    assert command("-m", *SEARCH, "hydra.sweeper.n_trials=12", cwd=tmp_path / "straight").returncode == 0
    assert trials(tmp_path / "straight/search") == result


def test_a_searchs_database_is_recognised_through_links(tmp_path: Path) -> None:
    """A search that was started through a link can be resumed from the folder itself, and vice versa."""
    real, link = tmp_path / "real/search", tmp_path / "link"
    real.mkdir(parents=True)
    link.symlink_to("real")
    for started, resumed in ((link / "search", real), (real, link / "search")):
        (real / STUDY).write_text(json.dumps({"storage": database_of(started), "study_name": "s", "pruner": None}))
        check_study(resumed, ())
    for elsewhere in ("postgresql://host/study", f"sqlite:///{tmp_path}/study.db", None):
        (real / STUDY).write_text(json.dumps({"storage": elsewhere, "study_name": "s", "pruner": None}))
        with pytest.raises(Refusal, match="names a database outside its folder"):
            check_study(real, ())
