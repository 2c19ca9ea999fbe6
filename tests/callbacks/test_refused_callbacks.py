"""Callbacks of Lightning that can't work here end in a sentence."""

from pathlib import Path

import pytest
from commands import invoke

TRAIN = "scalian-train"
TINY = (
    *("model=vae", "dataset=fake_images", "dataset.image_size=[8,8]", "model.network.hidden=[2]"),
    *("model.network.latent_dim=2", "trainer=debug", "trainer/accelerator=cpu", "callbacks=minimal", "logger=none"),
)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("callbacks=early_stopping", "+callbacks.early_stopping.monitor=val/no_error"), "metric `val/no_error`"),
        (("+callbacks.f._target_=pytorch_lightning.callbacks.BackboneFinetuning",), "no part called backbone"),
        (("+callbacks.rates._target_=pytorch_lightning.callbacks.LearningRateMonitor",), "no logger"),
    ],
)
def test_errors_that_lightnings_callbacks_raise_are_refusals(
    overrides: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    code, output = invoke(tmp_path, TRAIN, *TINY, *overrides, "hydra.run.dir=run", "test=false")
    assert code == 1
    assert sentence in output
    assert "Traceback" not in output


def test_values_for_a_callback_that_is_left_out_are_no_mistake(tmp_path: Path) -> None:
    """As an experiment's, with callbacks=minimal; in a name that no option has they are one."""
    more = ("hydra.run.dir=run", "test=false")
    assert invoke(tmp_path, TRAIN, *TINY, "+callbacks.figures.every_n_epochs=20", *more)[0] == 0
    code, output = invoke(tmp_path, TRAIN, *TINY, "+callbacks.figurs.every_n_epochs=20", "hydra.run.dir=other")
    assert code == 1
    assert "did you mean callbacks.figures?" in output
