"""The table of likelihoods says what each figure is, and compares only comparable runs."""

import html
import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import command

from scalian_exp.refusal import Refusal
from scalian_exp.report import main
from scalian_exp.results.likelihoods import compared, likelihood, print_likelihoods
from scalian_exp.results.rows import means
from scalian_exp.results.summary import as_markdown, print_rows, with_deviations
from scalian_exp.run.record import print_table

BINARY = {"_target_": "BinarizedMNIST", "provides": ["images", "binary"], "batch_size": 10, "image_size": [28, 28]}


def run(folder: Path, metrics: dict[str, Any], **dataset: Any) -> Path:
    """Write a run folder with these test metrics."""
    folder.mkdir()
    config: dict[str, Any] = {"dataset": {**BINARY, **dataset}, "trainer": {"max_epochs": 4}}
    config["model"] = {"_target_": "tasks.Task", "network": {"_target_": f"networks.{folder.name}"}}
    config["loss"] = {"_target_": "losses.Loss"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    facts = {"status": "finished", "parameters": 1000, "seconds_per_epoch": 30.0, "epochs": 4}
    (folder / "metrics.json").write_text(json.dumps({**facts, **metrics}))
    return folder


def test_the_tightest_known_figure_is_shown_with_its_kind() -> None:
    vae = likelihood({"test/neg_elbo": 96.0, "test/nll_bound_iw5000": 90.9})
    assert vae is not None
    assert (vae.nats, vae.sign, vae.how) == (90.9, "≤", "bound by 5000 importance samples")
    ais = {
        "test/log_likelihood_ais": -89.9,
        "test/log_likelihood_ais_low": -90.5,
        "test/log_likelihood_ais_high": -89.5,
    }
    rbm = likelihood({**ais, "test/ais_effective_runs": 40.0, "test/ais_reliable": 1.0})
    assert rbm == (89.9, "≈", "log Z by annealed importance sampling", (89.5, 90.5), True)
    bound = {name.replace("likelihood", "likelihood_bound"): value for name, value in ais.items()}
    dbn = likelihood({**bound, "test/ais_effective_runs": 29.9, "test/ais_reliable": 0.0})
    assert dbn is not None
    assert (dbn.nats, dbn.sign, dbn.interval) == (89.9, "≲", (89.5, 90.5))
    assert dbn.how.endswith("unreliable: 29.9 effective runs")
    contradicted = likelihood({**ais, "test/ais_effective_runs": 90.0, "test/ais_reliable": 0.0})
    assert contradicted is not None
    assert contradicted.how.endswith("unreliable: contradicted by the reverse runs")
    unknown = likelihood({**ais, "test/log_likelihood_ais_low": None})  # JSON can't represent infinity
    assert unknown is not None
    assert unknown.interval == (89.5, math.inf)
    assert likelihood({"test/nll": 81.3, "test/bits_per_dim": 0.15}) == (81.3, "=", "exact", None, False)
    assert likelihood({"test/psnr": 20.0}) is None


def test_the_standard_errors_of_older_runs_become_intervals() -> None:
    older = {"test/log_likelihood_ais": -90.0, "test/ais_standard_error": 0.1, "test/ais_effective_runs": 50.0}
    rbm = likelihood(older)
    assert rbm is not None
    assert rbm.interval == pytest.approx((90 + math.log(0.7), 90 - math.log(0.7)))
    rough = likelihood({**older, "test/ais_standard_error": 1.0, "test/ais_effective_runs": 5.0})
    assert rough is not None
    assert rough.interval == pytest.approx((90 + math.log(0.00135), math.inf))
    assert rough.how.endswith("unreliable: 5.0 effective runs")


def test_unreliable_estimates_are_marked_in_every_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = {"test/log_likelihood_ais": -90.0, "test/log_partition": 500.0, "test/loss": 1.0}
    good, bad = ({**metrics, "test/ais_effective_runs": runs} for runs in (30.0, 29.0))
    for values, marks in ((good, 0), (bad, 2)):
        print_table("Test", values)
        assert capsys.readouterr().out.count("unreliable: 29.0 effective runs") == marks
        print_rows("1 job", list(values), [values])
        printed, written = capsys.readouterr().out, as_markdown(list(values), [values])
        assert printed.count("unreliable") == written.count("(unreliable)") == marks
    repeats = [{"status": "finished", "test/ais_reliable": float(row), **good} for row in (True, False)]
    (averages,) = with_deviations(means(repeats, [], [*good, "test/ais_reliable"]))
    assert averages["test/log_likelihood_ais"] == "-90 (unreliable) ± 0"  # one of the two is
    rbm = run(tmp_path / "RBM", {**bad, "test/log_likelihood_ais_low": -91.0, "test/log_likelihood_ais_high": -89.0})
    monkeypatch.setattr("sys.argv", ["scalian-report", "likelihoods", str(rbm)])
    main()
    out = " ".join(capsys.readouterr().out.split())
    assert "≈ 90.00 (89.00 to 91.00)" in out
    assert "29.0 effective runs" in out


def test_the_table_shows_the_number_of_training_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cnn = run(tmp_path / "PixelCNN", {"test/nll": 85.0, "training_examples": 58_000})
    older = run(tmp_path / "VAE", {"test/neg_elbo": 96.0, "samples_per_second": 50_000 / 30})
    oldest = run(tmp_path / "RNN", {"test/nll": 84.0})
    monkeypatch.setattr("sys.argv", ["scalian-report", "likelihoods", str(cnn), str(older), str(oldest)])
    main()
    lines = capsys.readouterr().out.splitlines()
    for name, count in (("PixelCNN", "58,000"), ("VAE", "50,000"), ("RNN", "?")):
        (line,) = [line for line in lines if f" {name} " in line and "│" in line]
        assert f" {count} " in line


def test_the_table_is_sorted_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vae = run(tmp_path / "VAE", {"test/neg_elbo": 96.0}, batch_size=50)
    cnn = run(tmp_path / "PixelCNN", {"test/nll": 85.125})
    assert [name for name, _, _ in compared([vae, cnn])] == ["PixelCNN", "VAE"]
    monkeypatch.setattr("sys.argv", ["scalian-report", "likelihoods", str(vae), str(cnn)])
    main()
    out = capsys.readouterr().out
    assert out.index("= 85.12") < out.index("≤ 96.00")
    assert "2 min" in out


def test_a_time_that_is_not_finite_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_likelihoods([run(tmp_path / "a", {"test/neg_elbo": 90.0, "seconds_per_epoch": math.nan})])
    out = capsys.readouterr().out
    assert re.search(r"1,000 │ +\? │", out), out


def test_jobs_that_failed_are_left_out_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "VAE", {"test/neg_elbo": 96.0})
    failed = tmp_path / "1_failed"
    (failed / ".hydra").mkdir(parents=True)
    (failed / ".hydra/overrides.yaml").write_text("[]")
    (failed / "error.txt").write_text("loss=mse is for autoencoders")
    monkeypatch.setattr("sys.argv", ["scalian-report", "likelihoods", str(tmp_path)])
    main()
    out = capsys.readouterr().out
    assert "≤ 96.00" in out
    assert "left out because they failed" in out
    monkeypatch.setattr("sys.argv", ["scalian-report", "likelihoods", str(failed)])
    with pytest.raises(SystemExit, match="All of these jobs failed"):
        main()


def test_runs_of_one_model_are_distinguished_by_their_folders(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, second = run(tmp_path / "VAE", {"test/neg_elbo": 96.0}), run(tmp_path / "again/VAE", {"test/neg_elbo": 95.0})
    second = second.rename(tmp_path / "again/second")
    assert [name for name, _, _ in compared([first, second])] == ["VAE: second", "VAE: VAE"]


def test_incomparable_runs_are_refused(tmp_path: Path) -> None:
    vae = run(tmp_path / "VAE", {"test/neg_elbo": 96.0})
    for metrics, dataset, sentence in (
        ({"test/neg_elbo": 90.0}, {"_target_": "DynamicMNIST"}, "different images"),
        ({"test/neg_elbo": 90.0}, {"provides": ["images"]}, "of grey pixels"),
        ({"test/mse": 90.0}, {}, "no likelihood"),
        ({"status": "interrupted"}, {}, "resume="),
    ):
        other = run(tmp_path / f"other{len(list(tmp_path.iterdir()))}", metrics, **dataset)
        with pytest.raises(Refusal, match=sentence):
            compared([vae, other])


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    result = command(str(tmp_path), cwd=tmp_path, module="report")
    assert result.returncode == 1
    assert "holds no run" in result.stderr


def test_a_page_about_a_run_begun_in_python_repeats_it_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path / "it's first", {"test/loss": 1.5})
    monkeypatch.setattr("sys.argv", ["scalian-report", str(folder)])
    main()
    text = (folder / "report.html").read_text()
    [shown] = re.findall("<code>(.*?)</code>", text)
    repeated: list[Any] = []
    monkeypatch.setattr("scalian_exp.train", lambda config, place: repeated.extend([config, place]))
    exec(shlex.split(html.unescape(shown))[2])
    assert "1.5" in text
    assert repeated == [yaml.safe_load((folder / "config.yaml").read_text()), f"{folder}_again"]
