"""A stranger's run folder causes nothing outside it to be written or deleted."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from tools import ONE_STEP, tiny

from scalian_exp.callbacks.provenance import AtomicCheckpoints
from scalian_exp.refusal import Refusal
from scalian_exp.run.resume import resumed
from scalian_exp.run.training import train
from scalian_exp.sweep.resume import resumed_sweep


def victim_of(folder: Path) -> Path:
    (folder / "victim").mkdir(parents=True)
    (folder / "victim/thesis.txt").write_text("years of work")
    return folder / "victim/thesis.txt"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(tiny("autoencoder", *ONE_STEP, "test=false"), folder)
    return folder


@pytest.mark.parametrize("with_dirpath", [False, True])
@pytest.mark.parametrize(
    "path",
    ["local://{run}/../victim", "{run}/checkpoints/../../victim", "{run}/checkpoints/../../victim/thesis.txt", "a/.."],
    ids=["address", "folder", "file", "parent"],
)
def test_paths_in_a_checkpoint_delete_nothing(path: str, with_dirpath: bool, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    thesis, last = victim_of(tmp_path), tmp_path / "run/checkpoints/last.ckpt"
    contents = torch.load(last, weights_only=True)
    evil = path.format(run=tmp_path / "run")
    for state in contents["callbacks"].values():
        if "best_model_path" in state:
            state |= {"best_model_path": evil, "kth_best_model_path": evil, "last_model_path": evil}
            state["best_k_models"] = {evil: torch.tensor(9e9)} if state["monitor"] else {}
            state["dirpath"] = state["dirpath"] if with_dirpath else None
    torch.save(contents, last)
    train(*resumed([f"resume={tmp_path / 'run'}", "trainer.max_epochs=2"]))
    assert thesis.read_text() == "years of work"
    assert {file.name for file in (tmp_path / "run/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_only_checkpoints_are_removed(tmp_path: Path) -> None:
    thesis, run = victim_of(tmp_path), tmp_path / "run"
    inside = victim_of(run)
    (run / "link").symlink_to(tmp_path / "victim")
    (run / "old.ckpt").touch()
    plugin = AtomicCheckpoints(run)
    for path in (thesis, thesis.parent, run / "link", run / "link/thesis.txt", run / "../victim", inside.parent, run):
        plugin.remove_checkpoint(str(path))
    assert thesis.exists()
    assert inside.exists()
    assert (run / "link").is_symlink()
    plugin.remove_checkpoint(str(run / "old.ckpt"))
    assert not (run / "old.ckpt").exists()


def test_a_formatted_name_stays_in_the_folder(tmp_path: Path) -> None:
    name = f"{ord('/'):c}".join(["", *tmp_path.parts[1:], "evil.ckpt"])  # "{step:c}tmp{step:c}…" at step 47
    path = str(Path(tmp_path / "run/checkpoints", name))
    with pytest.raises(Refusal, match="outside the run folder"):
        AtomicCheckpoints(tmp_path / "run").save_checkpoint({}, path)
    assert not (tmp_path / "evil.ckpt").exists()


@pytest.mark.parametrize("name", ["train.log", "figures/val_x.png", "csv", "checkpoints/last.ckpt"])
def test_links_that_lead_out_of_a_folder_are_refused(name: str, tmp_path: Path) -> None:
    thesis, job = victim_of(tmp_path), tmp_path / "sweep/0"
    for folder in (job / "checkpoints", job / "figures"):
        folder.mkdir(parents=True)
    (job / "checkpoints/start.ckpt").touch()
    (job / "config.yaml").write_text(yaml.safe_dump(tiny("autoencoder")))
    hydra = {"overrides": {"task": [], "hydra": []}, "runtime": {"cwd": str(Path.cwd())}}
    (job.parent / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    (job / "inside").symlink_to("config.yaml")
    resumed([f"resume={job}"])
    resumed_sweep([f"sweep.resume={job.parent}"])
    (job / name).symlink_to(thesis)
    with pytest.raises(Refusal, match=f"{name} is a link out of the folder"):
        resumed([f"resume={job}"])
    with pytest.raises(Refusal, match=f"{name} is a link out of the folder"):
        resumed_sweep([f"sweep.resume={job.parent}"])


@pytest.mark.parametrize("place", [".", "elsewhere", "run/checkpoints"])
def test_a_relative_folder_of_checkpoints_is_relative_to_the_current_folder(
    place: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    config["callbacks"]["best"]["dirpath"] = place
    Path("run/config.yaml").write_text(yaml.safe_dump(config))
    if place == "run/checkpoints":
        assert resumed(["resume=run"])[1] == Path("run")
    else:
        with pytest.raises(Refusal, match="outside the run folder"):
            resumed(["resume=run"])
