"""A search asks Optuna what to try, and can be killed and gone on with."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
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


def of(word: str) -> Any:
    return distribution(OverridesParser.create().parse_override(word))


def test_sweeps_become_distributions() -> None:
    kinds = optuna.distributions
    assert of("a=interval(0.5,2)") == kinds.FloatDistribution(0.5, 2.0)
    assert of("a=tag(log,interval(1e-4,1.0))") == kinds.FloatDistribution(1e-4, 1.0, log=True)
    assert of("a=int(interval(1,4))") == kinds.IntDistribution(1, 4)
    assert of("a=range(1,8,3)") == kinds.IntDistribution(1, 7, step=3)
    assert of("a=1,x,[2,3],true") == kinds.CategoricalDistribution([1, "x", "[2,3]", True])
    assert values("a", of("a=range(1,8,3)")) == [1, 4, 7]
    for word in ("a=tag(log,interval(0,4))", "a=interval(2,1)"):
        with pytest.raises(Refusal, match="can't be searched"):
            of(word)
    with pytest.raises(Refusal, match="interval a; list its values"):
        values("a", of("a=interval(0.5,2)"))


def no_more_pages(connection: Any, _: Any) -> None:
    """SQLite says the same of a database that may grow no more as of a full disk."""
    connection.execute("PRAGMA max_page_count = 2")


@pytest.mark.parametrize(
    ("blocked", "sentence"),
    [
        ("a folder", "the file can't be opened"),
        ("other bytes", "it is damaged; restore it from a copy"),
        ("a full disk", "no space is left on the disk; free some"),
    ],
)
def test_a_database_that_cannot_be_used_is_told(blocked: str, sentence: str, tmp_path: Path) -> None:
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


def test_a_search_comes_to_the_same_end_in_two_parts(tmp_path: Path) -> None:
    """Of the second part, one trial has no result, as if its job had been killed."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    result = command("-m", *SEARCH, "hydra.sweeper.n_trials=5", cwd=tmp_path / "whole")
    assert result.returncode == 0, result.stderr
    whole = trials(tmp_path / "whole/search")
    assert [state for _, state, _, _ in whole] == ["COMPLETE"] * 5
    best = min(whole, key=lambda trial: trial[3])
    assert f"trial {best[0]} of 5" in result.stdout
    assert f"model.optimizer.lr={best[2]['model.optimizer.lr']}" in result.stdout
    assert (tmp_path / "whole/search/importances.png").exists()

    assert command("-m", *SEARCH, "hydra.sweeper.n_trials=2", cwd=tmp_path / "parts").returncode == 0
    folder = tmp_path / "parts/search"
    opened = study(folder)
    opened.sampler = optuna.samplers.TPESampler(seed=2, n_startup_trials=10, multivariate=True)
    opened.ask({"model.optimizer.lr": of(SEARCH[-2]), "loss.warmup_epochs": of(SEARCH[-1])})
    assert trials(folder)[2][1] == "RUNNING"
    result = command("sweep.resume=search", "hydra.sweeper.n_trials=5", cwd=tmp_path / "parts")
    assert result.returncode == 0, result.stderr
    assert trials(folder) == whole


def test_a_failed_trial_stays_open(tmp_path: Path) -> None:
    words = [*SEARCH[:-2], "model.network.latent_dim=2,-1", "hydra/sweeper/sampler=grid"]
    result = command("-m", *words, cwd=tmp_path)
    assert result.returncode == 1
    assert "latent_dim" in (next((tmp_path / "search").glob("*/error.txt"))).read_text()
    assert sorted(state for _, state, _, _ in trials(tmp_path / "search")) == ["COMPLETE", "RUNNING"]


def test_hopeless_trials_end_early(tmp_path: Path) -> None:
    grid = ["model.optimizer.lr=1e-2,1e-7", "hydra/sweeper/sampler=grid", "hydra.sweeper.sampler.seed=1"]
    pruner = ["hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=1"]
    words = [word for word in SEARCH[:-2] if not word.startswith(("callbacks", "trainer.max_epochs"))]
    epochs = ["trainer.max_epochs=6", "callbacks=pruning", "callbacks.figures=null"]
    assert command("-m", *words, *grid, *pruner, *epochs, cwd=tmp_path).returncode == 0
    found = {trial.params["model.optimizer.lr"]: trial for trial in study(tmp_path / "search").trials}
    assert found[1e-2].state.name == "COMPLETE"
    assert found[1e-7].state.name == "PRUNED"
    assert found[1e-7].user_attrs[PRUNED]
    assert max(found[1e-7].intermediate_values) < 6


def test_what_is_no_search_is_refused(tmp_path: Path) -> None:
    nothing = command("-m", *SEARCH[:-2], cwd=tmp_path)
    assert nothing.returncode == 1
    assert "nothing to search" in nothing.stderr
    assert "for trials of a search" in command(*QUICK[1:], "model=vae", "callbacks=pruning", cwd=tmp_path).stderr
    (tmp_path / STUDY).write_text("{")
    with pytest.raises(Refusal, match=rf"{STUDY} is damaged"):
        Pruning(tmp_path / "0_lr-0.1", "val/loss")


@pytest.mark.slow
def test_killed_and_gone_on_with_it_has_exactly_the_trials_that_were_asked_for(tmp_path: Path) -> None:
    words = ["-m", *SEARCH, "hydra.sweeper.n_trials=12"]
    for moment in ("1_*/checkpoints/*.ckpt", "5_*/metrics.json", "9_*/.hydra/config.yaml"):
        running = subprocess.Popen(
            [sys.executable, "-m", "scalian_exp.train", *words], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        while not any((tmp_path / "search").glob(moment)) and running.poll() is None:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, f"it ended before {moment}"
        words = ["sweep.resume=search"]
    assert command(*words, cwd=tmp_path).returncode == 0
    found = trials(tmp_path / "search")
    assert [(number, state) for number, state, _, _ in found] == [(number, "COMPLETE") for number in range(12)]
    (tmp_path / "whole").mkdir()
    assert command("-m", *SEARCH, "hydra.sweeper.n_trials=12", cwd=tmp_path / "whole").returncode == 0
    assert trials(tmp_path / "whole/search") == found


def test_a_database_is_its_searchs_whatever_links_lead_there(tmp_path: Path) -> None:
    """A trial of a search that was started through a link goes on from the folder itself, and the other way round."""
    real, link = tmp_path / "real/search", tmp_path / "link"
    real.mkdir(parents=True)
    link.symlink_to("real")
    for started, gone_on in ((link / "search", real), (real, link / "search")):
        (real / STUDY).write_text(json.dumps({"storage": database_of(started), "study_name": "s", "pruner": None}))
        check_study(gone_on, ())
    for elsewhere in ("postgresql://host/study", f"sqlite:///{tmp_path}/study.db", None):
        (real / STUDY).write_text(json.dumps({"storage": elsewhere, "study_name": "s", "pruner": None}))
        with pytest.raises(Refusal, match="names a database outside its folder"):
            check_study(real, ())
