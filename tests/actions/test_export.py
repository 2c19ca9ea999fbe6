"""Exports: what is written inside, the script that runs the ONNX alone, and weights that load again."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tools import tiny
from torch import nn

from scalian_exp import load, safe_weights
from scalian_exp.actions.classify import Classify
from scalian_exp.actions.export import Export, larger_images
from scalian_exp.actions.pictures import Reconstruct
from scalian_exp.actions.segment import Segment
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train

ALONE = """
import runpy, sys
class Alone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "scalian_exp", "onnx", "scipy", "matplotlib"):
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Alone())
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""runs a script where only onnxruntime, NumPy and Pillow can be imported"""


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a picture of no run's data: of another size, in colour, lying on its side, in part transparent."""
    y, x = np.mgrid[:53, :71]
    pixels = np.stack([x * 3, y * 4, (x * y) % 255, np.where(x > 60, 90, 255)], -1).astype(np.uint8)
    file = tmp_path_factory.mktemp("picture") / "picture.png"
    image = Image.fromarray(pixels, "RGBA")
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by 90°
    image.save(file, exif=exif)
    return file


def exported(model: str, folder: Path, *overrides: str) -> Path:
    """Train a tiny model, export it, and return the export's folder."""
    train(tiny(model, "test=false", *overrides), folder / "run")
    Export().run(load(folder / "run"), folder / "export")
    return folder / "export"


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a VAE and export it, once for all tests of this file; its run is beside the export."""
    return exported("vae", tmp_path_factory.mktemp("vae"))


def run_alone(export: Path, picture: Path, cwd: Path) -> str:
    """Run the export's script on a picture."""
    command = [sys.executable, "-c", ALONE, str(export / "run_onnx.py"), str(picture)]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def facts(export: Path) -> dict[str, Any]:
    """Return what is written in network.onnx, after checking that the other files say the same."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install '.[export]'")
    session = onnxruntime.InferenceSession(export / "network.onnx")
    told = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    inside = {"facts.json": ""}
    torch.export.load(export / "network.pt2", extra_files=inside)
    assert json.loads(inside["facts.json"]) == told
    assert told.items() <= json.loads((export / "config.json").read_text()).items()
    return told


def test_a_segmentation_alone_is_that_of_the_action(picture: Path, tmp_path: Path) -> None:
    names = "dataset.class_names=[ground,low,middle,high]"
    palette = "dataset.palette=[[1,2,3],[200,0,0],[0,200,0],[0,0,200]]"
    export = exported("unet", tmp_path, names.replace("dataset", "+dataset"), palette, "model.network.depth=2")
    told = facts(export)
    assert (told["kind"], told["any_size"], told["output_layout"]) == ("segment", True, "NKHW")
    assert told["input_size"] == [40, 48]
    assert told["input_range"] == [0, 1]
    assert told["class_names"] == ["ground", "low", "middle", "high"]
    assert told["palette"] == [[1, 2, 3], [200, 0, 0], [0, 200, 0], [0, 0, 200]]
    printed = run_alone(export, picture, tmp_path)
    Segment(image=str(picture)).run(load(tmp_path / "run"), tmp_path / "ours")
    mask, ours = Image.open(tmp_path / "mask.png"), Image.open(tmp_path / "ours/mask.png")
    assert mask.size == (53, 71)
    assert np.array_equal(np.asarray(mask), np.asarray(ours))
    assert np.array_equal(np.asarray(mask.convert("RGB")), np.asarray(ours.convert("RGB")))
    name, *lines = printed.splitlines()
    assert name == "mask.png"
    shares = {line.split("\t")[0]: float(line.split("\t")[1]) for line in lines}
    assert [*shares] == told["class_names"]
    counts = np.bincount(np.asarray(mask).ravel(), minlength=4)
    assert [*shares.values()] == pytest.approx(counts / counts.sum(), abs=1e-4)


def test_a_classification_alone_is_that_of_the_action(picture: Path, tmp_path: Path) -> None:
    export = exported("classifier", tmp_path)
    told = facts(export)
    assert (told["kind"], told["any_size"], told["activation"]) == ("classify", False, "softmax")
    printed = [line.split("\t") for line in run_alone(export, picture, tmp_path).splitlines()]
    Classify(image=str(picture)).run(load(tmp_path / "run"), tmp_path / "ours")
    with (tmp_path / "ours/classes.csv").open() as file:
        ours = [(row["class"], float(row["probability"])) for row in csv.DictReader(file)][:5]
    assert [name for name, _ in printed] == [name for name, _ in ours]
    assert [float(value) for _, value in printed] == pytest.approx([value for _, value in ours], abs=1e-4)


@pytest.mark.parametrize("model", ["vae", pytest.param("conv_autoencoder", marks=pytest.mark.slow)])
def test_a_reconstruction_alone_is_that_of_the_action(model: str, vae: Path, picture: Path, tmp_path: Path) -> None:
    export = vae if model == "vae" else exported(model, tmp_path)
    assert facts(export)["kind"] == "reconstruct"
    assert_reconstructed_alike(export, picture, tmp_path)


def test_a_network_of_two_channels_is_exported_without_a_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = exported("vae", tmp_path, "dataset.in_channels=2")
    assert not list(export.glob("*.py"))
    assert "There is no run_onnx.py" in capsys.readouterr().out
    with pytest.raises(Refusal, match="but this network takes 2"):
        Reconstruct(image="photo.png").run(load(tmp_path / "run"), tmp_path / "ours")


def assert_reconstructed_alike(export: Path, picture: Path, folder: Path) -> None:
    """Compare what the export's script writes with what the action writes."""
    run_alone(export, picture, folder)
    Reconstruct(image=str(picture)).run(load(export.parent / "run"), folder / "ours")
    alone = np.asarray(Image.open(folder / "reconstruction.png").convert("RGB")).astype(int)
    ours = np.asarray(Image.open(folder / "ours/output.png").convert("RGB")).astype(int)
    assert alone.shape == ours.shape
    assert np.abs(alone - ours).max() <= 1  # rounding of nearly equal numbers


@pytest.mark.parametrize("model", ["dbn_labels", pytest.param("dbn_up_down", marks=pytest.mark.slow)])
def test_networks_that_branch_by_a_flag_are_exported(model: str, tmp_path: Path) -> None:
    assert (exported(model, tmp_path) / "network.onnx").is_file()


def test_the_script_explains_wrong_files(vae: Path, picture: Path, tmp_path: Path) -> None:
    script, another = vae / "run_onnx.py", tmp_path / "another.png"
    another.write_bytes(picture.read_bytes())
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "float.tif")
    for arguments, said in (
        ([], "run_onnx.py IMAGE"),
        ([picture, another, another], "run_onnx.py IMAGE"),
        ([picture, another], "another.png: name a .png that doesn't exist yet"),
        ([picture, "output.jpg"], "output.jpg: name a .png"),
        ([picture, "nowhere/output.png"], "in a folder that does"),
        (["no.png"], "No such file"),
        ([script], "cannot identify"),
        (["float.tif"], "32 bits"),
    ):
        command = [sys.executable, script, *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert said in result.stderr
        assert "Traceback" not in result.stderr
    assert another.read_bytes() == picture.read_bytes()


def test_two_classes_or_two_levels_have_a_threshold(tmp_path: Path) -> None:
    assert facts(exported("vae", tmp_path, "dataset=fake_binary"))["threshold"] == 0.5


@pytest.mark.parametrize("model", ["gan", "biased_mf", pytest.param("text_autoencoder", marks=pytest.mark.slow)])
def test_models_of_other_things_than_images_are_exported_as_weights(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = exported(model, tmp_path)
    assert {file.name for file in export.iterdir()} == {"model.safetensors", "config.json"}
    assert "There is no network.onnx: " in capsys.readouterr().out


def test_an_export_loads_as_its_run_does(vae: Path, tmp_path: Path) -> None:
    run, again = load(vae.parent / "run"), load(vae)
    ours, theirs = run.task.state_dict(), again.task.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert again.config == run.config
    Export().run(again, tmp_path / "twice")
    assert (tmp_path / "twice/model.safetensors").read_bytes() == (vae / "model.safetensors").read_bytes()


def test_shared_and_overlapping_tensors_are_kept(tmp_path: Path) -> None:
    """The file is that of safetensors' own `save_model` and `load_model`."""
    library = pytest.importorskip("safetensors.torch", reason="pip install '.[export]'")
    tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    state = {**tied.state_dict(), "part": tied[0].weight.detach()[:2], "turned": tied[0].weight.detach().t()}
    config = {"dataset": {"_target_": "x.Data"}, "model": {}}
    safe_weights.write(tmp_path, {"state_dict": state, "scalian_exp": {"config": config}}, {"classes": ["a"]}, {"k": 1})
    contents = safe_weights.read(tmp_path / "model.safetensors")
    assert contents["state_dict"].keys() == state.keys()
    assert all(torch.equal(contents["state_dict"][name], state[name]) for name in state)
    assert contents["scalian_exp"]["config"] == config
    assert contents["Data"] == {"classes": ["a"]}
    assert len(library.load_file(tmp_path / "model.safetensors")) == len(state) - 1
    other = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    other[2].weight = other[0].weight
    library.load_model(other, tmp_path / "model.safetensors", strict=False)
    assert torch.equal(other[2].weight, tied[2].weight)


def test_damaged_exports_are_refused_in_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="pip install '.[export]'")
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x" * 20)
    with pytest.raises(Refusal, match=r"config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(Refusal, match="holds no config"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"config": {}}')
    with pytest.raises(Refusal, match="truncated or not a"):
        load(tmp_path)


def test_networks_of_one_size_take_no_larger_images() -> None:
    x = torch.zeros(2, 3, 8, 8)
    assert larger_images(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), x) is None
    larger = larger_images(nn.Conv2d(3, 1, 3), x)
    assert larger is not None
    assert larger.shape == (2, 3, 13, 19)
