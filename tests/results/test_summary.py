"""Means and deviations over the repetitions of a sweep's jobs, and the overrides in which jobs differ."""

import json
import statistics
from pathlib import Path

import pytest
from sweeps import write_sweep
from tools import read_csv, tiny

from scalian_exp.results.highlights import cards
from scalian_exp.results.rows import means, most_shared, names_of, read_jobs, rows
from scalian_exp.results.summary import Summary, summarise, summary_of, with_deviations
from scalian_exp.run.training import train

FOLDS = ["dataset.split=u1", "dataset.split=u2", "dataset.split=u3"]
VALUES = {"a": [1.0, 2.0, 4.0], "b": [3.0, 5.0, None]}


def test_means_over_folds_for_each_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [
        ([f"model={model}", fold], value)
        for model, values in VALUES.items()
        for fold, value in zip(FOLDS, values, strict=True)
    ]
    write_sweep(tmp_path, jobs, ["seed", "dataset.split"])
    assert summarise(tmp_path, "go on") == 1
    assert len(read_csv(tmp_path / "summary.csv")) == 6
    first, second = read_csv(tmp_path / "summary_means.csv")
    assert (first["model"], first["jobs"], second["model"], second["jobs"]) == ("a", "3", "b", "2")
    assert float(first["test/rmse"]) == pytest.approx(7 / 3)
    assert float(first["test/rmse ±"]) == pytest.approx(statistics.stdev([1, 2, 4]))
    assert float(second["test/rmse"]) == pytest.approx(4)
    assert float(second["test/rmse ±"]) == pytest.approx(2**0.5)
    assert float(first["best val/rmse"]) == pytest.approx(7 / 6)
    assert "| a | 3 | 1.1667 ± 0.76 | 2.3333 ± 1.5 |" in (tmp_path / "summary.md").read_text()
    assert "mean ± deviation over dataset.split" in capsys.readouterr().out


def test_means_say_of_how_many_jobs_they_are() -> None:
    """NaN is stored as null: the test of a fold may have nothing to average."""
    values = [0.9, None, 0.7, 1.0, 1.0, 1.0]
    table = [
        {"status": "finished", "model": "ab"[n // 3], "seed": n % 3, "test/miou": value, "test/loss": 1.0}
        for n, value in enumerate(values)
    ]
    first, second = means(table, ["model"], ["test/miou", "test/loss"])
    assert (first["jobs"], first["test/miou"], first["test/miou jobs"]) == (3, pytest.approx(0.8), 2)
    assert second["test/miou jobs"] == 3
    assert "test/loss jobs" not in first
    texts = with_deviations([first, second])
    assert [text["test/miou"] for text in texts] == ["0.8 ± 0.14 (2 of 3 jobs)", "1 ± 0"]
    assert [*texts[0]] == ["model", "jobs", "test/miou", "test/loss"]
    (card,) = (
        each for each in cards(Summary(table, ["model", "seed"], ["model"], ["test/miou"], [first]), [*"abcdef"])
    )
    assert (card.value, card.among) == ("0.8", "mean of 2 runs over seed, 1 without a value")


def test_a_best_value_that_counts_epochs_is_no_result(tmp_path: Path) -> None:
    """A DBN's best checkpoint is its latest, by val/epochs_trained."""
    common = {"overrides": {}, "repeats": []}
    outcomes = [
        {"status": "finished", "monitor": "val/epochs_trained", "best": 6.0, "test/free_energy": -3.0},
        {"status": "finished", "monitor": "val/rmse", "best": 0.9, "test/rmse": 1.0},
    ]
    stack, other = rows([{"folder": tmp_path / str(n), **common, "outcome": o} for n, o in enumerate(outcomes)])
    assert not any("epochs_trained" in name for name in stack)
    assert stack["test/free_energy"] == -3
    assert other["best val/rmse"] == 0.9


def test_the_table_of_a_dbn_does_not_count_its_epochs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = train(tiny("dbn", "model.network.hidden=[4]"), tmp_path / "dbn")
    printed = capsys.readouterr().out
    assert metrics["best"] == 1
    assert "psnr_one_pass" in printed
    assert "epochs_trained" not in printed
    assert "best" not in printed
    train(tiny("vae"), tmp_path / "vae")
    assert "val/loss" in capsys.readouterr().out
    folders = [{"folder": tmp_path / name} for name in ("dbn", "vae", "none")]
    assert names_of(folders) == "DeepBeliefNetwork, DenseVAE on FakeImages"


def test_a_sweep_of_repetitions_alone_has_one_mean(tmp_path: Path) -> None:
    write_sweep(
        tmp_path, [([fold], value) for fold, value in zip(FOLDS, (1.0, 2.0, 3.0), strict=True)], ["dataset.split"]
    )
    assert summarise(tmp_path, "go on") == 0
    (line,) = read_csv(tmp_path / "summary_means.csv")
    assert (line["jobs"], float(line["test/rmse"]), float(line["test/rmse ±"])) == ("3", 2, 1)


def test_there_are_no_means_over_jobs_that_differ(tmp_path: Path) -> None:
    write_sweep(tmp_path, [([fold], 1.0) for fold in FOLDS], ["seed"])
    summarise(tmp_path, "go on")
    assert not (tmp_path / "summary_means.csv").exists()
    assert "±" not in (tmp_path / "summary.md").read_text()


def test_there_are_no_means_of_failed_jobs(tmp_path: Path) -> None:
    write_sweep(tmp_path, [([fold], None) for fold in FOLDS], ["dataset.split"])
    assert summarise(tmp_path, "go on") == 3
    assert not (tmp_path / "summary_means.csv").exists()


def test_the_summary_shows_which_jobs_ended_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep(tmp_path, [([f"model.optimizer.lr={rate}"], 1.0) for rate in (0.1, 0.2)], ["seed"])
    for epochs, shown in (((10, 10), False), ((10, 4), True)):
        for number, count in enumerate(epochs):
            file = tmp_path / f"{number}_job/metrics.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), "epochs": count}))
        summarise(tmp_path, "go on")
        assert (" epochs " in capsys.readouterr().out) == shown


RESULTS = {
    "biased_mf": {"monitor": "val/rmse", "best": 0.9, "test/loss": 3.0, "test/rmse": 0.95, "test/ndcg_at_10": 0.2},
    "autorec": {"monitor": "val/rmse", "best": 0.8, "test/loss": 2.0, "test/rmse": 0.85, "test/ndcg_at_10": 0.25},
    "popularity": {"monitor": "val/ndcg_at_10", "best": 0.3, "test/loss": 1.0, "test/ndcg_at_10": 0.3},
    "rbm": {"monitor": "val/epochs_trained", "best": 6.0, "test/loss": -9.0, "test/reconstruction_error": 4.5},
    "unet": {"monitor": "val/miou", "best": 0.4, "test/loss": 0.1, "test/miou": 0.5, "test/pixel_accuracy": 0.75},
    "text": {"monitor": "val/loss", "best": 0.1, "test/loss": 0.2},
}


@pytest.mark.parametrize(
    ("models", "columns"),
    [
        (
            ["biased_mf", "autorec", "popularity"],
            ["best val/rmse", "best val/ndcg_at_10", "test/rmse", "test/ndcg_at_10"],
        ),
        (["rbm", "unet"], ["best val/miou", "test/reconstruction_error", "test/miou"]),
        (["biased_mf", "autorec"], ["best val/rmse", "test/rmse", "test/ndcg_at_10"]),
        (["text", "unet"], ["best val/miou", "test/miou"]),
    ],
)
def test_models_of_different_metrics_show_each_its_own(
    models: list[str], columns: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sweep(tmp_path, [([f"model={model}"], 0.0) for model in models], ["seed"])
    for number, model in enumerate(models):
        values = {"status": "finished", "epochs": 6, "seconds_per_epoch": 1.0, **RESULTS[model]}
        (tmp_path / f"{number}_job/metrics.json").write_text(json.dumps(values))
    summary = summary_of(read_jobs(tmp_path))
    assert sorted(summary.metrics) == sorted(columns)
    for number, model in enumerate(models):
        shown = {name: summary.rows[number][name] for name in columns if summary.rows[number][name] is not None}
        assert set(shown.values()) <= set(RESULTS[model].values()), "nothing of another model"
    summarise(tmp_path, "go on")
    printed = capsys.readouterr().out
    assert all(name.removeprefix("test/") in printed for name in columns)
    assert "epochs_trained" not in printed


def test_quality_over_cost_is_drawn_of_the_metric_that_most_models_have() -> None:
    table = [{"best val/miou": None, "test/rmse": value, "test/miou": None} for value in (0.9, 0.8)]
    table.append({"best val/miou": 0.5, "test/rmse": None, "test/miou": 0.5})
    assert most_shared(table, ["best val/miou", "test/rmse", "test/miou"]) == "test/rmse"
    assert most_shared(table[2:], ["best val/miou", "test/miou"]) == "test/miou"
