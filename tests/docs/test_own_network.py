"""The example networks of docs/your_network.md can be trained and applied as the page says."""

from pathlib import Path

import pytest
from commands import invoke
from documented import ROOT
from PIL import Image

OWN = ROOT / "docs/own_network"
QUICK = ["trainer=debug", "trainer/accelerator=cpu", "callbacks=minimal", "logger=none"]


@pytest.mark.parametrize(
    ("model", "dataset", "action"),
    [("halves", "fake_images", "reconstruct"), ("small_segmenter", "fake_masks", "segment")],
)
def test_own_networks_train_and_are_applied(
    model: str, dataset: str, action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(OWN))
    Image.effect_noise((37, 23), 60).save(tmp_path / "photo.png")  # sides that no stride divides
    overrides = [f"hydra.searchpath=[file://{OWN}/configs]", f"model={model}", f"dataset={dataset}", *QUICK]
    code, output = invoke(tmp_path, "scalian-train", *overrides, "hydra.run.dir=run")
    assert code == 0, output
    arguments = ["run=run", f"action={action}", "image=photo.png", f"trust={model}"]
    code, output = invoke(tmp_path, "scalian-apply", *arguments)
    assert code == 0, output
    assert list((tmp_path / f"run/{action}").rglob("*.png"))
    code, output = invoke(tmp_path, "scalian-apply", *arguments[:1], f"action={action}")
    assert code != 0
    assert f"trust={model}" in output
