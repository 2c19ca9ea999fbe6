"""The epochs in which figures are drawn, and the files that TensorBoard gets."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tools import tiny

from scalian_exp.callbacks.figures import MOST_EPOCHS, Figures, drop_surplus
from scalian_exp.folders import epochs_drawn, figures_of_epoch
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
        assert image.step == 1  # the epoch, of five steps
        assert image.encoded_image_string == file.read_bytes()
        assert image.width > image.height / 2 > 10


def test_every_drawn_epochs_figures_are_kept(tmp_path: Path) -> None:
    options = ["callbacks=default", "callbacks.figures.every_n_epochs=2", "trainer.max_epochs=5"]
    train(tiny("vae", *options), tmp_path)
    kept = epochs_drawn(tmp_path)
    assert kept == {2: tmp_path / "figures/epoch_0002", 4: tmp_path / "figures/epoch_0004"}
    names = {"val_latent_map.png", "val_reconstructions.png", "val_samples.png"}
    assert all({file.name for file in place.iterdir()} == names for place in kept.values())
    for name in names:
        first, last = (place.joinpath(name).read_bytes() for place in kept.values())
        assert first != last == (tmp_path / "figures" / name).read_bytes()


def test_of_many_drawn_epochs_evenly_spread_ones_are_kept(tmp_path: Path) -> None:
    for epoch in range(1, 201):
        figures_of_epoch(tmp_path, epoch).mkdir(parents=True)
        drop_surplus(tmp_path)
        kept = list(epochs_drawn(tmp_path))
        assert len(kept) <= MOST_EPOCHS
        assert (kept[0], kept[-1]) == (1, epoch)
    gaps = [after - before for before, after in pairwise(kept)]
    assert len(kept) == MOST_EPOCHS
    assert max(gaps) <= 8  # 4 on average
