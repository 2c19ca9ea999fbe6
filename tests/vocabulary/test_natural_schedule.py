"""On little data of the user's own, a natural schedule becomes enough steps, unless the user sets its length."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from interruptions import assert_same, failing
from omegaconf import OmegaConf
from PIL import Image
from tools import composed as composed_by_hydra

from scalian_exp import compose
from scalian_exp.api import train
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train as go_on
from scalian_exp.sweep.changes import differences
from scalian_exp.vocabulary import natural_schedule
from scalian_exp.vocabulary.natural_schedule import KEY, as_composed, lengthened, remark_on_lengthening, with_lengths_of

NATURAL = {"trainer": {"max_epochs": 10}}


def config(trainer: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the parts of a marked config that decide its length."""
    trainer = {"max_epochs": 10, "max_steps": -1, "limit_train_batches": 1.0, "overfit_batches": 0.0, **trainer}
    return {"trainer": trainer, "model": {"optimizer": {"lr": 1}}, KEY: NATURAL, **more}


@pytest.mark.parametrize(
    ("trainer", "batches", "epochs"),
    [
        ({}, 5, 200),  # 309 faces in batches of 64: 1000 / 5
        ({}, 49, 21),  # 490 steps are few; 21 · 49 = 1029
        ({}, 50, 10),  # 500 aren't
        ({"accumulate_grad_batches": 4}, 10, 334),  # 3 steps an epoch
        ({"max_steps": 2000}, 5, 400),  # the user's number of steps
        ({"max_steps": 2000}, 100, 20),
        ({"max_steps": 30}, 5, 10),
        ({"limit_train_batches": 3}, 5, 10),
        ({"overfit_batches": 1}, 5, 10),
        ({"max_time": "00:00:10:00"}, 5, 10),
        ({"max_epochs": 2}, 5, 2),  # changed by a program since it was composed
    ],
)
def test_few_steps_become_enough(trainer: dict[str, Any], batches: int, epochs: int) -> None:
    assert lengthened(config(trainer), batches)["trainer"]["max_epochs"] == epochs


def test_what_is_not_marked_or_not_trained_by_gradient_stays() -> None:
    unmarked = {key: value for key, value in config({}).items() if key != KEY}
    assert lengthened(unmarked, 5) == unmarked
    counted_only = {**config({}), "model": {}}
    assert lengthened(counted_only, 5) == counted_only


def test_layers_keep_their_share_of_the_epochs() -> None:
    natural = {"trainer": {"max_epochs": 15}, "model": {"epochs_per_layer": 5}}
    stack = config({"max_epochs": 15}, model={"optimizer": {"lr": 1}, "epochs_per_layer": 5})
    longer = lengthened({**stack, KEY: natural}, 4)
    assert (longer["trainer"]["max_epochs"], longer["model"]["epochs_per_layer"]) == (250, 83)
    assert as_composed(longer) == {key: value for key, value in stack.items() if key != KEY}


def test_warm_up_and_validations_keep_their_share_of_the_epochs() -> None:
    ratings = ["model=multvae", "dataset=ratings_csv", "dataset.root=mine", "dataset.users=9", "dataset.items=9"]
    marked = compose(*ratings)
    longer = lengthened(marked, 1)
    assert longer["trainer"]["max_epochs"] == 1000
    assert longer["loss"]["warmup_epochs"] == 1000 * 50 // 60
    assert longer["trainer"]["check_val_every_n_epoch"] == 1000 // 60
    overrides = ["loss.warmup_epochs=9", "trainer.check_val_every_n_epoch=5"]
    given = lengthened(compose(*ratings, *overrides), 1)
    assert (given["trainer"]["max_epochs"], given["loss"]["warmup_epochs"]) == (1000, 9)
    assert given["trainer"]["check_val_every_n_epoch"] == 5


def test_a_lengthened_schedule_is_announced() -> None:
    assert remark_on_lengthening(lengthened(config({}), 5)) == (
        ": the model's own 10 epochs would be few steps with so little data; trainer.max_epochs=… sets another number"
    )
    assert remark_on_lengthening(lengthened(config({}), 500)) == ""
    assert remark_on_lengthening({"trainer": {"max_epochs": 3}}) == ""


@pytest.mark.parametrize("option", ["image_folder", "mask_folder", "ratings_csv", "text_csv", "shards", "mask_shards"])
def test_the_models_schedule_is_natural_on_data_of_ones_own(option: str) -> None:
    model = {"mask": "unet", "rati": "multvae", "text": "text_autoencoder"}.get(option[:4], "autoencoder")
    counted = ["dataset.users=9", "dataset.items=9"] if option == "ratings_csv" else []  # not in a file
    marked = compose(f"model={model}", f"dataset={option}", "dataset.root=mine", *counted)
    assert marked[KEY]["trainer"]["max_epochs"] == marked["trainer"]["max_epochs"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=classifier", "dataset=sklearn_digits"],
        ["model=classifier", "dataset=mnist", "dataset.train_size=100"],
        ["model=classifier", "dataset=fake_images"],
        *(
            ["model=autoencoder", "dataset=image_folder", "dataset.root=mine", length]
            for length in ("trainer.max_epochs=40", "++trainer.max_epochs=3", "trainer=debug", "trainer=overfit")
        ),
        ["experiment=dbn_mnist", "dataset=image_folder", "dataset.root=mine"],
        ["model=dbn", "dataset=image_folder", "dataset.root=mine", "model.epochs_per_layer=3"],
        ["model=autoencoder", "dataset=image_folder", "dataset.root=mine", "trainer.max_epochs=-1"],
    ],
)
def test_a_length_that_is_set_stays_and_so_do_the_schedules_of_known_data(overrides: list[str]) -> None:
    assert KEY not in compose(*overrides)


def test_a_length_in_a_file_of_the_users_stays(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    mine = "# @package _global_\ndefaults:\n  - override /model: autoencoder\n  - override /dataset: image_folder\n"
    (tmp_path / "experiment/mine.yaml").write_text(f"{mine}  - _self_\ntrainer:\n  max_epochs: 3\n")
    found = f"hydra.searchpath=[file://{tmp_path}]"
    own = compose(found, "experiment=mine", "dataset.root=mine")
    assert own["trainer"]["max_epochs"] == 3
    assert KEY not in own


def few_images(folder: Path) -> Path:
    """Write 20 images in two classes."""
    noise = np.random.default_rng(0)
    for number in range(20):
        file = folder / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (8, 8), dtype=np.uint8)).save(file)
    return folder


def test_a_run_stores_its_length_and_goes_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natural_schedule, "FEW", 10)
    monkeypatch.setattr(natural_schedule, "ENOUGH", 12)
    overrides = [
        *["model=autoencoder", "dataset=image_folder", f"dataset.root={few_images(tmp_path / 'images')}"],
        *["dataset.image_size=[8,8]", "dataset.batch_size=8", "dataset.num_workers=0", "model.network.hidden=[4]"],
        *["callbacks=minimal", "logger=none", "trainer/accelerator=cpu", "test=false"],
    ]
    natural = compose(*overrides)
    natural["trainer"]["max_epochs"] = natural[KEY]["trainer"]["max_epochs"] = 3  # of 3 steps
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(natural, whole)["steps"] == 12
    stored = yaml.safe_load((whole / "config.yaml").read_text())
    assert stored["trainer"]["max_epochs"] == 4
    for same in (natural, stored):
        assert train(same, whole)["steps"] == 12, "the same config is the same run"

    with pytest.raises(ArithmeticError):
        train(failing(natural, 10), parts)
    config, _ = resumed([f"resume={parts}", "trust=interruptions"])
    assert config["trainer"]["max_epochs"] == 4
    del config["callbacks"]["at"]
    monkeypatch.setattr(natural_schedule, "FEW", 0)  # even if the rule changes between versions
    go_on(config, parts)
    assert_same(whole, parts)


def test_a_resumed_run_takes_another_length_and_a_sweep_compares_the_natural_one(tmp_path: Path) -> None:
    overrides = ["model=autoencoder", "dataset=image_folder", "dataset.root=/mine"]
    longer = lengthened(compose(*overrides), 5)
    assert longer["trainer"]["max_epochs"] == 200
    now: Any = OmegaConf.to_container(composed_by_hydra(*overrides), resolve=True)
    assert differences(longer, now), "the run trains for more epochs than its overrides say"
    assert differences(as_composed(longer), now) == []
    again = with_lengths_of(compose(*overrides), {**longer, "trainer": {**longer["trainer"], "max_epochs": 70}})
    assert again["trainer"]["max_epochs"] == 70, "an interrupted job goes on with the length that it began with"

    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt").touch()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(longer))
    changed, _ = resumed([f"resume={tmp_path}", "trainer.max_epochs=40"])
    assert changed["trainer"]["max_epochs"] == 40
    assert KEY not in changed, "or the natural number would be lengthened again"
