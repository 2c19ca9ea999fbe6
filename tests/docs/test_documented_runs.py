"""The documentation's training commands run on the CPU, with tiny networks and few batches.

Data sets that have to be downloaded are used only if they are in data/ already.
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
FEW_SCENES = {"train_size": 40, "val_size": 8, "test_size": 8}
"""instead of 2,500, which are composed one by one"""


def no_network(*_: object, **__: object) -> None:
    raise URLError("no network here")


def small(job: list[str]) -> dict[str, Any]:
    """Return the config of a job on its own data, with a tiny network."""
    overrides = [o for o in job if not FOR_LARGE_MACHINES.match(o) and not o.startswith(("callbacks", "sweep="))]
    overrides = [re.sub(r"^init_from=.*", "init_from=null", override) for override in overrides]
    config = OmegaConf.create(compose(*overrides, *SMALL))
    for key, value in {**TINY, "network.pretrained": False}.items():  # published weights are of the full width
        if OmegaConf.select(config.model, key) is not None:
            OmegaConf.update(config.model, key, value)
    if "masks" in config.dataset.provides:
        config.dataset.batch_size = min(config.dataset.batch_size, 2)
    if config.dataset._target_.endswith(".FashionScenes"):
        config.dataset.update(FEW_SCENES)
    plain: Any = OmegaConf.to_container(config)
    return plain


@pytest.mark.parametrize("command", commands("scalian-train"), ids=label)
def test_training_commands_run(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = command.parts[1:]
    if any(argument.startswith(("resume=", "sweep.resume=", "hydra.searchpath=")) for argument in arguments):
        pytest.skip("tested elsewhere")
    config = small(jobs(arguments)[-1])
    root = config["dataset"].get("root")
    if root is not None and Path(root).name != "data":
        pytest.skip("needs a user's data")
    if root is not None:
        config["dataset"]["root"] = str(DOWNLOADED)
    monkeypatch.setattr("urllib.request.OpenerDirector.open", no_network)
    try:
        metrics = train(config, tmp_path / "run")
    except Refusal as refusal:
        if "no network here" in f"{refusal} {refusal.__cause__}":
            pytest.skip("needs data that have not been downloaded")
        raise
    assert metrics["status"] == "finished"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train a tiny run of each kind of model."""
    folder = tmp_path_factory.mktemp("runs")
    names = ["vae", "draw_small", "pixelcnn", "denoising_autoencoder", "classifier", "unet", "dbn", "dbn_up_down"]
    names += ["biased_mf", "autoencoder"]
    for name in names:
        train(tiny(name), folder / name)
    train(tiny("text_autoencoder"), folder / "text_autoencoder")
    return {path.name: path for path in folder.iterdir()}


def model_of(command: Command) -> str:
    """Return the kind of model that a command is about."""
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
    arguments = [a for a in command.parts[1:] if not a.startswith(("run=", "count=", "trust="))]
    if (
        "--help" in arguments
        or PLACEHOLDER in " ".join(arguments)
        or "small_segmenter" in command.line
        or "liked=" in command.line
    ):
        pytest.skip("tested elsewhere")
    model = model_of(command)
    size = train_size(runs[model])
    for name in re.findall(r"(\w+\.(?:png|jpg))", command.line):
        Image.effect_noise(size, 60).save(tmp_path / name)
    for pattern, value in (("labels", "[10]"), ("user", "1"), ("text", "word1 word2 word3")):
        arguments = [re.sub(f"^{pattern}=.*", f"{pattern}={value}", argument) for argument in arguments]
    code, output = invoke(tmp_path, "scalian-apply", f"run={runs[model]}", *arguments)
    assert code == 0, output


def train_size(run: Path) -> tuple[int, int]:
    """Return the width and height of the images that a run was trained on, or 16×16 for other data."""
    shape = OmegaConf.load(run / "config.yaml").dataset.get("image_size") or [16, 16]
    return int(shape[1]), int(shape[0])
