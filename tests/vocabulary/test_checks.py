"""Checks of a command line that need only the configs."""

import re
import sys
from functools import cache
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from omegaconf import OmegaConf
from tools import composed, fake, fit_together, fits, names, of_each_kind, option, own_models, partnered

from scalian_exp.commandline.experiment import checked
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.checks import check_arguments, check_plain
from scalian_exp.vocabulary.options import options
from scalian_exp.vocabulary.part_checks import NEEDED, check_parts
from scalian_exp.vocabulary.signatures import signature

OPTIONS = cache(options)  # otherwise every refusal would read all files again


@cache
def different(group: str, key: str) -> list[str]:
    """Return one option for each value that a key has in a group."""
    return list({str(option(group, name)[key]): name for name in names(group)}.values())


@pytest.mark.parametrize("model", of_each_kind())
def test_every_triple_is_compatible_or_refused(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options that provide or fit the same are alike to the check, so one of them is tried."""
    monkeypatch.setattr("scalian_exp.vocabulary.options.options", OPTIONS)
    datasets, losses = different("dataset", "provides"), different("loss", "fits")
    assert len(datasets) > 5
    assert len(losses) > 10
    for dataset, loss in product(datasets, losses):
        config = {"model": option("model", model), "dataset": option("dataset", dataset), "loss": option("loss", loss)}
        config = {**dict.fromkeys(NEEDED), **config}
        if fit_together(model, dataset, loss):
            check_parts(OmegaConf.create(config))
        else:
            with pytest.raises(Refusal, match=r"use (loss|dataset)=\w+|none here fits"):
                check_parts(OmegaConf.create(config))


def losses_of(model: str) -> list[str]:
    return [loss for loss in names("loss") if fit_together(model, fake(model), loss)]


@pytest.mark.parametrize(("model", "loss"), partnered(losses_of))
def test_the_arguments_of_every_fitting_loss_are_accepted(model: str, loss: str) -> None:
    assert checked(composed(f"model={model}", f"loss={loss}"))


def with_datasets() -> list[Any]:
    """List every model of ours with every data set that fits it, as parameters of a test.

    The default run tries each data set once, and the first of the models with equal `fits` with each kind of data.
    """
    seen: set[tuple[str, str]] = set()
    parameters = []
    for model in own_models():
        for data in names("dataset"):
            if fit_together(model, data, losses_of(model)[0]):
                new = {("any", data), (str(fits(model)), str(option("dataset", data)["provides"]))} - seen
                parameters.append(pytest.param(model, data, marks=[] if new else [pytest.mark.slow]))
                seen |= new
    return parameters


@pytest.mark.parametrize(("model", "dataset"), with_datasets())
def test_the_arguments_of_every_fitting_dataset_are_accepted(model: str, dataset: str) -> None:
    facts = option("dataset", dataset)
    given = ["dataset.root=."] if "root" in facts else []
    given += ["dataset.users=9", "dataset.items=9"] if facts.get("users") == "auto" else []
    given += ["dataset.num_classes=2"] if "num_classes" in facts and not facts["num_classes"] else []
    assert checked(composed(f"model={model}", f"dataset={dataset}", f"loss={losses_of(model)[0]}", *given))


def test_a_model_alone_is_a_complete_command() -> None:
    for model in names("model"):
        assert checked(composed(f"model={model}"))["trainer"]["max_epochs"] >= 1


def test_the_command_line_and_the_experiment_override_the_model() -> None:
    config = composed("experiment=vae_mnist", "loss=elbo_gaussian", "trainer.max_epochs=3")
    assert config.model.network.hidden == [200, 200]  # the experiment's model
    assert config.dataset.batch_size == 100
    assert "sigma" in config.loss.likelihood
    assert config.trainer.max_epochs == 3


def test_a_trainer_mode_overrides_model_and_experiment() -> None:
    assert composed("experiment=vae_mnist", "trainer=debug").trainer.max_epochs == 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model=autoencoder", "loss=elbo"], "can't train model=this one; use loss=bce|l1|mse."),
        (["+model.network.latent_dm=3"], "takes no argument 'latent_dm'; did you mean 'latent_dim'?"),
        (["+model.optimizer.lrr=3"], "takes no argument 'lrr'; did you mean 'lr'?"),
        (["+trainer.max_epoch=3"], "takes no argument 'max_epoch'; did you mean 'max_epochs'?"),
        (["+dataset.batchsize=3"], "takes no argument 'batchsize'; did you mean 'batch_size'?"),
        (["model.network.latent_dim=two"], "model.network.latent_dim must be a whole number from 1, not 'two'"),
        (["model.network.latent_dim=0"], "model.network.latent_dim must be a whole number from 1, not 0"),
        (["model.network.latent_dim=2.5"], "must be a whole number from 1, not 2.5"),
        (["model.network.hidden=400"], "model.network.hidden must be a list, not 400"),
        (["model.network.hidden=[4,x]"], "must be a list, each item a whole number"),
        (["loss.beta=-1"], "loss.beta must be a number from 0, not -1"),
        (["loss.beta=much"], "loss.beta must be a number from 0, not 'much'"),
        (["dataset.batch_size=0"], "dataset.batch_size must be a whole number from 1, not 0"),
        (["dataset=image_folder"], "dataset.root has no value yet"),
        (["dataset=image_folder", "dataset.root=.", "dataset.fit=squash"], "must be one of crop, resize"),
        (["trainer.max_epochs=ten"], "trainer.max_epochs must be a whole number or null, not 'ten'"),
        (["trainer.precision=16", "trainer.gradient_clip_val=1"], "use trainer.precision=bf16-mixed or"),
        (["trainer.devices=2"], "use trainer.devices=1"),
        (["~model.fits"], "doesn't state what it fits; add to its file"),
        (["seed=4294967296"], "a whole number from 0 to 4294967295, not 4294967296"),
        (["seed=x"], "seed must be a whole number from 0 to 4294967295, not 'x'"),
        (["compile=yes"], "compile must be true or false, not 'yes'"),
        (["cuda_graphs=true", "compile=true"], "choose one of them"),
        (["cuda_graphs=true", "trainer/accelerator=ddp_cpu"], "cuda_graphs=true works in a single process"),
        (["cuda_graphs=true", "trainer.accumulate_grad_batches=2"], "leave trainer.accumulate_grad_batches out"),
        (["~model.network.latent_dim"], "needs latent_dim"),
        (["trainer.precision=16-mixed", "trainer.gradient_clip_val=1"], "use trainer.precision=bf16-mixed or"),
        (["loss.beta=inf"], "loss.beta must be a number from 0, not inf"),
        (["loss.beta=nan"], "loss.beta must be a number from 0, not nan"),
        (["model.optimizer.lr=inf"], "must be a number"),
        (["model.network.latent_dim=10000000000"], "must be a whole number from 1 to 2147483647"),
    ],
)
def test_mistakes_are_refused_in_one_sentence(overrides: list[str], sentence: str) -> None:
    with pytest.raises(Refusal, match=re.escape(sentence)) as caught:
        checked(composed("model=vae", *overrides) if "model=autoencoder" not in overrides else composed(*overrides))
    assert "\n" not in str(caught.value)


def test_a_module_without_a_file_has_no_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `__main__` module of a script or a notebook has no spec."""
    monkeypatch.setitem(sys.modules, "made_by_hand", ModuleType("made_by_hand"))
    assert signature("made_by_hand.Net") is None


def test_a_dataset_may_state_values_that_its_class_does_not_take() -> None:
    node = {
        "_target_": "scalian_exp.datasets.bundled.Digits",
        "in_channels": 1,
        "image_size": [8, 8],
        "num_classes": 10,
    }
    check_arguments({"dataset": node})
    with pytest.raises(Refusal, match="takes no argument 'classes'"):
        check_arguments({"dataset": {**node, "classes": 10}})


def test_arguments_of_base_classes_are_checked_as_the_classs_own() -> None:
    """MovieLens100k takes `split`, MovieLens `root`, and their base class Ratings all others."""
    node = {"_target_": "scalian_exp.datasets.movielens.MovieLens100k", "root": "data", "split": "u2"}
    whole = {**node, "users": 3, "items": 4, "levels": [1, 2], "val_share": 0.2}
    check_arguments({"dataset": whole})
    for wrong, sentence in (
        ({"val_shre": 0.1}, r"dataset \(.*MovieLens100k\) takes no argument 'val_shre'; did you mean 'val_share'\?"),
        ({"val_share": 2}, r"dataset.val_share must be a number from 0 to 1, not 2\."),
        ({"split": "u9"}, r"dataset.split must be one of u1, u2, u3, u4, u5, ua, ub, random, not 'u9'\."),
        ({"num_workers": 2}, r"takes no argument 'num_workers'; it takes split, root, users, items, levels, liked, "),
    ):
        with pytest.raises(Refusal, match=sentence):
            check_arguments({"dataset": {**whole, **wrong}})
    with pytest.raises(Refusal, match=r"needs items, levels; add it: \+dataset.items=…"):
        check_arguments({"dataset": {**node, "users": 3}})


@pytest.mark.parametrize("model", of_each_kind())
def test_nulls_are_refused_before_training_unless_the_annotation_allows_them(model: str) -> None:
    """A model's values that are null where the model has one are refused, and the message names them and null."""
    config = checked(composed(f"model={model}"))
    for key, value in config["model"].items():
        allowed = {"schedule", "momentum", "weight_decay", "corruption", "penalty"}  # none of these is a choice, too
        if isinstance(value, dict) and key not in {"fits", *allowed}:
            with pytest.raises(Refusal, match=rf"model\.{key}.* null|model\.{key}=null"):
                check_plain({**config, "model": {**config["model"], key: None}})


@pytest.mark.parametrize("key", ["seed", "outputs", "test", "repeats", "compile"])
def test_nulls_at_the_root_are_refused(key: str) -> None:
    with pytest.raises(Refusal, match=rf"^{key} must be .*, not null\.$"):
        check_plain({**checked(composed("model=vae")), key: None})


def test_an_actions_argument_is_named_as_users_write_it() -> None:
    node = {"_target_": "scalian_exp.actions.sample.Sample", "count": -1}
    with pytest.raises(Refusal, match=r"^count must be a whole number from 1, not -1\.$"):
        check_arguments({"action": node})
