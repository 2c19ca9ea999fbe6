"""scripts/thresholds.py: errors of objects at several thresholds, by hand and on a run."""

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from tools import script, tiny

from scalian_exp.run.training import train


def test_errors_of_two_cells_without_a_membrane_between_them() -> None:
    """Two cells of two pixels, merged: of 16 pairs 8 are true, so the F1 is 16 / 24; a bit tells them apart."""
    true = torch.tensor([[[1, 1, 0, 1, 1, 0]]]).bool()
    labelled = torch.tensor([[[1, 1, 1, 1, 1, 0]]]).bool()
    found = torch.tensor([[[1, 1, 1, 1, 1, 1]]]).bool()
    measured = script("thresholds").measured
    torch.testing.assert_close(measured(found, true, labelled), torch.tensor([[1 / 5, 1 / 3, 1.0]]))
    torch.testing.assert_close(measured(true, true, labelled), torch.zeros(1, 3))


@pytest.mark.parametrize("void", ["null", "2"])
def test_a_run_is_scored_at_every_threshold(void: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At 0.5, two classes have the pixel error of the test, one minus the pixel accuracy; void pixels are no errors."""
    run = tmp_path / "run"
    said = ["dataset.num_classes=2", "+dataset.object_class=1", f"dataset.ignore_index={void}"]
    metrics = train(tiny("unet", *said), run)
    capsys.readouterr()
    with patch("sys.argv", ["thresholds.py", str(run)]):
        script("thresholds").main()
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    errors = {cells[1].strip(): float(cells[2]) for cells in rows}
    assert errors["0.5"] == pytest.approx(1 - metrics["test/pixel_accuracy"], abs=6e-5)
    assert errors["lowest"] == min(errors.values()) <= errors["chosen on validation"]


def test_a_run_without_objects_is_refused(tmp_path: Path) -> None:
    train(tiny("unet", "test=false"), tmp_path / "run")
    with patch("sys.argv", ["thresholds.py", str(tmp_path / "run")]), pytest.raises(SystemExit, match="object_class"):
        script("thresholds").main()
