"""The commands as a user types them."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from commands import QUICK, command, process
from PIL import Image

from scalian_exp.vocabulary.options import CONFIGS


def refused(*arguments: str, cwd: Path, module: str = "train") -> str:
    """The sentence with which a command line is refused: nothing else on stderr, no trace, no run folder."""
    result = command(*arguments, cwd=cwd, module=module)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not list(cwd.glob("outputs/*/*")), "a half-made run folder"
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model=vea"], "There is no model=vea; did you mean model=vae?"),
        (["modle=vae"], "There is no modle in this experiment; did you mean model?"),
        (["model.network.latent_dm=3"], "latent_dm in this experiment; did you mean model.network.latent_dim?"),
        (["latent_dim=3"], "did you mean model.network.latent_dim?"),
        (["+model.network.latent_dm=3"], "takes no argument 'latent_dm'; did you mean 'latent_dim'?"),
        (["model.network.latent_dim=two"], "must be a whole number from 1, not 'two'"),
        (["model.network.latent_dim=-1"], "must be a whole number from 1, not -1"),
        (["model=autoencoder", "loss=elbo"], "use loss=bce|l1|mse"),
        (["dataset=image_folder"], "dataset.root has no value yet"),
        (["dataset=image_folder", "dataset.root=nowhere"], "nowhere; set dataset.root to the folder of your images"),
        (["model=conv_vae", "model.network.channels=[8,8,8,8,8]"], "use at most 4 levels here"),
        (["model=conv_vae", "dataset=sklearn_digits", "model.network.channels=[8,8,8,8]"], "use at most 3 levels here"),
        (["loss.beta=[1"], "loss.beta=[1 can't be read; an override is word=option or path.to.value=value"),
        (["model"], "model can't be read; an override is word=option"),
        (["seed=1,2"], "add -m to sweep over several values"),
        (["-m", "seed=1,2", "--cfg", "job"], "--cfg and --info show one job: leave -m out"),
        (["model=VAE"], "did you mean model=vae?"),
        (["model=[vae]"], "an experiment has one model; say model=vae."),
        (["model="], "model= is none of autoencoder, "),
        (["+model=unet"], "model is chosen already; to choose another, leave + out: model=…"),
        (["~model"], "An experiment needs its model: leave ~model out"),
        (["~callbacks"], "An experiment needs its callbacks: leave ~callbacks out"),
        (["seed=${nothing}"], "seed refers to something that can't be had: Interpolation key 'nothing' not found"),
        (["loss.beta=a&b"], """as a text its value stands in quotes: 'loss.beta="a&b"'"""),
        (["-m", "loss=glob(zz*)"], "loss=glob(zz*) stands for no value at all, so nothing would be done; there are"),
        (["-m", "seed=range(3,1)"], "seed=range(3,1) stands for no value at all"),
        (["-m", "seed=range(1,3,0)"], "seed=range(1,3,0) can't be swept over"),
        (["-m", "seed=interval(0,1)"], "interval(…) is for searches: add hydra/sweeper=optuna"),
        (["seed=interval(0,1)"], "needs -m."),
        (["-m", "resume=x"], "resume=… resumes one run: leave -m out"),
        (["resume=x", "--cfg", "job"], "resume=… resumes a run as it is: leave --cfg out."),
        (["resume="], "resume= has no path after it"),
        (["=3"], "=3 has no word before its ="),
        (
            ["experiment=fashion_scenes_unet", "model=fcn8s"],
            "experiment=fashion_scenes_unet sets model.network.depth and model.network.deep_supervision, which "
            "scalian_exp.networks.fcn.FCN doesn't take; to go without, add '~model.network.depth' '~model.network.deep",
        ),
        (["trainer.strategy=ddp"], "first choose trainer/accelerator=ddp_cpu, ddp, fsdp or multinode"),
        (["model.optimizer.lr=abc"], "model.optimizer.lr must be a number, not 'abc'"),
        (["model=classifier", "dataset=image_folder", "dataset.root=."], "give it: dataset.num_classes=…"),
        (["resume=nowhere"], "nowhere is not a run folder"),
        (["experiment=vae_mnits"], "did you mean experiment=vae_mnist?"),
        (["model=unet", "dataset/augmentation=[crop,flipp]"], "did you mean dataset/augmentation=flip?"),
        (["model/crf=default"], "is chosen by model/crf=…; leave it out, or choose a model that has it."),
        (["model.optimizer.lr=-1"], "nvalid learning rate"),
        (["trainer.precision=7"], "trainer.precision must be one of 64, 32, 16, transformer-engine, "),
        (["dataset.val_size=6000"], "dataset.val_size=6000 must take some of the 6000 training examples"),
        (["dataset.image_size=[14,14]"], "correct dataset.in_channels and dataset.image_size"),
        (["model.network._target_=nowhere.Net"], "No module named 'nowhere'"),
        (["trainer/accelerator=mps"], "trainer/accelerator=mps: torch finds no such device"),
        (["model=conv_vae", "model.network.hidden=[]"], "at least one dense layer"),
        (["model=conv_vae", "model.network.channels=[]"], "at least one level"),
        (["model=gan", "model.network.channels=[]"], "at least one level"),
        (["model=stacked_autoencoder", "model.network.hidden=[]"], "at least one layer"),
        (["model=classifier", "dataset=sklearn_digits", "dataset.num_classes=5"], "Digits has 10 classes, but"),
        (["model=classifier", "dataset=sklearn_digits", "dataset.num_classes=20"], "Digits has 10 classes, but"),
        (["model=classifier", "dataset.class_names=[a,b]"], "has 2 names, but dataset.num_classes is 10"),
        (["model=classifier", "dataset.class_names=ab"], "dataset.class_names must be a list or null, not 'ab'"),
        (["model=vae", "dataset=sklearn_digits", "+dataset.class_names=[a,b]", "dataset.num_classes=2"], "10 classes"),
        (["model=denoising_autoencoder", "model.noise_levels=[0.5,2]"], "level 2: Masking takes 0 to 1"),
        (["callbacks=sample_quality", "callbacks.sample_quality.judge=nowhere"], "no judge /"),
        (["model=text_autoencoder", "dataset=text_csv", "dataset.root=nowhere"], "nowhere/train.csv; put it there"),
    ],
)  # fmt: skip
def test_bad_input_has_its_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    assert sentence in refused(*arguments, cwd=tmp_path)


def test_the_command_that_trains_a_judge_can_be_pasted(tmp_path: Path) -> None:
    """It says this data set, and the judge that it trains is taken."""
    quick = [word for word in QUICK if not word.startswith(("dataset=", "callbacks="))]
    judged = [f"callbacks.sample_quality.{said}" for said in ("judge=my judge", "samples=4")]
    said = [
        *quick,
        "callbacks=sample_quality",
        *judged,
        "model=vae",
        "dataset=fake_images",
        "dataset.image_size=[8,8]",
        "hydra.run.dir=vae",
    ]
    told = refused(*said, cwd=tmp_path)
    program, *words = shlex.split(told.partition("on the same data set: ")[2])
    assert Path(program).name == "scalian-train"
    assert words[:3] == ["model=classifier", "dataset=fake_images", "dataset.image_size=[8,8]"]
    cheap = ["trainer.max_epochs=1", "trainer/accelerator=cpu", "callbacks=minimal", "logger=none"]
    assert command(*words, *cheap, cwd=tmp_path).returncode == 0
    assert command(*said, "callbacks.figures=null", cwd=tmp_path).returncode == 0


def test_what_the_configs_tell_needs_no_torch(tmp_path: Path) -> None:
    """--help, --cfg, completion and refusals: with a torch that can't be imported they still work."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise ImportError('torch was imported')")
    for arguments, sign in (
        (["--help"], "model="),
        (["--cfg", "job"], "\nmodel:\n"),
        (["--shell-completion", "query=bash"], "model=vae"),
    ):
        result = process(
            *arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path), COMP_LINE="scalian-train model=", COMP_POINT="20"
        )
        assert result.returncode == 0, result.stderr
        assert sign in result.stdout
    result = process("+model.network.latent_dm=3", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "did you mean" in result.stderr
    assert "torch was imported" not in result.stderr


def test_a_run_from_anywhere_and_every_action_on_it(tmp_path: Path) -> None:
    result = command("model=vae", *QUICK, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "test/neg_elbo" in result.stdout
    (folder,) = (tmp_path / "outputs/vae_fake_images").iterdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    image = tmp_path / "mine.jpg"
    Image.new("RGB", (40, 20), (200, 10, 10)).save(image)
    run = f"run={folder.relative_to(tmp_path)}"

    def act(*arguments: str) -> list[Path]:
        done = command(run, *arguments, cwd=tmp_path, module="apply")
        assert done.returncode == 0, done.stdout + done.stderr
        files = [tmp_path / line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if "/20" in line]
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
        done = command(*arguments, cwd=tmp_path, module="apply")
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if line.strip()]
        return line

    assert "Say which run" in sentence("action=sample")
    assert "neither a checkpoint nor a run folder" in sentence("run=nowhere", "action=sample")
    assert "torch finds no such device" in sentence(run, "action=sample", "device=mps")
    assert "no image file" in sentence(run, "action=reconstruct", "action.image=nowhere.png")
    assert "can't be read as an image" in sentence(run, "action=reconstruct", f"action.image={folder}/metrics.json")
    told = command(run, "action=reconstruct", "count=500", cwd=tmp_path, module="apply")
    assert "count=500: there are only 20 test examples, and all of them are used." in told.stdout
    assert "two ends" in sentence(run, "action=interpolate", f"action.start={image}")
    assert "holds a run already" in refused_run(folder, tmp_path)


def refused_run(folder: Path, cwd: Path) -> str:
    result = command(f"hydra.run.dir={folder}", "dataset=fake_images", cwd=cwd)
    assert result.returncode == 1
    return result.stderr


def test_an_action_that_the_model_does_not_offer_lists_those_it_does(tmp_path: Path) -> None:
    assert command("model=autoencoder", *QUICK, "hydra.run.dir=run", cwd=tmp_path).returncode == 0
    result = command("run=run", "action=sample", cwd=tmp_path, module="apply")
    assert result.returncode == 1
    assert "action=sample needs sample, which DenseAutoencoder and its data don't offer" in result.stderr
    assert "action=denoise|embed|evaluate|export|interpolate" in result.stderr
    result = command("run=run", "action=embed", "device=mps", cwd=tmp_path, module="apply")
    assert "device=mps: torch finds no such device" in result.stderr


def test_apply_says_what_it_takes(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        return command("run=nowhere", "action=reconstruct", *arguments, cwd=tmp_path, module="apply").stderr.strip()

    takes = "action=reconstruct takes image, count, beside run, device, dataset.root and trust."
    assert said("imgae=a.png") == f"There is no imgae here; did you mean image? {takes}"
    assert said("model=vae") == f"There is no model here; {takes}"
    assert said("+loss=mse") == f"There is no loss here; {takes}"
    assert said("trainer.max_epochs=3") == f"There is no trainer here; {takes}"
    assert "nowhere is neither a checkpoint nor a run folder" in said("image=3", "count=2")  # a file's name
    assert "count must be a whole number from 1" in said("count=two")
    told = command("--help", cwd=tmp_path, module="apply").stdout
    actions = [file.stem for file in (CONFIGS / "action").glob("*.yaml")]
    assert [line.split()[0] for line in told.splitlines() if line.startswith("action=")] == sorted(
        f"action={name}" for name in actions
    )
    assert re.search(r"action=denoise +A noisy image.*\n(    \w+=.*\n)*    level=null +of the noise", told)
    assert not re.search("needs|_target_|trainer|dataset:|model:", told)


def test_a_sweep_goes_on_after_a_failure_and_ends_with_a_summary(tmp_path: Path) -> None:
    result = command("-m", "model=vae", *QUICK, "loss.beta=0.5,-1,4", "outputs=out", cwd=tmp_path)
    assert result.returncode == 1
    (sweep,) = (tmp_path / "out/multirun").iterdir()
    rows = (sweep / "summary.csv").read_text().splitlines()
    assert [row.split(",")[1:3] for row in rows] == [
        ["loss.beta", "status"], ["0.5", "finished"], ["-1", "failed"], ["4", "finished"]
    ]  # fmt: skip
    assert "test/kl" in rows[0]
    assert "loss.beta must be a number from 0" in (next(sweep.glob("1_*")) / "error.txt").read_text()
    assert (sweep / "summary.md").read_text().count("\n") == 5
    assert (sweep / "summary.png").stat().st_size > 1000
    assert len({path.name for path in sweep.iterdir() if path.is_dir()}) == 3
    assert "is a folder of 2 runs, not of one" in command(f"resume={sweep}", cwd=tmp_path).stderr
    job = next(sweep.glob("0_*")).relative_to(tmp_path)
    assert command(f"resume={job}", "trainer.max_epochs=2", cwd=tmp_path).returncode == 0
    assert command(f"run={job}", "action=sample", cwd=tmp_path, module="apply").returncode == 0
    again = command("-m", "model=vae", *QUICK, "loss.beta=1,2", f"hydra.sweep.dir={sweep}", cwd=tmp_path)
    assert again.returncode == 1
    assert "holds a sweep already" in again.stderr


def test_a_sweep_over_models_has_one_folder_and_one_summary(tmp_path: Path) -> None:
    assert command("-m", "model=vae,autoencoder", "seed=1,2", *QUICK, cwd=tmp_path).returncode == 0
    (sweep,) = (tmp_path / "outputs/multirun").iterdir()
    assert len((sweep / "summary.csv").read_text().splitlines()) == 5
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["multirun"]


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_says_what_it_has(request_to_end: signal.Signals, tmp_path: Path) -> None:
    long = [argument for argument in QUICK if not argument.startswith("trainer.max_epochs")]
    arguments = ["-m", *long, "trainer.max_epochs=100000", "loss.beta=1,2", "hydra.sweep.dir=sweep"]
    running = subprocess.Popen(
        [sys.executable, "-m", "scalian_exp.train", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    while not running.stdout.readline().startswith("epoch 2"):
        assert running.poll() is None, "ended too soon"
    running.send_signal(request_to_end)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Go on with:" in rest
    assert "The sweep ends here" in rest
    assert "interrupted" in (tmp_path / "sweep/summary.csv").read_text()
    assert not list((tmp_path / "sweep").glob("1_*"))


def test_a_run_without_checkpoints_ends_as_well(tmp_path: Path) -> None:
    result = command("model=vae", *QUICK, "~callbacks.best", "~callbacks.last", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "test/neg_elbo" in result.stdout


def test_two_runs_at_once_never_share_a_folder(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-m", "scalian_exp.train", *QUICK], cwd=tmp_path, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [started.wait(timeout=200) for started in processes] == [0, 0]
    assert len(list((tmp_path / "outputs/vae_fake_images").iterdir())) == 2


def test_ctrl_c_leaves_a_run_that_resumes_as_if_nothing_had_happened(tmp_path: Path) -> None:
    long = [argument for argument in QUICK if not argument.startswith("trainer.max_epochs")]
    arguments = [*long, "trainer.max_epochs=100000", "hydra.run.dir=run", "test=false"]
    running = subprocess.Popen(
        [sys.executable, "-m", "scalian_exp.train", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    lines: list[str] = []
    while sum(line.startswith("epoch") for line in lines) < 3:
        lines.append(running.stdout.readline())
        assert lines[-1], "ended too soon"
    time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "scalian-train resume=run" in rest
    assert "Traceback" not in rest
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["status"] == "interrupted"
    assert metrics["val/neg_elbo"] > 0
    done = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["epoch"] + 1
    assert done >= 3
    resumed = command("resume=run", f"trainer.max_epochs={done + 2}", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    whole = command(*long, f"trainer.max_epochs={done + 2}", "hydra.run.dir=whole", "test=false", cwd=tmp_path)
    assert whole.returncode == 0
    states = [
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("run", "whole")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_ones_own_network_and_configs_plug_in(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = root / "docs/own_network"
    monkeypatch.syspath_prepend(str(own))
    arguments = [f"hydra.searchpath=[file://{own}/configs]", "model=halves", "dataset=fake_images", *QUICK[:4]]
    result = process(*arguments, "hydra.run.dir=run", cwd=tmp_path, PYTHONPATH=str(own))
    assert result.returncode == 0, result.stderr
    used = command("run=run", "action=reconstruct", cwd=tmp_path, module="apply")
    assert re.search(
        r"model\.network in run/checkpoints/best\.ckpt names halves\.Halves.* add trust=halves ", used.stderr
    )
    used = command("run=run", "action=reconstruct", "trust=halves", cwd=tmp_path, module="apply")
    assert used.returncode == 0, used.stderr
    further = ["resume=run", "trainer.max_epochs=2"]
    assert "add trust=halves" in command(*further, cwd=tmp_path).stderr
    assert command(*further, "trust=other,halves", cwd=tmp_path).returncode == 0
    assert "trust" not in (tmp_path / "run/config.yaml").read_text()
    odd = command(*arguments, "dataset.image_size=[15,16]", cwd=tmp_path)
    assert odd.stderr.strip() == "model: Images of 15 rows have no halves; use an even height."
    wrong = command(*arguments, "loss=elbo", cwd=tmp_path)
    assert "model=halves is a reconstruction one; use loss=bce|l1|mse" in wrong.stderr


def test_an_action_of_ones_own_is_listed_and_named(tmp_path: Path) -> None:
    (tmp_path / "own/action").mkdir(parents=True)
    (tmp_path / "own/action/mine.yaml").write_text(
        "# My own one.\n_target_: scalian_exp.actions.pictures.Reconstruct\nneeds: [encode] # what\n"
        "image: null # a file\ncount:    3   # how many\n"
    )
    own = f"hydra.searchpath=[file://{tmp_path}/own]"
    told = command(own, "--help", cwd=tmp_path, module="apply").stdout
    assert re.search(r"action=mine +My own one\.\n +image=null +a file\n +count=3 +how many\n", told)
    wrong = command(own, "run=x", "action=mine", "imgae=a", cwd=tmp_path, module="apply").stderr
    assert "did you mean image? action=mine takes image, count" in wrong


def test_data_that_has_moved_is_found_by_apply_and_resume(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for number in range(20):
        Image.effect_noise((8, 8), 50).save(tmp_path / f"old/{number}.png")
    data = ["dataset=image_folder", "dataset.root=old", "dataset.image_size=[8,8]", "dataset.num_workers=0"]
    kept = [word for word in QUICK if not word.startswith("dataset=")]
    trained = command("model=autoencoder", *kept, *data, "hydra.run.dir=r", cwd=tmp_path)
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
    assert "the data of this run (FakeImages) lies in no folder" in none.stderr


def test_a_reader_that_stops_is_no_error_to_be_told(tmp_path: Path) -> None:
    """As in `scalian-apply --help | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-m", "scalian_exp.apply", "--help"]
    ended = subprocess.run(program, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, timeout=250, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_training_that_has_reached_its_steps_stays_as_it_is_when_resumed(tmp_path: Path) -> None:
    said = [*QUICK, "model=autoencoder", "test=false", "trainer.max_epochs=2", "hydra.run.dir=run"]
    assert command(*said, cwd=tmp_path).returncode == 0
    for limit in ("trainer.max_steps=6", "trainer.max_epochs=2"):
        assert command("resume=run", limit, cwd=tmp_path).returncode == 0
        metrics = json.loads((tmp_path / "run/metrics.json").read_text())
        assert (metrics["epochs"], metrics["steps"]) == (2, 6)
    before = (tmp_path / "run/config.yaml").read_bytes()
    result = command("resume=run", "trainer.max_steps=5", cwd=tmp_path)
    assert result.returncode == 1
    sentence = "This run has trained 6 steps already, which count towards trainer.max_steps=5; give 6 or more"
    assert sentence in result.stderr
    assert (tmp_path / "run/config.yaml").read_bytes() == before
