"""Objects built from config nodes, where a class passes its `**kwargs` on to its base classes."""

from typing import Any

import pytest

from scalian_exp.build import build
from scalian_exp.refusal import Refusal
from scalian_exp.sweep.changes import with_added_arguments

MASKS = {
    "_target_": "scalian_exp.datasets.fake.FakeMasks",
    "in_channels": 1,
    "image_size": [8, 8],
    "num_classes": 3,  # a fact of a data set: left out unless the constructor takes it
    "levels": 256,  # likewise, and this one doesn't
    "batch_size": 2,
}


def test_facts_are_passed_on_to_base_classes() -> None:
    data = build("dataset", MASKS)
    assert (data.num_classes, data.shape, data.batch_size) == (3, (1, 8, 8), 2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"batchsize": 2}, "unexpected keyword argument 'batchsize'"), ({"image_size": None}, "missing .*'image_size'")],
)
def test_arguments_that_no_base_class_takes_are_refused(change: dict[str, Any], sentence: str) -> None:
    node = {name: value for name, value in {**MASKS, **change}.items() if value is not None}
    with pytest.raises(Refusal, match=f"dataset: FakeMasks can't be called like this: .*{sentence}"):
        build("dataset", node)


def test_offers_reach_base_classes() -> None:
    data = build("dataset", MASKS, train_size=5, batch_size=3, ignore_index=7, other=1)
    assert (data.sizes["train"], data.batch_size, data.ignore_index) == (5, 2, 7)


def test_an_older_configs_missing_argument_has_its_base_classs_default() -> None:
    before = {"_target_": "scalian_exp.datasets.movielens.MovieLens1M", "root": "data"}
    now = {**before, "rows": "items", "val_share": 0.05}
    assert with_added_arguments(before, now) == {**before, "rows": "users", "val_share": 0.05}
