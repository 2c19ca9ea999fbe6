"""What the configs alone can tell."""

import ast
import re
import sys
from functools import cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from tools import composed, fake, fit_together, names, of_each_kind, option, partnered

from scalian_exp.commandline.experiment import checked
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.annotations import check_of, expected
from scalian_exp.vocabulary.checks import NEEDED, check_arguments, check_words
from scalian_exp.vocabulary.nodes import targets
from scalian_exp.vocabulary.options import CONFIGS, options
from scalian_exp.vocabulary.signatures import signature
from scalian_exp.vocabulary.trainer_checks import VALUES, check_trainer
from scalian_exp.vocabulary.training_length import check_lengths, remarks

OPTIONS = cache(options)  # else every refusal reads all files anew


@pytest.mark.parametrize("model", of_each_kind())
def test_every_triple_is_compatible_or_refused(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalian_exp.vocabulary.options.options", OPTIONS)
    for dataset, loss in product(names("dataset"), names("loss")):
        said = {"model": option("model", model), "dataset": option("dataset", dataset), "loss": option("loss", loss)}
        said = {**dict.fromkeys(NEEDED), **said}
        if fit_together(model, dataset, loss):
            check_words(OmegaConf.create(said))
        else:
            with pytest.raises(Refusal, match=r"use (loss|dataset)=\w+|none here fits"):
                check_words(OmegaConf.create(said))


def losses_of(model: str) -> list[str]:
    return [loss for loss in names("loss") if fit_together(model, fake(model), loss)]


@pytest.mark.parametrize(("model", "loss"), partnered(losses_of))
def test_every_fitting_losss_arguments_are_taken(model: str, loss: str) -> None:
    assert checked(composed(f"model={model}", f"loss={loss}"))


@pytest.mark.parametrize(
    ("model", "dataset"),
    partnered(lambda model: [data for data in names("dataset") if fit_together(model, data, losses_of(model)[0])]),
)
def test_every_fitting_datasets_arguments_are_taken(model: str, dataset: str) -> None:
    facts = option("dataset", dataset)
    given = ["dataset.root=."] if "root" in facts else []
    given += ["dataset.num_classes=2"] if "num_classes" in facts and not facts["num_classes"] else []
    assert checked(composed(f"model={model}", f"dataset={dataset}", f"loss={losses_of(model)[0]}", *given))


def test_a_model_alone_is_a_whole_sentence() -> None:
    for model in names("model"):
        assert checked(composed(f"model={model}"))["trainer"]["max_epochs"] >= 1


def test_the_command_line_and_the_experiment_win_over_the_model() -> None:
    config = composed("experiment=vae_mnist", "loss=elbo_gaussian", "trainer.max_epochs=3")
    assert config.model.network.hidden == [200, 200]  # the experiment's model
    assert config.dataset.batch_size == 100
    assert "sigma" in config.loss.likelihood
    assert config.trainer.max_epochs == 3


def test_a_trainer_mode_wins_over_model_and_experiment() -> None:
    assert composed("experiment=vae_mnist", "trainer=debug").trainer.max_epochs == 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model=autoencoder", "loss=elbo"], "is a reconstruction one; use loss=bce|l1|mse."),
        (["+model.network.latent_dm=3"], "takes no argument 'latent_dm'; did you mean 'latent_dim'?"),
        (["+model.optimizer.lrr=3"], "takes no argument 'lrr'; did you mean 'lr'?"),
        (["+trainer.max_epoch=3"], "takes no argument 'max_epoch'; did you mean 'max_epochs'?"),
        (["+dataset.batchsize=3"], "takes no argument 'batchsize'; did you mean 'batch_size'?"),
        (["model.network.latent_dim=two"], "model.network.latent_dim must be a whole number from 1, not 'two'"),
        (["model.network.latent_dim=0"], "model.network.latent_dim must be a whole number from 1, not 0"),
        (["model.network.latent_dim=2.5"], "must be a whole number from 1, not 2.5"),
        (["model.network.hidden=400"], "model.network.hidden must be a list, not 400"),
        (["model.network.hidden=[4,x]"], "must be a list, each a whole number"),
        (["loss.beta=-1"], "loss.beta must be a number from 0, not -1"),
        (["loss.beta=much"], "loss.beta must be a number from 0, not 'much'"),
        (["dataset.batch_size=0"], "dataset.batch_size must be a whole number from 1, not 0"),
        (["dataset=image_folder"], "dataset.root has no value yet"),
        (["dataset=image_folder", "dataset.root=.", "dataset.fit=squash"], "must be one of crop, resize"),
        (["trainer.max_epochs=ten"], "trainer.max_epochs must be a whole number or null, not 'ten'"),
        (["trainer.precision=16", "trainer.gradient_clip_val=1"], "use trainer.precision=bf16-mixed or"),
        (["trainer.devices=2"], "use trainer.devices=1"),
        (["~model.fits"], "doesn't say what it fits; add to its file"),
        (["seed=4294967296"], "a whole number from 0 to 4294967295, not 4294967296"),
        (["seed=x"], "seed must be a whole number from 0 to 4294967295, not 'x'"),
        (["compile=yes"], "compile must be true or false, not 'yes'"),
        (["cuda_graphs=true", "compile=true"], "choose one of them"),
        (["cuda_graphs=true", "trainer/accelerator=ddp_cpu"], "cuda_graphs=true is for one process"),
        (["cuda_graphs=true", "trainer.accumulate_grad_batches=2"], "leave trainer.accumulate_grad_batches out"),
        (["~model.network.latent_dim"], "needs latent_dim"),
        (["trainer.precision=16-mixed", "trainer.gradient_clip_val=1"], "use trainer.precision=bf16-mixed or"),
        (["loss.beta=inf"], "loss.beta must be a number from 0, not inf"),
        (["loss.beta=nan"], "loss.beta must be a number from 0, not nan"),
        (["model.optimizer.lr=inf"], "must be a number"),
        (["model.network.latent_dim=10000000000"], "must be a whole number from 1 to 2147483647"),
    ],
)
def test_mistakes_are_told_in_one_sentence(overrides: list[str], sentence: str) -> None:
    with pytest.raises(Refusal, match=re.escape(sentence)) as caught:
        checked(composed("model=vae", *overrides) if "model=autoencoder" not in overrides else composed(*overrides))
    assert "\n" not in str(caught.value)


PLAIN_TRAINER = {"max_epochs": 3, "accelerator": "cpu", "devices": 1}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("max_epochs", [1, -1, None], [0, -2, 1.5, True, "ten"]),
        ("max_steps", [-1, 1, 10**6], [0, -2, 1.5, None]),
        ("max_time", [None, "00:12:00:00", {"hours": 12}], ["soon", "12:00", "00:00:00:00", {"hours": 0}, {"h": 1}, 5]),
        ("limit_train_batches", [1, 1.0, 0.5, 20, None], [0, 0.0, -1, 1.5, -0.1, float("nan"), float("inf"), "all"]),
        ("limit_val_batches", [1, 0.5], [0, 0.0, -1, 2.5]),
        ("limit_test_batches", [1, 0.5], [0, 0.0, -1, 2.5]),
        ("overfit_batches", [0, 0.0, 1, 0.5], [-1, 1.5, "one"]),
        ("val_check_interval", [None, 1, 0.5, 1.0, "00:00:10:00"], [0, 0.0, -1, 1.5, "often"]),
        ("check_val_every_n_epoch", [1, 10], [0, -1, 0.5, None]),
        ("num_sanity_val_steps", [0, 2, -1], [-2, 0.5]),
        ("log_every_n_steps", [0, 1, 50], [-1, 0.5]),
        ("accumulate_grad_batches", [None, 1, 4], [0, -1, 1.5, {4: 2}]),
        ("gradient_clip_val", [None, 0, 1, 0.5], [-1, float("inf"), float("nan"), "small"]),
        ("gradient_clip_algorithm", [None, "norm", "value"], ["max"]),
        ("deterministic", [True, False, "warn", None], ["maybe", 1]),
        ("benchmark", [True, None], ["maybe", 1]),
        ("precision", ["32-true", "bf16-mixed", 64, "16", None], ["8-bit", 31]),
        ("accelerator", ["auto", "cpu"], ["tpu", "abacus", None]),
        ("profiler", [None, "simple"], ["slow", 1]),
        ("num_nodes", [1], [0, -1]),
        ("devices", [1, "1", [0], "free"], [0, 2, -2, True, "all", [], [-1], ["x"], 1.5]),
        ("fast_dev_run", [False, 0], [True, 3, -1]),
        ("barebones", [False], [True]),
        ("enable_checkpointing", [True], [False]),
        ("plugins", [None], [["x"]]),
        ("reload_dataloaders_every_n_epochs", [0, 1], [-1]),
    ],
)
def test_a_trainers_values_are_judged_before_anything_is_built(name: str, good: list, bad: list) -> None:
    for value in good:
        check_trainer({**PLAIN_TRAINER, name: value}, {}, weights_given=False)
    for value in bad:
        with pytest.raises(Refusal, match=f"trainer.{name}") as caught:
            check_trainer({**PLAIN_TRAINER, name: value}, {}, weights_given=False)
        assert "\n" not in str(caught.value)


def test_every_argument_of_lightnings_trainer_has_a_rule() -> None:
    takes = signature("pytorch_lightning.Trainer")
    assert takes is not None
    assert set(takes.parameters) - {"strategy", "devices"} == set(VALUES)


def test_no_epochs_are_for_testing_given_weights_alone() -> None:
    check_trainer({**PLAIN_TRAINER, "max_epochs": 0}, {}, weights_given=True)
    with pytest.raises(Refusal, match="init_from=<a run>"):
        check_trainer({**PLAIN_TRAINER, "max_epochs": 0}, {}, weights_given=False)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"min_epochs": 4}, "trainer.min_epochs=4 is more than trainer.max_epochs=3"),
        ({"min_epochs": 3}, ""),
        ({"min_epochs": 4, "max_epochs": -1}, ""),
        ({"min_epochs": 4, "max_epochs": None}, ""),
        ({"min_steps": 8, "max_steps": 7}, "trainer.min_steps=8 is more than trainer.max_steps=7"),
        ({"min_steps": 8, "max_steps": -1}, ""),
        ({"min_steps": None, "max_steps": 7}, ""),
    ],
)
def test_values_of_a_trainer_that_contradict_each_other_are_refused(values: dict, sentence: str) -> None:
    trainer = {**PLAIN_TRAINER, **values}
    if not sentence:
        check_trainer(trainer, {}, weights_given=False)
        return
    with pytest.raises(Refusal, match=re.escape(sentence)):
        check_trainer(trainer, {}, weights_given=False)


def test_what_a_trainers_values_mean_without_saying_so_is_told() -> None:
    assert remarks(PLAIN_TRAINER) == []
    assert remarks({"max_epochs": -1, "max_steps": 5}) == remarks({"max_epochs": -1, "max_time": "00:01:00:00"}) == []
    (endless,) = remarks({"max_epochs": -1, "max_steps": -1, "max_time": None})
    assert "until a callback or Ctrl-C ends it" in endless
    assert remarks({"max_epochs": 3, "overfit_batches": 1, "limit_train_batches": 1.0}) == []
    (unused,) = remarks({"max_epochs": 3, "overfit_batches": 5, "limit_train_batches": 20, "limit_val_batches": 1})
    assert len(remarks({"max_epochs": 3, "gradient_clip_algorithm": "value"})) == 1
    assert remarks({"max_epochs": 3, "gradient_clip_algorithm": "value", "gradient_clip_val": 1}) == []
    assert unused.endswith("not trainer.limit_train_batches=20 or trainer.limit_val_batches=1")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"min_epochs": 3, "max_steps": 29}, "trainer.min_epochs=3 needs 30 steps of this data"),
        ({"min_epochs": 3, "max_steps": 30}, ""),
        ({"min_epochs": 3, "max_steps": 29, "accumulate_grad_batches": 2}, ""),
        ({"val_check_interval": 31, "check_val_every_n_epoch": None}, "31 is more than the 30 batches of the whole"),
        ({"val_check_interval": 31, "check_val_every_n_epoch": None, "max_epochs": -1}, ""),
        ({"limit_test_batches": 0.1}, "limit_test_batches=0.1 of 3 batches is less than one"),
        ({"limit_train_batches": 0.05}, "limit_train_batches=0.05 of 10 batches is less than one"),
        ({"val_check_interval": 11}, "more than the 10 steps of an epoch"),
        ({"val_check_interval": 3, "limit_train_batches": 2}, "more than the 2 steps of an epoch"),
        ({"val_check_interval": 0.05}, "of 10 steps is less than one"),
        ({"overfit_batches": 0.05}, "overfit_batches=0.05 is less than one batch"),
        ({"val_check_interval": 11, "check_val_every_n_epoch": None}, ""),
        ({"val_check_interval": 10, "limit_train_batches": 0.1, "overfit_batches": 0.0}, "more than the 1 steps"),
        ({"val_check_interval": 5, "limit_train_batches": 0.5, "limit_test_batches": 1.0}, ""),
    ],
)
def test_parts_and_intervals_are_compared_with_the_data(values: dict, sentence: str) -> None:
    sizes = {"train": 10, "val": 5, "test": 3}
    if not sentence:
        check_lengths({**PLAIN_TRAINER, **values}, sizes)
        return
    with pytest.raises(Refusal, match=sentence):
        check_lengths({**PLAIN_TRAINER, **values}, sizes)


def test_signatures_follow_imports_and_bases() -> None:
    adam = signature("torch.optim.Adam")
    assert adam is not None
    assert {"params", "lr", "betas", "fused"} <= set(adam.parameters)
    digits = signature("scalian_exp.datasets.bundled.Digits")  # its __init__ is its base's
    assert digits is not None
    assert {"batch_size", "val_size"} <= set(digits.parameters)
    mse = signature("scalian_exp.losses.reconstruction.SquaredError")  # nn.Module's takes nothing
    assert mse is not None
    assert mse.parameters == {}
    assert signature("no_such_package.Thing") is None


def test_what_a_signature_cannot_tell_is_left_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text(
        "from dataclasses import dataclass\nimport torch.nn as nn\n"
        "class Mixin: pass\nclass Base:\n    def __init__(self, width: int): ...\n"
        "@dataclass\nclass Data:\n    width: int\nclass Both(Mixin, Base): pass\n"
        "class Callback:\n    def __init__(self, x): ...\nclass Mine(Callback): pass\nclass Net(nn.Module): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert signature("theirs.Data") is None
    assert signature("theirs.Both") is None
    assert list(signature("theirs.Mine").parameters) == ["x"]  # type: ignore[union-attr]
    assert signature("theirs.Net") is not None


def test_a_module_without_a_file_has_no_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `__main__` module of a script or a notebook has no spec."""
    monkeypatch.setitem(sys.modules, "made_by_hand", ModuleType("made_by_hand"))
    assert signature("made_by_hand.Net") is None


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [1, -1], [1.5, True, "1", None]),
        ("float", [1, 0.5], ["x", False, None]),
        ("bool", [True], [0, "true"]),
        ("str | None", ["a", None], [1]),
        ("Optional[int]", [1, None], ["a"]),
        ("Union[int, str]", [1, "a"], [1.5]),
        ("Sequence[int]", [[1, 2], []], [1, ["a"], "ab"]),
        ("Literal['a', 'b']", ["a"], ["c"]),
        ("Fraction", [0, 0.5, 1], [-0.1, 1.1, "x"]),
        ("PositiveFloat", [0.1], [0, -1]),
        ("SomethingElse", [1, "a", None, {}], []),
    ],
)
def test_values_are_compared_with_annotations(annotation: str, good: list, bad: list) -> None:
    import ast

    node = ast.parse(annotation, mode="eval").body
    assert [expected(value, node) for value in good] == [None] * len(good)
    assert all(expected(value, node) for value in bad)


def test_facts_may_stand_in_a_dataset_whose_loader_does_not_take_them() -> None:
    node = {
        "_target_": "scalian_exp.datasets.bundled.Digits",
        "in_channels": 1,
        "image_size": [8, 8],
        "num_classes": 10,
    }
    check_arguments({"dataset": node})
    with pytest.raises(Refusal, match="takes no argument 'classes'"):
        check_arguments({"dataset": {**node, "classes": 10}})


def in_use() -> dict[str, ast.expr]:
    """The annotations of all parameters of what the configs name, as they are written in the end."""
    found = {}
    for file in sorted(CONFIGS.rglob("*.yaml")):
        for _, node in targets("", yaml.safe_load(file.read_text(encoding="utf-8")) or {}):
            takes = signature(node["_target_"])
            for parameter in takes.parameters.values() if takes else ():
                if parameter.annotation is not None:
                    found[ast.unparse(parameter.annotation)] = parameter.annotation
    return found


def test_every_annotation_in_use_is_understood() -> None:
    annotations = in_use()
    assert len(annotations) > 50
    for annotation in annotations.values():
        check_of(annotation)


@pytest.mark.parametrize(
    ("annotation", "fitting", "wrong"),
    [
        ("Mapping[str, int]", {"a": 1}, {"a": "b"}),
        ("dict[str, float]", {"a": 1}, [1]),
        ("dict", {"a": [1]}, 3),
        ("Dict[str, list[int]]", {"a": [1]}, {"a": [1.5]}),
        ("tuple[int, int]", [1, 2], [1, 2, 3]),
        ("tuple[float, ...]", [1, 2.5, 3], [1, "x"]),
        ("tuple", [1, "a"], "a"),
        ("list", ["a"], "a"),
        ("Sequence", [1], 1),
        ("typing.Sequence[str]", ["a"], [1]),
        ("Iterable[int] | None", None, "a"),
        ("Path", "a/b", 3),
        ("typing.Optional[Path]", None, 3),
        ("t.Union[int, str]", "a", 1.5),
        ("Optional[int]", None, "a"),
        ("Annotated[int, 'metres']", 1, "a"),
        ("Literal[1, 2]", 1, True),
        ("nn.Module", {"_target_": "a.B"}, 3),
        ("Callable", {"_target_": "a.B"}, 3),
        ("nn.Module", {"_target_": "a.B"}, {"a": 1}),
        ("Callable", {"_target_": "a.B"}, {"a": 1}),
        ("type[nn.Module]", {"_target_": "a.B"}, 3),
        ("'int | None'", None, "a"),
    ],
)
def test_what_an_annotation_takes(annotation: str, fitting: Any, wrong: Any) -> None:
    node = ast.parse(annotation, mode="eval").body
    assert expected(fitting, node) is None
    assert expected(wrong, node)


def test_aliases_and_classes_of_ones_own_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kinds.py").write_text("from typing import Union\nclass Thing: ...\nNumber = Union[int, float]\n")
    (tmp_path / "own.py").write_text(
        "from typing import TYPE_CHECKING, NewType, TypeVar\n"
        "if TYPE_CHECKING:\n    from kinds import Thing\n"
        "from kinds import Number\nSizes = list[Number]\nT = TypeVar('T')\nMetres = NewType('Metres', int)\n"
        "class Net:\n    def __init__(self, sizes: Sizes, thing: 'Thing | None', metres: Metres, other: T): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    takes = signature("own.Net")
    assert takes is not None
    wanted = {name: parameter.annotation for name, parameter in takes.parameters.items()}
    assert expected([1, 2.5], wanted["sizes"]) is None
    assert expected(["a"], wanted["sizes"]) == "a list, each a whole number or a number"
    assert expected({"_target_": "kinds.Thing"}, wanted["thing"]) is None
    assert expected(3, wanted["thing"]) == "a node with a _target_ or null"
    assert expected("x", wanted["metres"]) == "a whole number"
    assert expected("x", wanted["other"]) is None


@pytest.mark.parametrize(
    "taken",
    [
        {"log_every_n_steps": 0},
        {"profiler": {"_target_": "pytorch_lightning.profilers.AdvancedProfiler", "dirpath": "profiles"}},
        {"precision": None},
        {"inference_mode": None},
        {"accumulate_grad_batches": None},
    ],
)
def test_what_lightning_takes_is_not_refused(taken: dict[str, Any]) -> None:
    check_trainer({"max_epochs": 1, **taken}, {}, weights_given=False)


def test_several_checkpoints_need_several_names() -> None:
    for kept in (2, -1):
        with pytest.raises(Refusal, match=rf"callbacks\.best\.save_top_k={kept}: all of them would be best\.ckpt"):
            checked(composed(f"+callbacks.best.save_top_k={kept}"))
    checked(composed("+callbacks.best.save_top_k=2", "callbacks.best.filename='best-{epoch}'"))
    checked(composed("+callbacks.best.save_top_k=2", "callbacks.best.enable_version_counter=true"))
