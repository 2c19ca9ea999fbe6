"""Networks that draw in steps: training, figures and actions."""

from pathlib import Path

import pytest
import torch
from commands import command
from PIL import Image
from tools import tiny

from scalian_exp.actions.draw import Draw
from scalian_exp.actions.export import Export
from scalian_exp.actions.pictures import Interpolate
from scalian_exp.actions.sample import Sample
from scalian_exp.build import build
from scalian_exp.checkpoint import load
from scalian_exp.figures.drawing import READ, WRITE, drawing_strip, enlarged, frames, outlined
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train
from scalian_exp.tasks.variational import kl_by_step

DRAWN = ["draw", "draw_no_attention"]


@pytest.fixture(scope="module", params=DRAWN)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / request.param
    options = ["callbacks=default", "logger=none", "dataset.image_size=[10,14]", "dataset.in_channels=3"]
    train(tiny(request.param, *options, "model.network.glimpses=3"), folder)
    return folder


def test_the_kl_of_all_steps_adds_up_and_figures_show_the_steps(run: Path) -> None:
    model = load(run)
    assert {path.stem for path in (run / "figures").glob("*.png")} == {
        *("test_drawing_of_images", "test_drawing_of_samples", "test_kl_by_step"),
        *("test_latent_map", "test_reconstructions", "test_samples"),
    }
    data = build("dataset", model.config["dataset"])
    data.setup("test")
    batch = data.prepare(data.splits["test"][torch.arange(20)])
    with torch.no_grad():
        logs = model.task.step(batch).logs
    by_step = [logs[f"kl/step_0{i}"] for i in (1, 2, 3)]
    torch.testing.assert_close(sum(by_step), logs["kl"])
    model.task.train()
    assert not any("step" in name for name in model.task.step(batch).logs)


def test_the_kl_by_step_sums_over_the_latents_of_each_glimpse() -> None:
    kl = torch.tensor([[1.0, 2.0, 10.0, 20.0, 100.0, 200.0], [3.0, 4.0, 30.0, 40.0, 300.0, 400.0]])
    assert kl_by_step(kl, steps=3).tolist() == [5.0, 50.0, 500.0]


def test_training_starts_from_the_mean_image_and_is_clipped(tmp_path: Path) -> None:
    config = tiny("draw", "model.optimizer.lr=1e-12", "test=false")
    assert config["trainer"]["gradient_clip_val"] == 5
    train(config, tmp_path)
    data = build("dataset", config["dataset"])
    data.setup("fit")
    mean = (data.splits["train"].examples["image"].float() / 255).mean(0).clamp(0.001, 0.999)
    torch.testing.assert_close(torch.sigmoid(load(tmp_path).task.network.blank).transpose(0, 1), mean)


def test_actions_write_animations_of_the_drawing(run: Path, tmp_path: Path) -> None:
    model = load(run)
    files = Sample(count=5).run(model, tmp_path) + Draw(count=4).run(model, tmp_path / "copied")
    assert [file.name for file in files] == ["samples.png", "drawing.gif", "drawing.png", "drawing.gif"]
    for file in (files[1], files[3]):
        with Image.open(file) as animation:
            assert getattr(animation, "n_frames", 1) == 3
    (walk,) = Interpolate(count=2, steps=3).run(model, tmp_path)
    assert walk.is_file()
    Image.new("RGB", (30, 40), (200, 30, 90)).save(tmp_path / "photo.png")
    _, animation_file = Draw(image=str(tmp_path / "photo.png")).run(model, tmp_path / "own")
    with Image.open(animation_file) as animation:
        assert animation.size[0] == 480


def test_samples_are_the_last_canvases(run: Path) -> None:
    network = load(run).task.network
    with torch.no_grad():
        torch.manual_seed(3)
        images = network.sample(4)
        torch.manual_seed(3)
        canvases = network.drawing(network.prior(4)).canvases
    torch.testing.assert_close(images, torch.sigmoid(canvases[-1]))


def test_drawing_is_refused_for_networks_without_steps(tmp_path: Path) -> None:
    train(tiny("vae"), tmp_path / "run")
    result = command(f"run={tmp_path / 'run'}", "action=draw", cwd=tmp_path, module="apply")
    assert result.returncode == 1
    assert (
        "action=draw needs a network that draws in several steps; DenseVAE and its data don't have that"
        in result.stderr
    )


def test_outlines_are_drawn_around_their_boxes() -> None:
    """In units of two pixels, one box spans (1, 0) to (3, 2), and one extends beyond the image on all sides."""
    images = torch.zeros(2, 3, 6, 8)
    boxes = torch.tensor([[1.0, 0.0, 3.0, 2.0], [-5.0, -5.0, 9.0, 9.0]])
    small, large = outlined(images, boxes, (1.0, 0.5, 0.0), 2)
    expected = torch.zeros(6, 8)
    expected[0:4, 2:6] = 1
    expected[1:3, 3:5] = 0
    assert torch.equal(small[0], expected)
    assert torch.equal(small[1], 0.5 * expected)
    expected = torch.ones(6, 8)
    expected[1:-1, 1:-1] = 0
    assert torch.equal(large[0], expected)
    lost = torch.full((2, 4), torch.nan)
    assert torch.equal(outlined(images, lost, (1.0, 0.5, 0.0), 2), images)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_frames_show_windows_in_their_colours(channels: int) -> None:
    canvases = torch.rand(2, 3, channels, 8, 6)
    write, read = torch.tensor([1.0, 1, 3, 3]).expand(2, 3, 4), torch.tensor([0.0, 4, 5, 8]).expand(2, 3, 4)
    first, _ = frames(canvases, write, read)
    scale = first.shape[2] // 8
    assert first.shape == (3, 3, 8 * scale, 6 * scale)
    assert first[0, :, scale, scale].tolist() == pytest.approx(WRITE)
    assert first[0, :, 4 * scale, 0].tolist() == pytest.approx(READ)
    plain = next(frames(canvases, None))
    assert torch.equal(plain, enlarged(canvases[0]))
    assert torch.equal(plain[:, 0, ::scale, ::scale], canvases[0, :, 0])


def test_the_columns_of_a_strip_are_its_steps() -> None:
    canvases, boxes = torch.rand(21, 2, 1, 4, 4), torch.ones(21, 2, 4)
    figure = drawing_strip(canvases, boxes, boxes, canvases[0], most=3)
    assert "orange: the part that the step writes to, blue:" in figure.get_suptitle()
    columns = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert columns == ["original", "step 1", "step 11", "step 21"]
    plain = drawing_strip(canvases[:2], None)
    assert [label.get_text() for label in plain.axes[0].get_xticklabels()] == ["step 1", "step 2"]
    assert "orange" not in plain.get_suptitle()


@pytest.mark.slow
def test_the_network_can_be_exported(run: Path, tmp_path: Path) -> None:
    """The action compares the export with the network on another number of images."""
    files = Export().run(load(run), tmp_path)
    assert {file.suffix for file in files} == {".onnx", ".pt2"}


def test_a_grid_finer_than_the_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="finer than an image"):
        train(tiny("draw", "model.network.write_size=100"), tmp_path / "run")
