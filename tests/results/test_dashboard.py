"""What TensorBoard shows of several sweeps and single runs below one folder."""

import json
import re
import urllib.request
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams.backend_context import Context
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from scalian_exp.callbacks.tensorboard import flat
from scalian_exp.refusal import Refusal
from scalian_exp.results.dashboard import dashboard, describe, link, pinned, runs_at

OUTPUTS = {
    "multirun/2026-11-28_13-13-14-926763/0_loss.beta-1": (["model=vae", "loss.beta=1"], {"beta": 1.0}, 20),
    "multirun/2026-11-28_13-13-14-926763/1_loss.beta-4": (["model=vae", "loss.beta=4"], {"beta": 4.0}, 20),
    "multirun/2026-11-28_14-00-00-000001/0_model.network.latent_dim-5": (
        ["model.network.latent_dim=5"],
        {"beta": 1.0},
        5,
    ),
    "multirun/2026-11-28_14-00-00-000001/1_model.network.latent_dim-9": (
        ["model.network.latent_dim=9"],
        {"beta": 1.0},
        9,
    ),
    "vae_mnist/2026-11-28_15-00-00-000001": (["model=vae", "dataset=mnist"], {"beta": 1.0, "also": [1]}, 20),
}
"""run folder → its overrides, its loss and its code's length"""


def write_run(run: Path, overrides: list[str], loss: dict[str, Any], code: int) -> None:
    """Write a run's folder with the events that training writes."""
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra/overrides.yaml").write_text(yaml.safe_dump(overrides))
    (run / ".hydra/config.yaml").write_text("{}")
    config = {"model": {"network": {"latent_dim": code, "a": code, "b": code, "c": code}}, "loss": loss, "seed": 0}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = {"monitor": "val/loss", "best": 1.0, "status": "finished", "test/loss": 2.0, "test/neg_elbo": 3.0}
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "csv").mkdir()
    (run / "csv/metrics.csv").write_text("epoch,lr,test/loss,train/loss,val/kl,val/loss\n")
    _, start, end = hparams(flat(config), {"val/loss": None})
    with SummaryWriter(str(run / "tensorboard")) as writer:
        for entry in (start, end):
            writer.file_writer.add_summary(entry)
        for name in ("lr", "test/loss", "train/loss", "val/kl", "val/loss"):
            writer.add_scalar(name, 1.0, 1)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Write two sweeps and a single run below one folder."""
    for name, (overrides, loss, code) in OUTPUTS.items():
        write_run(tmp_path / "outputs" / name, overrides, loss, code)
    return tmp_path / "outputs"


def read(folder: Path) -> tuple[Any, Any, Any]:
    """Return TensorBoard's context, the columns of its tab HPARAMS, and the charts of its tab CUSTOM SCALARS."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    context = TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(folder)), logdir=str(folder))
    hparams_context, request = Context(context), RequestContext()
    metadata = hparams_context.hparams_metadata(request, "")
    experiment = hparams_context.experiment_from_metadata(request, "", True, metadata, [])
    return multiplexer, experiment, json.loads(CustomScalarsPlugin(context).layout_impl(request, "") or "null")


def test_tensorboard_alone_shows_first_what_differs_in_a_mixed_folder(outputs: Path) -> None:
    _, experiment, _ = read(outputs)
    names = [info.name for info in experiment.hparam_infos]
    differing = [f"model.network.{name}" for name in ("a", "b", "c", "latent_dim")]
    assert names[:5] == ["loss.beta", *differing]
    assert [info.differs for info in experiment.hparam_infos] == [True] * 5 + [False] * (len(names) - 5)


def test_the_dashboard_shows_first_what_was_swept_and_the_validation(outputs: Path, tmp_path: Path) -> None:
    runs, place = runs_at([outputs]), tmp_path / "place"
    place.mkdir()
    link(runs, place)
    describe(list(runs.values()), place)
    multiplexer, experiment, layout = read(place)
    assert sorted(multiplexer.Runs()) == [
        ".",
        "11-28_13-13/0_loss.beta-1",
        "11-28_13-13/1_loss.beta-4",
        "11-28_14-00/0_model.network.latent_dim-5",
        "11-28_14-00/1_model.network.latent_dim-9",
        "vae_mnist/11-28_15-00",
    ]
    assert [info.name for info in experiment.hparam_infos][:2] == ["loss.beta", "model.network.latent_dim"]
    assert [info.differs for info in experiment.hparam_infos] == [True] * 2 + [False] * 4
    assert (
        experiment.hparam_infos[0].domain_interval.min_value,
        experiment.hparam_infos[0].domain_interval.max_value,
    ) == (1, 4)
    assert [info.name.tag for info in experiment.metric_infos] == ["val/loss", "test/neg_elbo"]
    assert [
        (category["title"], [chart["title"] for chart in category["chart"]]) for category in layout["category"]
    ] == [
        ("val", ["val/loss", "val/kl"]),  # the monitored one first
        ("test", ["test/loss"]),
        ("train", ["train/loss"]),
    ]
    later = outputs / "vae_mnist/2026-11-28_16-00-00-000001"
    write_run(later, ["model=vae"], {"beta": 1.0}, 20)
    link(runs_at([outputs]), place)
    assert (place / "vae_mnist/11-28_16-00").resolve() == later.resolve() / "tensorboard"
    assert (
        pinned([later])
        == "?pinnedCards=%5B%7B%22plugin%22%3A%22scalars%22%2C%22tag%22%3A%22val/loss%22%7D%5D#timeseries"
    )


def test_names_are_short_but_never_equal(outputs: Path) -> None:
    sweep = outputs / "multirun/2026-11-28_13-13-14-926763"
    assert list(runs_at([sweep])) == ["0_loss.beta-1", "1_loss.beta-4"]
    assert list(runs_at([sweep / "0_loss.beta-1"])) == ["0_loss.beta-1"]
    assert list(runs_at([outputs / "vae_mnist", sweep])) == [
        "vae_mnist/11-28_15-00",
        "11-28_13-13/0_loss.beta-1",
        "11-28_13-13/1_loss.beta-4",
    ]
    write_run(outputs / "vae_mnist/2026-11-28_15-00-30-000001", [], {}, 20)  # in the same minute
    assert list(runs_at([outputs / "vae_mnist"])) == ["2026-11-28_15-00-00-000001", "2026-11-28_15-00-30-000001"]


def test_a_folder_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="There is no run with tensorboard/ below"):
        dashboard([tmp_path], [])


@pytest.mark.slow
def test_the_command_serves_all_runs(outputs: Path) -> None:
    """As a browser asks for it."""
    arguments = ["-m", "scalian_exp.report", "dashboard", str(outputs), "--port", "0"]
    with Popen([executable, *arguments], stdout=PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            (address,) = re.findall(r"http://\S+/(?=\?pinnedCards)", line)
            with urllib.request.urlopen(f"{address}data/runs") as answer:
                assert "11-28_13-13/1_loss.beta-4" in json.load(answer)
            request = urllib.request.Request(f"{address}data/plugin/hparams/experiment", b'{"experimentName": ""}')
            with urllib.request.urlopen(request) as answer:
                columns = json.load(answer)["hparamInfos"]
            assert [column["name"] for column in columns][:2] == ["loss.beta", "model.network.latent_dim"]
        finally:
            server.terminate()
