"""Mistyped commands are refused in one sentence, without torch and without a traceback."""

from pathlib import Path

import pytest
from commands import process, refused


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model=vea"], "There is no model=vea; did you mean model=vae?"),
        (["experiment=course/vea"], "There is no experiment=course/vea; did you mean experiment=course/vae?"),
        (["modle=vae"], "There is no modle in this experiment; did you mean model?"),
        (["model.network.latent_dm=3"], "latent_dm in this experiment; did you mean model.network.latent_dim?"),
        (["latent_dim=3"], "did you mean model.network.latent_dim?"),
        (["+model.network.latent_dm=3"], "takes no argument 'latent_dm'; did you mean 'latent_dim'?"),
        (["model.network.latent_dim=two"], "must be a whole number from 1, not 'two'"),
        (["model.network.latent_dim=-1"], "must be a whole number from 1, not -1"),
        (["model=autoencoder", "loss=elbo"], "loss=elbo can't train model=autoencoder; use loss=bce|l1|mse."),
        (["model=rbm_cf", "loss=bpr"], "loss=bpr can't train model=rbm_cf; use loss="),
        (["model=iwae", "loss.beta=2"], "ImportanceWeighted takes likelihood, samples."),
        (["model.optimizer.lrr=1"], "did you mean model.optimizer.lr?"),
        (["model.beta=1"], "did you mean loss.beta?"),
        (["callbacks=ema", "callbacks.ema.decay=1"], "must be a number from 0 and below 1, not 1"),
        (["model=classifier", "model.network.dropout=1.0"], "must be a number from 0 and below 1, not 1.0"),
        (["dataset=image_folder"], "dataset.root has no value yet"),
        (["dataset=image_folder", "dataset.root=nowhere"], "nowhere; set dataset.root to the folder of your images"),
        (["model=conv_vae", "model.network.channels=[8,8,8,8,8]"], "use at most 4 levels here"),
        (["model=conv_vae", "dataset=sklearn_digits", "model.network.channels=[8,8,8,8]"], "use at most 3 levels here"),
        (["loss.beta=[1"], "loss.beta=[1 can't be read; an override is group=option or path.to.value=value"),
        (["model"], "model can't be read; an override is group=option"),
        (["seed=1,2"], "add -m to sweep over several values"),
        (["-m", "seed=1,2", "--cfg", "job"], "--cfg and --info show one job: leave -m out"),
        (["model=VAE"], "did you mean model=vae?"),
        (["model=[vae]"], "an experiment has one model; write model=vae."),
        (["model="], "model= is none of autoencoder, "),
        (["+model=unet"], "model is chosen already; to choose another, leave + out: model=…"),
        (["~model"], "An experiment needs model=…: leave ~model out"),
        (["~callbacks"], "An experiment needs callbacks=…: leave ~callbacks out"),
        (["seed=${nothing}"], "seed refers to something that doesn't exist: Interpolation key 'nothing' not found"),
        (["loss.beta=a&b"], """if its value is a string, quote it: 'loss.beta="a&b"'"""),
        (["-m", "loss=glob(zz*)"], "loss=glob(zz*) matches no value at all, so nothing would be done; there are"),
        (["-m", "seed=range(3,1)"], "seed=range(3,1) matches no value at all"),
        (["-m", "seed=range(1,3,0)"], "seed=range(1,3,0) can't be swept over"),
        (["-m", "dataset=camvid", "seed=0,-1"], "seed=-1: it must be a whole number from 0 to 4294967295, not -1; no"),
        (["-m", "model=vae,classifier", "dataset.fold=1/1,2/2"], "fold=1/1: it must be a fold k/n"),
        (["model=iwae", "dataset.fold=1/5"], "without a validation split of their own; leave it out."),
        (["-m", "seed=0,1", "loss.beta=-1"], "loss.beta=-1: it must be a number from 0, not -1; no job has begun."),
        (["-m", "trainer.max_epochs=1,-5"], "trainer.max_epochs=-5: it must be a whole number from 1, or -1"),
        (["-m", "model=iwae", "loss.samples=2,no"], "loss.samples=no: it must be a whole number from 1, not 'no'"),
        (["-m", "seed=interval(0,1)"], "interval(…) is for searches: add hydra/sweeper=optuna"),
        (["seed=interval(0,1)"], "needs -m."),
        (["-m", "resume=x"], "resume=… resumes one run: leave -m out"),
        (["resume=x", "--cfg", "job"], "resume=… resumes a run as it is: leave --cfg out."),
        (["resume="], "resume= has no path after it"),
        (["=3"], "=3 has nothing before its ="),
        (
            ["experiment=fashion_scenes_unet", "model=fcn8s"],
            "experiment=fashion_scenes_unet sets model.network.depth and model.network.deep_supervision, which "
            "scalian_exp.networks.fcn.FCN doesn't take; to leave it out, add '~model.network.depth' '~model.network.de",
        ),
        (["trainer.strategy=ddp"], "first choose trainer/accelerator=ddp_cpu, ddp, fsdp or multinode"),
        (["model.optimizer.lr=abc"], "model.optimizer.lr must be a number, not 'abc'"),
        (["model=classifier", "dataset=image_folder", "dataset.root=."], "give it: dataset.num_classes=…"),
        (["resume=nowhere"], "nowhere is not a run folder"),
        (["experiment=vae_mnits"], "did you mean experiment=vae_mnist?"),
        (["model=unet", "dataset/augmentation=[crop,flipp]"], "did you mean dataset/augmentation=flip?"),
        (["model/crf=default"], "is chosen by model/crf=…; leave it out, or choose a model that has it."),
        (["model.optimizer.lr=-1"], "lr=-1: it must be a number from 0"),
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
        (["model=text_autoencoder", "dataset=text_csv", "dataset.root=nowhere"], "nowhere; set dataset.root to the"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    assert sentence in refused(*arguments, cwd=tmp_path)


def test_answers_from_the_configs_need_no_torch(tmp_path: Path) -> None:
    """--help, --cfg, completion and refusals work even where torch can't be imported."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise ImportError('torch was imported')")
    for arguments, expected in (
        (["--help"], "model="),
        (["--cfg", "job"], "\nmodel:\n"),
        (["--shell-completion", "query=bash"], "model=vae"),
    ):
        result = process(
            *arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path), COMP_LINE="scalian-train model=", COMP_POINT="20"
        )
        assert result.returncode == 0, result.stderr
        assert expected in result.stdout
    result = process("+model.network.latent_dm=3", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "did you mean" in result.stderr
    assert "torch was imported" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "chain"),
    [
        (["model=circle"], "model/circle.yaml → model/arc.yaml → model/circle.yaml"),
        (["model=loop"], "model/loop.yaml → model/loop.yaml"),
        (["model=arc"], "model/arc.yaml → model/circle.yaml → model/arc.yaml"),
        (["loss=elbo", "model=rbm"], ""),  # the refusal lists what would fit, for which all losses are read
    ],
)
def test_a_file_that_inherits_from_itself_is_named(arguments: list[str], chain: str, tmp_path: Path) -> None:
    for name, base in (
        ("model/circle", "arc"),
        ("model/arc", "circle"),
        ("model/loop", "loop"),
        ("loss/round", "round"),
    ):
        file = tmp_path / f"own/{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"defaults: [{base}, _self_]\n")
    own = f"hydra.searchpath=[file://{tmp_path}/own]"
    chain = chain or "loss/round.yaml → loss/round.yaml"
    said = refused(own, *arguments, cwd=tmp_path)
    assert said.strip() == f"A config file inherits from itself ({chain}); correct its defaults."
