"""Protocols of networks, losses and data: a missing member is refused by its name before the data are read."""

import copy
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

import pytest
import torch
import yaml
from tools import names, option, script, tiny
from torch import Tensor, nn

from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal
from scalian_exp.run.init_from import start_network_from
from scalian_exp.run.training import train
from scalian_exp.tasks import capabilities
from scalian_exp.tasks.data_protocols import PROVIDES, check_data
from scalian_exp.tasks.offers import asked_by, has, is_protocol, lacking, members, offers
from scalian_exp.vocabulary.config_folders import CONFIGS

contracts = script("contracts")

MODELS = {
    "Reconstruction": "autoencoder",
    "GreedyReconstruction": "stacked_autoencoder",
    "Variational": "vae",
    "Adversarial": "gan",
    "Autoregressive": "pixelcnn",
    "Contrastive": "rbm",
    "UpDown": "dbn_up_down",
    "Ratings": "rating_bias",
    "Segmentation": "unet",
    "Classification": "classifier",
    "TextReconstruction": "text_autoencoder",
}
"""task → a model that it trains"""


def test_every_capability_lists_what_it_takes() -> None:
    """A protocol without a function or a property is one that everything offers."""
    protocols = [each for each in vars(capabilities).values() if is_protocol(each) and each is not Protocol]
    assert len(protocols) > 15
    assert [each.__name__ for each in protocols if not members(each)] == []


def asked(part: str) -> list[Any]:
    """List each task with each member that it requires of its network or loss."""
    return [(task.__name__, name) for task in contracts.TASKS for name in members(asked_by(task, part))]


@cache
def config(model: str) -> dict[str, Any]:
    return tiny(model)


def with_class(monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any]) -> str:
    """Make a custom network class with these attributes, and return its import path."""
    module = ModuleType("mine")
    module.Mine = type("Mine", (nn.Module,), attributes)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", module)
    return "mine.Mine"


def all_but(protocol: type, missing: str) -> dict[str, Any]:
    return {name: member for name, member in members(protocol).items() if name != missing}


@pytest.mark.parametrize(("task", "missing"), asked("network"))
def test_a_network_that_lacks_a_member_is_refused_by_its_name(
    task: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = copy.deepcopy(config(MODELS[task]))
    protocol = next(asked_by(other, "network") for other in contracts.TASKS if other.__name__ == task)
    changed["model"]["network"] = {"_target_": with_class(monkeypatch, all_but(protocol, missing))}
    monkeypatch.setattr("scalian_exp.run.training.one_at_a_time", lambda _: pytest.fail("data were asked for"))
    with pytest.raises(Refusal, match=rf"Mine \(model\.network\) lacks what {task} needs of a network: {missing}\b"):
        train(changed, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("task", "missing"), asked("loss"))
def test_a_loss_that_lacks_a_member_is_refused_by_its_name(
    task: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = copy.deepcopy(config(MODELS[task]))
    protocol = next(asked_by(other, "loss") for other in contracts.TASKS if other.__name__ == task)
    changed["loss"] = {"_target_": with_class(monkeypatch, all_but(protocol, missing))}
    with pytest.raises(Refusal, match=rf"Mine \(loss\) lacks what {task} needs of a loss: {missing}\b"):
        train(changed, tmp_path / "run")


@pytest.mark.parametrize("missing", ["rated", "gibbs", "free_energy", "log_probability", "deviation"])
def test_a_loss_that_computes_with_the_network_names_what_it_lacks(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = copy.deepcopy(config("rbm_cf"))
    attributes = all_but(contracts.rating_losses.RatingEnergy, missing)
    attributes |= {"columns": 30, "predicts_ratings": True, "forward": lambda _, x: x}
    changed["model"]["network"] = {"_target_": with_class(monkeypatch, attributes)}
    with pytest.raises(Refusal, match=rf"Mine .* lacks what RatingDivergence needs of a network: {missing}\("):
        train(changed, tmp_path / "run")


def test_the_refusal_explains_the_missing_member() -> None:
    class Mine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(Refusal) as refusal:
        contracts.Segmentation(Mine(), nn.CrossEntropyLoss(), lambda _: None, num_classes=2)
    assert str(refusal.value) == (
        "Mine (model.network) lacks what Segmentation needs of a network: total_stride – the stride of its deepest "
        "map, in pixels. Add it to the class."
    )


class Asks(Protocol):
    @property
    def size(self) -> int: ...

    def part(self, x: Tensor) -> Tensor: ...

    def forward(self, x: Tensor) -> Tensor: ...


def test_a_part_counts_as_a_method_and_properties_are_not_evaluated() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(1, 1)

        @property
        def size(self) -> int:
            raise AssertionError("evaluated")

        def forward(self, x: Tensor) -> Tensor:
            return x

    assert offers(Mine(), Asks)
    assert not has(nn.Module(), "forward")  # torch.nn.Module has one, that raises
    assert lacking(nn.Linear(1, 1), Asks) == ["size", "part"]


def test_a_custom_task_is_held_to_its_own_protocol() -> None:
    class Mine(contracts.Reconstruction):  # type: ignore[name-defined, misc]
        network: Asks

    with pytest.raises(
        Refusal, match=r"Identity \(model\.network\) lacks what Mine needs of a network: size; part\(x\)"
    ):
        Mine(nn.Identity(), nn.MSELoss(), lambda _: None)


def test_data_must_have_the_members_of_what_they_provide() -> None:
    for name in names("dataset"):
        assert set(option("dataset", name)["provides"]) <= set(PROVIDES)

    class Mine:
        """Data module without any member."""

    with pytest.raises(Refusal, match=r"Mine \(dataset\) lacks what a data module must have: batch_size – number"):
        check_data(Mine(), ["masks"])
    for kind, protocol in PROVIDES.items():
        own = type("Own", (Mine,), members(contracts.data_protocols.DataModule))
        if members(protocol):
            with pytest.raises(Refusal, match=rf"lacks what data that provide {kind} must have: "):
                check_data(own(), [kind])
        check_data(type("Full", (own,), members(protocol))(), [kind])


def test_data_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = copy.deepcopy(config("autoencoder"))
    changed["dataset"]["provides"] = [*changed["dataset"]["provides"], "masks"]
    monkeypatch.setattr("scalian_exp.run.training.one_at_a_time", lambda _: pytest.fail("data were asked for"))
    with pytest.raises(Refusal, match=r"lacks what data that provide masks must have: class_pixels\(\) – count each"):
        train(changed, tmp_path / "run")


def test_actions_need_only_members_that_protocols_name() -> None:
    listed = {name for task in contracts.TASKS for name in members(asked_by(task, "network"))}
    listed |= {name for protocol in contracts.protocols_in(contracts.capabilities) for name in members(protocol)}
    of_tasks = {"exported", "negative_log_likelihood"}
    for action in names("action"):
        node = yaml.safe_load((CONFIGS / f"action/{action}.yaml").read_text(encoding="utf-8"))
        assert set(node["needs"]) <= listed | set(PROVIDES) | of_tasks, action


def test_the_page_of_contracts_lists_every_task() -> None:
    targets = {option("model", model)["_target_"] for model in names("model")}
    assert {f"{task.__module__}.{task.__name__}" for task in contracts.TASKS} == targets
    for protocol in contracts.protocols_in(contracts.capabilities):
        assert all(contracts.text(member) for member in members(protocol).values()), protocol


def test_the_network_of_the_page_trains(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, code, *_ = re.split("```(?:python)?\n", (root / "docs/contracts.md").read_text(encoding="utf-8"))
    (tmp_path / "halfway.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    changed = copy.deepcopy(config("autoencoder"))
    facts = {name: changed["dataset"][name] for name in ("in_channels", "image_size")}
    changed["model"]["network"] = {"_target_": "halfway.Halfway", "latent_dim": 2, **facts}
    assert train(changed, tmp_path / "run")["status"] == "finished"
    loaded = load(tmp_path / "run", trust="halfway")
    images = torch.rand(3, facts["in_channels"], *facts["image_size"])
    assert loaded.task.reconstruct(images).shape == images.shape


class Giver(nn.Module):
    """Custom network that can initialise a network of another kind."""

    def __init__(self, hidden: int):
        super().__init__()
        self.hidden = nn.Linear(2, hidden)

    def weights_for(self, network: nn.Module) -> dict[str, Tensor]:
        if "decoder.weight" not in network.state_dict():
            raise ValueError("there is no decoder here; use a network with one.")
        return {"decoder.weight": torch.full_like(network.get_parameter("decoder.weight"), 7.0)}


def test_a_network_may_define_the_weights_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {
        "state_dict": {"network.hidden.weight": torch.ones(3, 2)},
        "scalian_exp": {"config": {"model": {"network": {"_target_": "m.Giver"}}, "dataset": {"_target_": "m.Data"}}},
    }
    loaded = SimpleNamespace(task=SimpleNamespace(network=Giver(3)))
    replaced = {"checkpoint_file": Path, "read": lambda _: contents, "load": lambda *_, **__: loaded}
    for name, replacement in replaced.items():
        monkeypatch.setattr(f"scalian_exp.run.init_from.{name}", replacement)
    data = SimpleNamespace(state_dict=dict)
    network = nn.ModuleDict({"decoder": nn.Linear(4, 5), "rest": nn.Linear(1, 1)})
    assert start_network_from(network, data, "run") == ["decoder.weight"]
    assert network["decoder"].weight.unique().tolist() == [7]
    with pytest.raises(Refusal, match=r"^init_from=run: there is no decoder here"):
        start_network_from(nn.ModuleDict({"hidden": nn.Linear(2, 3)}), data, "run")
