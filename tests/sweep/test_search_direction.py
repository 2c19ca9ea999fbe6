"""What a search optimizes, and in which direction, is known before anything is built."""

import re
from pathlib import Path

import pytest
from commands import invoke

optuna = pytest.importorskip("optuna", reason="the extra 'optuna' isn't installed")
TRAIN = "scalian-train"
SEARCH = (
    *("-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweep.dir=search", "test=false"),
    *("callbacks=minimal", "logger=none", "trainer/accelerator=cpu"),
)
RANKING = ("model=bpr", "dataset=fake_ratings", "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1")


def values_of(folder: Path) -> tuple[str, list[float]]:
    """Return the direction of the study in a search's folder, and the values of its trials."""
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'study.db'}")
    return study.direction.name, [trial.value for trial in study.trials]


def test_a_search_for_the_best_ranking_maximizes_it(tmp_path: Path) -> None:
    code, output = invoke(tmp_path, TRAIN, *SEARCH, *RANKING, "model.network.features=1,8")
    assert code == 0, output
    direction, values = values_of(tmp_path / "search")
    assert direction == "MAXIMIZE"
    assert len({*values}) > 1
    assert re.findall(r"best +trial (\d)", output) == [str(values.index(max(values)))]


def test_a_search_that_was_begun_in_the_wrong_direction_is_refused(tmp_path: Path) -> None:
    """An earlier version minimized rankings."""
    (tmp_path / "search").mkdir()
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'search/study.db'}", study_name="search")
    code, output = invoke(tmp_path, TRAIN, *SEARCH, *RANKING, "model.network.features=1,8")
    assert code == 1
    assert "was begun to minimize its metric, not to maximize it" in output
    assert not (tmp_path / "search/0_model.network.features-1").exists()


def test_models_that_monitor_different_metrics_are_not_compared(tmp_path: Path) -> None:
    given = ("model=multvae,biased_mf", "dataset=fake_ratings", "trainer.max_epochs=1")
    code, output = invoke(tmp_path, TRAIN, *SEARCH, *given)
    assert code == 1
    assert "These models monitor different metrics, val/ndcg_at_10 and val/rmse" in " ".join(output.split())
