"""What can be refused without torch is refused before torch is imported, which takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from scalian_exp.commandline.experiment import checked, composed
from scalian_exp.refusal import Refusal

PROGRAM = """
import sys
from pathlib import Path
from scalian_exp.commandline.experiment import checked, composed
from scalian_exp.refusal import Refusal
from scalian_exp.run.processes import launch
try:
    launch(checked(composed(*sys.argv[1:])), Path("run"))
except Refusal as refusal:
    print(refusal)
print("torch" in sys.modules, Path("run").exists())
"""
FOLDERS = [
    ("model=vae", "image_folder dataset.image_size=[28,28]", "the folder of your images."),
    ("model=unet", "mask_folder dataset.num_classes=3", "the folder of your images and masks."),
    ("model=text_autoencoder", "text_csv", "the folder of train.csv and test.csv."),
    ("model=vae", "shards", "the folder with the shards: a disk, or a mounted bucket."),
]


def refusal(folder: Path, *overrides: str) -> list[str]:
    """Return the lines that a training prints which is refused."""
    command = [sys.executable, "-c", PROGRAM, *overrides]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(("model", "dataset", "meaning"), FOLDERS)
def test_a_missing_data_folder(model: str, dataset: str, meaning: str, tmp_path: Path) -> None:
    lines = refusal(tmp_path, model, *f"dataset={dataset}".split(), "dataset.root=nowhere")
    assert lines == [f"There is no folder {tmp_path / 'nowhere'}; set dataset.root to {meaning}", "False False"]


def test_a_missing_start(tmp_path: Path) -> None:
    sentence, rest = refusal(tmp_path, "model=vae", "init_from=nowhere")
    assert sentence.startswith(f"{tmp_path / 'nowhere'} is neither a checkpoint nor a run folder")
    assert rest == "False False"


@pytest.mark.parametrize("override", ["lr=-1", "weight_decay=-0.1", "eps=-1", "betas=[0.9,1.5]"])
def test_values_that_no_optimizer_takes(override: str) -> None:
    with pytest.raises(Refusal, match=rf"^model\.optimizer\.{override.partition('=')[0]}="):
        checked(composed("model=vae", "model/optimizer=adam", f"++model.optimizer.{override}"))


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        ("train", ["resume=nowhere"], "nowhere is not a run folder"),
        ("apply", ["run=nowhere", "action=sample"], "nowhere is neither a checkpoint nor a run folder"),
    ],
)
def test_a_missing_run(module: str, arguments: list[str], sentence: str, tmp_path: Path) -> None:
    program = (
        "import atexit, sys\n"
        f"from scalian_exp.{module} import main\n"
        "atexit.register(lambda: print('torch' in sys.modules))\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert sentence in result.stderr
    assert (result.returncode, result.stdout.strip()) == (1, "False")
