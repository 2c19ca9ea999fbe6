"""scalian-apply as a user calls it."""

import json
import re
from pathlib import Path

import yaml
from commands import QUICK, command
from PIL import Image

from scalian_exp.vocabulary.config_folders import CONFIGS


def test_every_action_works_on_a_run_from_another_folder(tmp_path: Path) -> None:
    result = command("model=vae", *QUICK, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "test/neg_elbo" in result.stdout
    (folder,) = (tmp_path / "outputs/vae_fake_images").iterdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    image = tmp_path / "mine.jpg"
    Image.new("RGB", (40, 20), (200, 10, 10)).save(image)
    run = f"run={folder.relative_to(tmp_path)}"

    def act(*arguments: str) -> list[Path]:
        result = command(run, *arguments, cwd=tmp_path, module="apply")
        assert result.returncode == 0, result.stdout + result.stderr
        files = [tmp_path / line.split(maxsplit=1)[1] for line in result.stdout.splitlines() if "/20" in line]
        assert files
        assert all(file.stat().st_size > 0 for file in files)
        return files

    (again,) = act("action=evaluate")
    trained = json.loads((folder / "metrics.json").read_text())
    assert all(trained[name] == value for name, value in json.loads(again.read_text()).items())
    act("action=reconstruct", f"action.image={image}")
    act("action=sample", "action.count=4")
    act("action=interpolate", f"action.start={image}", f"action.end={image}")
    act("action=traverse")
    act("action=latent_map", "action.count=20")
    _, table, _ = act("action=embed")
    assert len(table.read_text().splitlines()) == 21
    act("action=export")
    assert {path: path.read_bytes() for path in before} == before

    def sentence(*arguments: str) -> str:
        result = command(*arguments, cwd=tmp_path, module="apply")
        assert result.returncode == 1
        (line,) = [line for line in result.stderr.splitlines() if line.strip()]
        return line

    assert "Choose a run" in sentence("action=sample")
    assert "neither a checkpoint nor a run folder" in sentence("run=nowhere", "action=sample")
    assert "torch finds no such device" in sentence(run, "action=sample", "device=mps")
    assert "no image file" in sentence(run, "action=reconstruct", "action.image=nowhere.png")
    assert "can't be read as an image" in sentence(run, "action=reconstruct", f"action.image={folder}/metrics.json")
    result = command(run, "action=reconstruct", "count=500", cwd=tmp_path, module="apply")
    assert "count=500: there are only 20 test examples, and all of them are used." in result.stdout
    assert "two ends" in sentence(run, "action=interpolate", f"action.start={image}")
    assert "holds a run already" in refused_run(folder, tmp_path)


def refused_run(folder: Path, cwd: Path) -> str:
    result = command(f"hydra.run.dir={folder}", "dataset=fake_images", cwd=cwd)
    assert result.returncode == 1
    return result.stderr


def test_refusing_an_action_lists_those_that_the_model_offers(tmp_path: Path) -> None:
    assert command("model=autoencoder", *QUICK, "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    result = command("run=run", "action=complete", cwd=tmp_path, module="apply")
    assert result.returncode == 1
    assert (
        "action=complete needs a network that completes images; DenseAutoencoder and its data don't have that."
        in result.stderr
    )
    assert "action=denoise|embed|evaluate|export|interpolate" in result.stderr
    result = command("run=run", "action=embed", "device=mps", cwd=tmp_path, module="apply")
    assert "device=mps: torch finds no such device" in result.stderr


def test_apply_names_the_overrides_it_takes(tmp_path: Path) -> None:
    def message(*arguments: str) -> str:
        return command("run=nowhere", "action=reconstruct", *arguments, cwd=tmp_path, module="apply").stderr.strip()

    takes = "action=reconstruct takes image, count, beside run, device, dataset.root and trust."
    assert message("imgae=a.png") == f"There is no imgae here; did you mean image? {takes}"
    assert message("model=vae") == f"There is no model here; {takes}"
    assert message("+loss=mse") == f"There is no loss here; {takes}"
    assert message("trainer.max_epochs=3") == f"There is no trainer here; {takes}"
    assert "nowhere is neither a checkpoint nor a run folder" in message("image=3", "count=2")  # a file may be called 3
    assert "count must be a whole number from 1" in message("count=two")
    usage = command("--help", cwd=tmp_path, module="apply").stdout
    actions = [file.stem for file in (CONFIGS / "action").glob("*.yaml")]
    assert [line.split()[0] for line in usage.splitlines() if line.startswith("action=")] == sorted(
        f"action={name}" for name in actions
    )
    assert re.search(r"action=denoise +Denoise image.*\n(    \w+=.*\n)*    level=null +level of the noise", usage)
    assert not re.search("needs|_target_|trainer|dataset:|model:", usage)


def test_a_custom_action_is_listed_and_checked(tmp_path: Path) -> None:
    (tmp_path / "own/action").mkdir(parents=True)
    (tmp_path / "own/action/mine.yaml").write_text(
        "# My own one.\n_target_: scalian_exp.actions.pictures.Reconstruct\nneeds: [encode] # what\n"
        "image: null # a file\ncount:    3   # how many\n"
    )
    own = f"hydra.searchpath=[file://{tmp_path}/own]"
    usage = command(own, "--help", cwd=tmp_path, module="apply").stdout
    assert re.search(r"action=mine +My own one\.\n +image=null +a file\n +count=3 +how many\n", usage)
    wrong = command(own, "run=x", "action=mine", "imgae=a", cwd=tmp_path, module="apply").stderr
    assert "did you mean image? action=mine takes image, count" in wrong


def test_apply_and_resume_accept_the_new_path_of_moved_data(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for number in range(20):
        Image.effect_noise((8, 8), 50).save(tmp_path / f"old/{number}.png")
    data = ["dataset=image_folder", "dataset.root=old", "dataset.image_size=[8,8]", "dataset.num_workers=0"]
    quick = [override for override in QUICK if not override.startswith("dataset=")]
    trained = command("model=autoencoder", *quick, *data, "hydra.run.dir=r", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "old").rename(tmp_path / "my = new")
    lost = command("run=r", "action=evaluate", cwd=tmp_path, module="apply")
    assert "set dataset.root to the folder of your images" in lost.stderr
    moved = "dataset.root=my = new"
    again = command("run=r", "action=evaluate", moved, cwd=tmp_path, module="apply")
    assert again.returncode == 0, again.stderr
    few = command("run=r", "action=reconstruct", moved, cwd=tmp_path, module="apply")
    assert "test examples, and all of them are used" in few.stdout
    assert few.returncode == 0
    resumed = command("resume=r", moved, "trainer.max_epochs=2", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert yaml.safe_load((tmp_path / "r/config.yaml").read_text())["dataset"]["root"] == f"{tmp_path}/my = new"
    assert command("model=vae", *QUICK, "hydra.run.dir=f", cwd=tmp_path).returncode == 0
    none = command("run=f", "dataset.root=x", cwd=tmp_path, module="apply")
    assert "the data of this run (FakeImages) isn't read from a folder" in none.stderr
