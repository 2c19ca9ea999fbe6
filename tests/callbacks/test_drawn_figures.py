"""The epochs in which figures are drawn, and the files that TensorBoard gets."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tools import tiny

from scalian_exp.callbacks.figures import Figures
from scalian_exp.train import train


def drawn(epochs: int | None, validations: int | None = 1, every: int | None = None, trained: int = 0) -> list[int]:
    """Return the epochs, counted from 1, in which figures are drawn."""
    figures = Figures(Path(), every)
    due = []
    for epoch in range(epochs or trained):
        every_n = 1 if epoch + 1 == epochs and validations else validations  # as tasks validate after the last epoch
        trainer = SimpleNamespace(current_epoch=epoch, max_epochs=epochs or -1, check_val_every_n_epoch=every_n)
        if (epoch + 1) % (every_n or 1) == 0 and figures.due(trainer):
            due.append(epoch + 1)
    return due


@pytest.mark.parametrize(
    ("due", "epochs"),
    [
        (drawn(40), [5, 10, 20, 40]),
        (drawn(100), [5, 10, 20, 40, 80, 100]),
        (drawn(4), []),  # only the test's figures
        (drawn(7), [5, 7]),
        (drawn(None, trained=45), [5, 10, 20, 40]),
        (drawn(30, validations=4), [8, 12, 20, 30]),  # the first validation after 5, 10 and 20
        (drawn(300, validations=50), [50, 100, 200, 300]),
        (drawn(12, validations=None), [5, 10, 12]),
        (drawn(12, every=3), [3, 6, 9, 12]),
    ],
)
def test_figures_are_drawn_early_and_at_the_end(due: list[int], epochs: list[int]) -> None:
    assert due == epochs


def test_tensorboard_shows_the_files_themselves(tmp_path: Path) -> None:
    train(tiny("vae", "callbacks=default", "logger=tensorboard", "callbacks.figures.every_n_epochs=1"), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), {"images": 0})
    events.Reload()
    files = [*(tmp_path / "figures").glob("*.png")]
    assert files
    for file in files:
        split, _, name = file.stem.partition("_")
        (image,) = events.Images(f"{split}/{name}")
        assert image.encoded_image_string == file.read_bytes()
        assert image.width > image.height / 2 > 10
