"""Titles say what is seen, with which model and on which data."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from tools import tiny

from scalian_exp.actions import pictures
from scalian_exp.actions.action import save_figure
from scalian_exp.build import build_task
from scalian_exp.callbacks import figures as callback
from scalian_exp.figures.grids import rows_of_images
from scalian_exp.figures.png import as_png
from scalian_exp.figures.titles import titled
from scalian_exp.run.training import train
from scalian_exp.stored import run_name

CONFIG: dict[str, Any] = {
    "model": {"network": {"_target_": "scalian_exp.networks.vae.DenseVAE"}},
    "dataset": {"_target_": "scalian_exp.datasets.folder.ImageFolder", "root": "/photos/faces"},
}


def chosen(folder: Path, model: str, dataset: str) -> Path:
    """Write Hydra's record of a run that chose these options, and return the run folder."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "hydra.yaml").write_text(
        "hydra: {mode: RUN, overrides: {hydra: [a=b]}, runtime: {choices: "
        f"{{callbacks: default, model: {model}, dataset: {dataset}}}}}}}"
    )
    return folder


def test_a_run_is_named_by_what_its_command_line_chose(tmp_path: Path) -> None:
    assert run_name(chosen(tmp_path / "a", "conv_vae", "mnist"), CONFIG) == "conv_vae on mnist"
    assert run_name(chosen(tmp_path / "b", "unet", "image_folder"), CONFIG) == "unet on image_folder faces"
    assert run_name(chosen(tmp_path / "c", "mine", "my_data"), CONFIG) == "mine on my_data"
    assert run_name(tmp_path, CONFIG) == "DenseVAE on ImageFolder"
    (tmp_path / "a" / ".hydra" / "hydra.yaml").write_text("damaged: {")
    assert run_name(tmp_path / "a", CONFIG) == "DenseVAE on ImageFolder"


def test_a_title_gets_a_line_for_the_run_and_the_room_for_it() -> None:
    figure = rows_of_images({"input": torch.zeros(3, 1, 4, 4)}, "images")
    height = figure.get_figheight()
    assert titled(figure, "vae on mnist").get_suptitle() == "images\nvae on mnist"
    assert figure.get_figheight() > height
    narrow = titled(Figure(figsize=(3, 3), layout="constrained"), "a title of many words that a narrow figure wraps")
    narrow.draw_without_rendering()
    assert narrow.get_suptitle().count("\n") > 0
    extent = narrow._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert extent.x0 >= 0
    assert extent.x1 <= narrow.bbox.width


@pytest.mark.parametrize(
    "model", ["vae", "denoising_autoencoder", "pixelcnn", "dbn_labels", "unet", "classifier", "gan", "biased_mf"]
)
def test_all_figures_of_a_training_say_what_is_seen(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(callback, "as_png", lambda figure: drawn.append(figure.get_suptitle()) or as_png(figure, 30))
    validated = model in ("vae", "gan")  # figures of the validation split are drawn by the same functions
    options = ["callbacks=default", *["callbacks.figures.every_n_epochs=1"] * validated]
    options += ["model.noise_levels=[0.1, 0.3]"] if model == "denoising_autoencoder" else []
    train(tiny(model, *options), chosen(tmp_path, model, "fake"))
    assert len(drawn) == len(list((tmp_path / "figures").glob("*.png"))) > 0
    runs = set()
    for title in drawn:
        seen, _, run = title.replace("\n", " ").partition(f"{model} on fake, ")
        runs.add(run)
        assert len(seen) > 20 or "latent" in title or title.startswith(f"{model} on fake")
    assert runs == {"test split", *["validation split after 1 epoch"] * validated}
    assert sum(not title.startswith(f"{model} on fake") for title in drawn) >= len(drawn) - 2  # but for latent maps


def test_pictures_of_actions_name_the_run(tmp_path: Path) -> None:
    figure = rows_of_images({"input": torch.zeros(3, 1, 4, 4)}, "images")
    save_figure(figure, tmp_path / "a" / "b.png", SimpleNamespace(name="vae on mnist"))  # type: ignore[arg-type]
    assert figure.get_suptitle() == "images\nvae on mnist"
    assert (tmp_path / "a" / "b.png").is_file()


def test_traversals_are_ordered_by_the_deviation_of_their_code_and_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes (0, 1, −3) and (0, 3, 3): deviations of 0, √2 and √18; the means are 0, 2 and 0."""
    codes, decoded, saved = torch.tensor([[0.0, 1.0, -3.0], [0.0, 3.0, 3.0]]), [], []
    network = SimpleNamespace(
        encode=lambda x: codes[: len(x)], decode=lambda z: decoded.append(z) or torch.zeros(len(z), 1, 2, 2)
    )
    model: Any = SimpleNamespace(task=SimpleNamespace(network=network), config={}, name="vae on mnist")
    images = torch.zeros(2, 1, 2, 2)
    monkeypatch.setattr(pictures, "batches", lambda *_: [{"image": images}])
    monkeypatch.setattr(pictures, "inputs", lambda *_: images[:1])
    monkeypatch.setattr(pictures, "check_room", lambda *_: None)
    monkeypatch.setattr(pictures, "save_figure", lambda figure, file, _: saved.append(figure) or file)
    pictures.Traverse(extent=2.0, steps=3).run(model, tmp_path)
    (figure,) = saved
    assert [axes.get_ylabel() for axes in figure.axes] == ["latent 2, σ 4.24", "latent 1, σ 1.41", "latent 0, σ 0.00"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["−2σ", "+0σ", "+2σ"]
    grid = decoded[0].view(3, 3, 3)
    torch.testing.assert_close(grid[0, :, 2], torch.tensor([-2 * 18**0.5, 0, 2 * 18**0.5]))
    torch.testing.assert_close(grid[1, :, 1], torch.tensor([2 - 2 * 2**0.5, 2, 2 + 2 * 2**0.5]))
    assert grid[0, :, :2].tolist() == [[0, 1]] * 3  # the others as in the image's code


@pytest.mark.parametrize(
    ("corruption", "meaning"),
    [
        ("masking", "share of the pixels set to 0"),
        ("salt_and_pepper", "share of the pixels set to 0 or 1"),
        ("gaussian", "standard deviation of the noise"),
    ],
)
def test_the_axis_of_the_noise_says_what_a_level_is(corruption: str, meaning: str) -> None:
    task = build_task(tiny("denoising_autoencoder", f"model/corruption={corruption}"))
    with torch.no_grad():
        figure = task.eval().figures({"image": torch.rand(12, 1, 16, 16)})["psnr_gain"]
    assert figure.axes[0].get_xlabel() == meaning
