"""Runs in trackio's database, read back through its API."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tools import read_csv, tiny
from written import pixels

from scalian_exp.run.training import train

pytest.importorskip("gradio_client", reason="pip install '.[trackio]'")


@pytest.fixture
def trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import trackio anew, with its database in a folder of the test: it chooses the folder when it is imported."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, name)
    return pytest.importorskip("trackio", reason="pip install '.[trackio]'")


@pytest.mark.slow
def test_a_run_is_in_the_database_and_resumed_there(trackio: Any, tmp_path: Path) -> None:
    config = tiny("vae", "logger=[csv,trackio]", "callbacks=default", "callbacks.figures.every_n_epochs=1")
    config["trainer"]["max_epochs"] = 2
    stopped = {
        **config,
        "callbacks": {**config["callbacks"], "x": {"_target_": "interruptions.Ends", "by": "interruption"}},
    }
    with pytest.raises(SystemExit):
        train(stopped, tmp_path / "first")
    (run,) = trackio.Api().runs("scalian_exp")
    assert [alert["title"] for alert in run.alerts()] == ["interrupted"]
    train(config, tmp_path / "first")
    (again,) = trackio.Api().runs("scalian_exp")
    assert again.id == run.id
    assert (
        again.name
        == "DenseVAE on FakeImages, first"
        == json.loads((tmp_path / "first/tracking.json").read_text())["trackio"]
    )
    assert again.config["model"]["network"]["latent_dim"] == 2
    assert len(again.alerts()) == 1
    logs = trackio.SQLiteStorage.get_logs("scalian_exp", again.name, run_id=again.id)
    for row in read_csv(tmp_path / "first/csv/metrics.csv"):
        expected = {name: float(value) for name, value in row.items() if value and name not in ("step", "epoch")}
        assert any(
            log["step"] == int(row["step"]) and all(log.get(k) == pytest.approx(v) for k, v in expected.items())
            for log in logs
        ), row
    shown = [log["test/samples"] for log in logs if "test/samples" in log]
    file = tmp_path / "trackio/media" / shown[-1]["file_path"]
    assert pixels(file) == pixels(tmp_path / "first/figures/test_samples.png")
    run = trackio.init("scalian_exp", name="reader", embed=False)
    for name in ("best", "last"):
        got = Path(run.use_artifact(f"model-{again.id}:{name}").download(tmp_path / f"got_{name}"))
        kept = got / f"checkpoints/{name}.ckpt"
        assert kept.read_bytes() == (tmp_path / f"first/checkpoints/{name}.ckpt").read_bytes()
    trackio.finish()
