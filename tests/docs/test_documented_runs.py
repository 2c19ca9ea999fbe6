"""The training commands of the documentation run in small: few batches of their data, tiny networks, on the processor.

Data sets that have to be downloaded are used where they lie in data/ already.
"""

import re
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from commands import invoke
from documented import PLACEHOLDER, ROOT, Command, commands, jobs, label
from omegaconf import OmegaConf
from PIL import Image
from tools import TINY, tiny

from scalian_exp import compose, train
from scalian_exp.refusal import Refusal

pytestmark = pytest.mark.slow

DOWNLOADED = ROOT / "data"
FOR_LARGE_MACHINES = re.compile(
    r"trainer/accelerator=|trainer\.precision=|compile=|cuda_graphs=|channels_last=|hydra|trainer\.(max_epochs|devices|num_nodes)="
)
SMALL = [
    *("trainer/accelerator=cpu", "callbacks=minimal", "logger=none", "trainer.max_epochs=1", "trainer.max_steps=-1"),
    *("trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"),
]


def no_network(*_: object, **__: object) -> None:
    raise URLError("no network here")


def small(job: list[str]) -> dict[str, Any]:
    """The config of a job on its own data, with a tiny network."""
    kept = [word for word in job if not FOR_LARGE_MACHINES.match(word) and not word.startswith(("callbacks", "sweep="))]
    kept = [re.sub(r"^init_from=.*", "init_from=null", word) for word in kept]
    config = OmegaConf.create(compose(*kept, *SMALL))
    for key, value in TINY.items():
        if OmegaConf.select(config.model, key) is not None:
            OmegaConf.update(config.model, key, value)
    plain: Any = OmegaConf.to_container(config)
    return plain


@pytest.mark.parametrize("command", commands("scalian-train"), ids=label)
def test_training_commands_run(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = command.words[1:]
    if any(word.startswith(("resume=", "sweep.resume=", "hydra.searchpath=")) for word in words):
        pytest.skip("has tests of its own")
    config = small(jobs(words)[-1])
    root = config["dataset"].get("root")
    if root is not None and Path(root).name != "data":
        pytest.skip("on a user's own data")
    if root is not None:
        config["dataset"]["root"] = str(DOWNLOADED)
    monkeypatch.setattr("urllib.request.OpenerDirector.open", no_network)
    try:
        metrics = train(config, tmp_path / "run")
    except Refusal as refusal:
        if "no network here" in f"{refusal} {refusal.__cause__}":
            pytest.skip("its data have not been downloaded")
        raise
    assert metrics["status"] == "finished"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny run of each kind of model."""
    folder = tmp_path_factory.mktemp("runs")
    names = ["vae", "draw_small", "pixelcnn", "denoising_autoencoder", "classifier", "unet", "dbn", "dbn_up_down"]
    names += ["biased_mf", "autoencoder"]
    for name in names:
        train(tiny(name), folder / name)
    train(tiny("text_autoencoder"), folder / "text_autoencoder")
    return {path.name: path for path in folder.iterdir()}


def model_of(command: Command) -> str:
    """The kind of model that a command's page and words speak of."""
    line = command.line
    by_word = {
        **{"text=": "text_autoencoder", "recommend": "biased_mf", "classify": "classifier", "segment": "unet"},
        **{
            "likelihood": "pixelcnn",
            "complete completions": "pixelcnn",
            "temperature": "pixelcnn",
            "draw": "draw_small",
        },
        **{"label=": "dbn_up_down", "outputs/dbn": "dbn", "filters": "dbn", "noisy.png": "denoising_autoencoder"},
        **{"probe": "autoencoder", "nearest": "autoencoder"},
    }
    return next((model for word, model in by_word.items() if word in line), "vae")


@pytest.mark.parametrize("command", commands("scalian-apply"), ids=label)
def test_actions_run(command: Command, runs: dict[str, Path], tmp_path: Path) -> None:
    words = [word for word in command.words[1:] if not word.startswith(("run=", "count=", "trust="))]
    if (
        "--help" in words
        or PLACEHOLDER in " ".join(words)
        or "small_segmenter" in command.line
        or "liked=" in command.line
    ):
        pytest.skip("has tests of its own")
    model = model_of(command)
    size = train_size(runs[model])
    for name in re.findall(r"(\w+\.(?:png|jpg))", command.line):
        Image.effect_noise(size, 60).save(tmp_path / name)
    words = [re.sub(r"^labels=.*", "labels=[10]", word) for word in words]
    words = [re.sub(r"^user=.*", "user=1", re.sub(r"^text=.*", "text=word1 word2 word3", word)) for word in words]
    code, output = invoke(tmp_path, "scalian-apply", f"run={runs[model]}", *words)
    assert code == 0, output


def train_size(run: Path) -> tuple[int, int]:
    """Width and height of the images that a run learned from; of other data any."""
    shape = OmegaConf.load(run / "config.yaml").dataset.get("image_size") or [16, 16]
    return int(shape[1]), int(shape[0])
