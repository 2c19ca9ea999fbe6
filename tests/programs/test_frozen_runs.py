"""Run folders that an earlier version wrote, in frozen/, still load, resume and can be compared.

They were made by 0.1.0 (commit 8537261) and are never regenerated:
scalian-train logger=none callbacks.figures=null trainer.max_epochs=2 …
    hydra.run.dir=vae model=vae model.network.hidden=[4] model.network.latent_dim=2
        dataset=fake_binary dataset.image_size=[4,4]
    hydra.run.dir=unet model=unet model.network.width=0.03 model.network.depth=1
        dataset=fake_masks dataset.image_size=[16,16]
    hydra.sweep.dir=sweep -m loss.beta=1,2 and the options of the first one, for one epoch
"""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from commands import invoke

from scalian_exp import compose
from scalian_exp.build import located
from scalian_exp.sweep.stored_overrides import objection_to
from scalian_exp.vocabulary.moved import current_path

FROZEN = Path(__file__).parent / "frozen"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy all frozen runs into a folder."""
    shutil.copytree(FROZEN, tmp_path / "runs")
    return tmp_path / "runs"


def metrics(file: Path) -> dict[str, float]:
    return {name: value for name, value in json.loads(file.read_text()).items() if name.startswith("test/")}


@pytest.mark.parametrize("run", ["vae", "unet"])
def test_evaluating_an_old_run_reproduces_its_metrics(folder: Path, run: str) -> None:
    code, output = invoke(folder, "scalian-apply", f"run={run}", "action=evaluate")
    assert code == 0, output
    (file,) = (folder / run / "evaluate").glob("*/metrics.json")
    before = metrics(folder / run / "metrics.json")
    assert before
    assert metrics(file) == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("run", ["vae", "unet"])
def test_an_old_run_is_resumed(folder: Path, run: str) -> None:
    code, output = invoke(folder, "scalian-train", f"resume={run}", "trainer.max_epochs=3")
    assert code == 0, output
    assert json.loads((folder / run / "metrics.json").read_text())["epochs"] == 3


def test_an_old_sweep_resumes(folder: Path) -> None:
    """A finished job is kept, an unfinished one resumes, and the old names of classes are understood."""
    done, undone = sorted(path.parent for path in folder.glob("sweep/*/metrics.json"))
    (undone / "metrics.json").unlink()
    before = (done / "metrics.json").read_bytes()
    code, output = invoke(folder, "scalian-train", "sweep.resume=sweep")
    assert code == 0, output
    assert (done / "metrics.json").read_bytes() == before
    assert json.loads((undone / "metrics.json").read_text())["status"] == "finished"


def test_an_old_run_initialises_another(folder: Path) -> None:
    overrides = yaml.safe_load((folder / "vae/.hydra/overrides.yaml").read_text())
    code, output = invoke(folder, "scalian-train", *overrides, "init_from=vae", "hydra.run.dir=new")
    assert code == 0, output
    assert (folder / "new/checkpoints/best.ckpt").exists()


def test_old_runs_are_compared_on_a_page(folder: Path) -> None:
    code, output = invoke(folder, "scalian-report", "sweep", "vae", "--out", "page.html")
    assert code == 0, output
    page = (folder / "page.html").read_text()
    assert "loss.beta" in page
    assert "vae" in page


def test_all_classes_that_configs_of_0_1_0_name_are_found_today() -> None:
    """Stored runs may name any of them, so a class that moves needs an entry in vocabulary/moved.py."""
    for target in (FROZEN / "targets.txt").read_text().split():
        located(current_path(target))  # raises Refusal


def test_an_override_with_a_classs_old_path_composes_and_needs_no_trust() -> None:
    """Sweeps store their overrides as they were given, and name the jobs' folders by them."""
    old = "dataset._target_=scalian_exp.datasets.small.FakeImages"
    config = compose("model=vae", "dataset=fake_binary", old)
    assert config["dataset"]["_target_"] == "scalian_exp.datasets.fake.FakeImages"
    assert objection_to(old, Path("sweep"), None) == ""
