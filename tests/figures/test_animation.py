"""Animations: their size, their pace and their captions."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from scalian_exp.figures.animation import as_gif, durations, fitting


def frames_of(gif: bytes) -> list[tuple[Image.Image, int]]:
    """Return the frames of a GIF, with their durations in milliseconds."""
    result = []
    with Image.open(io.BytesIO(gif)) as animation:
        for number in range(getattr(animation, "n_frames", 1)):
            animation.seek(number)
            result.append((animation.convert("RGB"), animation.info["duration"]))
    return result


def test_few_frames_are_slow_and_the_last_one_stays() -> None:
    assert durations(1) == [2500]
    assert durations(10) == [600] * 9 + [2500]
    assert min(durations(30)) == 400
    assert durations(100) == [200] * 99 + [2500]


@pytest.mark.parametrize(("count", "columns", "side"), [(9, 3, 28), (1, 1, 28), (5, 5, 11), (4, 4, 100)])
def test_a_gif_is_480_pixels_wide_and_keeps_its_pixels(count: int, columns: int, side: int) -> None:
    images = torch.rand(3, count, 1, side, side).round()
    gif = as_gif([(f"step {i}", images[i]) for i in range(3)], "vae on mnist: how samples form", columns)
    frames = frames_of(gif)
    assert [duration for _, duration in frames] == [600, 600, 2500]
    scale = 480 // (columns * (side + 1) - 1)
    assert scale >= 1
    for (frame, _), pictured in zip(frames, images, strict=True):
        assert frame.size[0] == 480
        left = (480 - scale * (columns * (side + 1) - 1)) // 2
        bottom = np.asarray(frame)[-scale * side :, left : left + scale * side, 0]
        first = pictured[count - 1 if columns == 1 else count - columns, 0].numpy() * 255
        np.testing.assert_array_equal(bottom, first.repeat(scale, 0).repeat(scale, 1))


def test_captions_differ_and_wide_grids_are_not_cut() -> None:
    images = torch.zeros(2, 1, 8, 300)
    (one, _), (other, _) = frames_of(as_gif([("step 1", images), ("step 2", images)], "title", columns=2))
    assert one.size[0] == 601
    top = [np.asarray(frame)[: frame.size[1] - 8] for frame in (one, other)]
    assert (top[0] != top[1]).any()


def test_images_are_enlarged_as_far_as_a_row_fits() -> None:
    assert [fitting(columns, 28) for columns in (1, 3, 8, 40)] == [17, 5, 2, 1]
    for columns, width in ((1, 28), (3, 28), (8, 28), (5, 17)):
        assert columns * (fitting(columns, width) * width + 1) - 1 <= 480
