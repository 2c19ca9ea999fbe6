"""The comparison of segmentation networks on the same scenes, against scores counted by hand."""

from pathlib import Path

import pytest
import torch
from tools import tiny

from scalian_exp.batches import VOID
from scalian_exp.checkpoint import load
from scalian_exp.course.comparison import Trained
from scalian_exp.course.comparisons.scenes.exhibit import each_scene, take
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.refusal import Refusal
from scalian_exp.run.training import train


def test_scores_of_a_scene_are_those_counted_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 1, 1, VOID]], [[VOID] * 5]])
    predicted = torch.tensor([[[0, 1, 1, 1, 2]], [[0] * 5]])
    assert each_scene(predicted, labels, 3) == {
        "miou": [pytest.approx((1 / 2 + 2 / 3) / 2), None],  # class 2 is predicted in void only
        "right": [3 / 4, None],
    }


def trained(folder: Path, *overrides: str) -> Trained:
    train(tiny(*overrides), folder)
    run = Run(load(folder))
    return Trained(run, run.facts)


@torch.no_grad()
def test_networks_are_shown_on_the_same_scenes_or_refused(tmp_path: Path) -> None:
    runs = {
        "unet": trained(tmp_path / "unet", "unet"),
        "segnet": trained(tmp_path / "segnet", "segnet"),
        "larger": trained(tmp_path / "larger", "unet", "dataset.image_size=[48,48]"),
        "codes": trained(tmp_path / "codes", "autoencoder"),
    }
    store = Store("scenes")
    with store.exhibit("scenes"):
        facts = take(runs, {"runs": {"segnet": "SegNet", "unet": {"fr": "un", "en": "one"}}}, store)
    assert list(facts["runs"]) == ["segnet", "unet"]
    assert facts["runs"]["unet"]["label"] == {"fr": "un", "en": "one"}
    run = runs["unet"].run
    batch = run.batch("test", run.spread("test", facts["scenes"]))
    right = run.network(batch["image"]).argmax(1) == batch["mask"]
    known = batch["mask"] != VOID
    expected = [float(r[k].float().mean()) for r, k in zip(right, known, strict=True)]
    assert facts["runs"]["unet"]["right"] == pytest.approx(expected)

    for other, reason in (("larger", "3×48×48"), ("codes", "segments no images")):
        with store.exhibit(other), pytest.raises(Refusal, match=reason):
            take(runs, {"runs": {"unet": "1", other: "2"}}, store)
