"""Figures are labelled, and show the right data."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from scalian_exp.figures.classes import confusion_matrix, mistakes
from scalian_exp.figures.curves import curve
from scalian_exp.figures.grids import image_grid, rows_of_images, side_by_side
from scalian_exp.figures.latent import latent_map, principal_axes
from scalian_exp.figures.png import as_png
from scalian_exp.figures.sweep import sweep_figure
from scalian_exp.figures.titles import titled
from scalian_exp.results.rows import comparable


def test_a_latent_map_names_the_classes_that_it_shows() -> None:
    codes, labels = torch.randn(40, 3), torch.arange(40) % 2 * 2  # classes 0 and 2
    figure = latent_map(codes, labels, lambda z: torch.zeros(len(z), 1, 4, 4), steps=2, names=["cat", "dog", "cow"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "cow"]
    (numbers,) = latent_map(codes, labels, lambda z: torch.zeros(len(z), 1, 4, 4), steps=2).legends
    assert [text.get_text() for text in numbers.get_texts()] == ["0", "2"]


def test_images_without_classes_have_no_legend() -> None:
    """A flat folder has one class, whose name is empty."""
    codes, labels = torch.randn(40, 3), torch.zeros(40, dtype=torch.long)
    assert not latent_map(codes, labels, lambda z: torch.zeros(len(z), 1, 4, 4), steps=2, names=[""]).legends


def test_forty_classes_look_different_and_their_legend_fits() -> None:
    codes, labels = torch.randn(400, 3), torch.arange(400) % 40
    figure = latent_map(
        codes, labels, lambda z: torch.zeros(len(z), 1, 4, 4), steps=2, names=[f"kind {k}" for k in range(40)]
    )
    looks = {
        (*points.get_facecolor()[0], points.get_paths()[0].vertices.tobytes()) for points in figure.axes[0].collections
    }
    assert len(looks) == 40
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.y0 >= 0
    assert legend.x1 <= figure.axes[0].get_window_extent().x0


@pytest.mark.filterwarnings("error:constrained_layout")
def test_flat_images_leave_room_for_a_title() -> None:
    images = torch.rand(11, 1, 2, 64)
    for figure in (image_grid(images[:2], columns=2, title="a title"), rows_of_images({"input": images}, "a title")):
        as_png(figure)


@pytest.mark.parametrize("classes", [3, 40])
def test_labels_of_a_confusion_matrix_dont_overlap(classes: int) -> None:
    figure = confusion_matrix(torch.eye(classes), [f"class number {k}" for k in range(classes)])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(boxes))
    assert max(figure.get_size_inches()) < 14


def test_the_plane_of_decoded_images_has_the_codes_scale() -> None:
    """The outer images lie around codes at the 2 % and 98 % quantiles; three images of width 1 fill [-0.5, 2.5]."""
    codes = torch.tensor([[0.0, 0.0], [2.0, 4.0]]).repeat(100, 1)
    figure = latent_map(codes, None, lambda z: torch.zeros(len(z), 1, 4, 4), steps=3)
    assert figure.axes[1].images[0].get_extent() == pytest.approx([-0.5, 2.5, -1, 5])
    assert [axes.get_xlabel() for axes in figure.axes] == ["latent 0", "latent 0"]


def test_components_are_labelled_with_their_share_of_the_variance() -> None:
    codes = torch.tensor([[2.0, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0]])  # 8 and 2 of 10 in all
    figure = latent_map(codes, None, lambda z: torch.zeros(len(z), 1, 4, 4), steps=2)
    assert "80 %" in figure.axes[0].get_xlabel()
    assert "20 %" in figure.axes[0].get_ylabel()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("codes", [[0.0], [5.0, 5.0], [1e6, 1e6]])
def test_a_map_of_few_or_equal_codes_has_room_and_no_warnings(codes: list[float], dim: int) -> None:
    points = torch.tensor(codes).unsqueeze(1).repeat(1, dim)
    figure = latent_map(points, None, lambda grid: torch.zeros(len(grid), 1, 4, 4), steps=3)
    figure.canvas.draw()
    left, right, bottom, top = figure.axes[1].images[0].get_extent()
    assert right - left >= 1
    assert top - bottom >= 1


def test_rows_and_pictures_carry_their_names() -> None:
    images = {"input": torch.zeros(3, 1, 4, 4), "output": torch.ones(3, 1, 4, 4)}
    assert [axes.get_ylabel() for axes in rows_of_images(images).axes] == ["input", "output"]
    assert [axes.get_title() for axes in side_by_side(images).axes] == ["input", "output"]


@pytest.mark.parametrize("size", [(28, 28), (12, 40), (40, 12)])
@pytest.mark.parametrize("count", [1, 10])
def test_row_labels_are_not_cut_off(size: tuple[int, int], count: int) -> None:
    figure = rows_of_images({name: torch.zeros(count, 1, *size) for name in ("clean", "corrupted", "output")})
    figure.draw_without_rendering()
    assert min(axes.yaxis.label.get_window_extent().x0 for axes in figure.axes) >= 0


@pytest.mark.parametrize("dpi", [50, 110])
def test_a_png_is_matplotlibs(dpi: int) -> None:
    """A curve in a constrained layout and rows in a compressed one, to the pixel."""
    for figure in (
        titled(curve([1, 2, 3], [0.1, 0.3, 0.2], "noise", "gain, dB", "what is gained"), "autoencoder on photos"),
        rows_of_images({"input": torch.zeros(3, 1, 4, 4)}, "title"),
    ):
        ours = np.asarray(Image.open(io.BytesIO(as_png(figure, dpi))))
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi)
        np.testing.assert_array_equal(ours, np.asarray(Image.open(file).convert("RGB")))


def test_the_title_counts_mistakes_and_examples() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    figure = mistakes(torch.zeros(3, 1, 4, 4), probabilities, torch.tensor([0, 0, 1]))
    assert figure.get_suptitle() == "1 of 1 mistakes among 3 examples, the surest first"


def test_a_sweep_over_the_loss_does_not_plot_its_own_value() -> None:
    row = {"status": "finished", "best val/loss": 1.0, "test/loss": 1.0, "test/kl": 2.0, "parameters": 3}
    assert comparable([row], ["loss.beta"]) == ["test/kl"]
    assert comparable([row], ["seed"]) == ["best val/loss", "test/loss", "test/kl"]
    other = {**row, "test/kl": None}  # a model without a KL term: each shows its own
    assert comparable([row, other], ["seed"]) == ["best val/loss", "test/loss", "test/kl"]
    assert comparable([row, {**other, "status": "failed"}], ["loss"]) == ["test/kl"]
    table = [{"job": job, "loss.beta": beta, "test/kl": 3.0 / beta} for job, beta in enumerate((1, 4))]
    figure = sweep_figure(table, ["loss.beta"], ["test/kl"])
    assert figure is not None
    assert figure.axes[0].get_title() == "test/kl, nats"
    assert figure.get_suptitle() == "test/kl over loss.beta"
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 3], [4, 0.75]]


def test_a_grid_of_two_numbers_is_a_heat_map_and_a_search_a_scatter_plot() -> None:
    grid = [{"a": str(a), "b": str(b), "test/x": 10 * a + b} for a in (0.5, 2, 10) for b in (1, 4)]
    missing = [{**row, "test/x": None} if row["a"] == "2" and row["b"] == "4" else row for row in grid]
    figure = sweep_figure(missing, ["a", "b"], ["test/x"])
    assert figure is not None
    axes = figure.axes[0]
    (image,) = axes.images
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.5", "2", "10"]  # in numerical order
    np.testing.assert_equal(image.get_array().filled(np.nan), [[6, 9], [21, np.nan], [101, 104]])
    scatter = sweep_figure([{"a": str(i), "b": str(i * i), "test/x": i} for i in range(5)], ["a", "b"], ["test/x"])
    assert scatter is not None
    np.testing.assert_array_equal(scatter.axes[0].collections[0].get_offsets(), [[i * i, i] for i in range(5)])


def test_principal_axes_do_not_depend_on_the_order_or_sign_of_the_points() -> None:
    """They are eigenvectors of the covariance whose largest entry is positive."""
    points = torch.randn(200, 4, dtype=torch.double) * torch.tensor([0.1, 3.0, 1.0, 2.0])
    points = points - points.mean(0)
    axes = principal_axes(points)
    for other in (-points, points.flip(0), points[torch.randperm(200)]):
        torch.testing.assert_close(principal_axes(other), axes)
    vectors = torch.linalg.eigh(points.T @ points).eigenvectors[:, [-1, -2]].T
    for axis, vector in zip(axes, vectors, strict=True):
        assert abs(float(axis @ vector)) == pytest.approx(1)
        assert axis[axis.abs().argmax()] > 0
    assert principal_axes(points[:, :1]).tolist() == [[1.0], [0.0]]
