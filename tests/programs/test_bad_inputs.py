"""A hundred bad inputs of all commands: each ends in one sentence that says what is wrong and leaves nothing behind."""

import os
import shutil
from pathlib import Path

from commands import invoke

TRAIN, APPLY, REPORT = "scalian-train", "scalian-apply", "scalian-report"
TINY = (
    *("model=vae", "dataset=fake_images", "dataset.image_size=[8,8]", "model.network.hidden=[2]"),
    *("model.network.latent_dim=2", "trainer=debug", "trainer/accelerator=cpu", "callbacks=minimal", "logger=none"),
)

TABLE: list[tuple[str, str, str]] = [
    # options that don't exist or don't fit together
    (TRAIN, "model=vea", "did you mean model=vae?"),
    (TRAIN, "model=5", "model=5 is none of"),
    (TRAIN, "model=", "model= is none of"),
    (TRAIN, "dataset=mnits", "did you mean dataset=mnist?"),
    (TRAIN, "loss=elbow", "did you mean loss=elbo?"),
    (TRAIN, "model=autoencoder loss=elbo", "loss=bce|l1|mse"),
    (TRAIN, "model=unet dataset=mnist", "needs masks, a class for each pixel"),
    (TRAIN, "nonsense", "can't be read"),
    (TRAIN, "nonsense=1", "There is no nonsense"),
    (TRAIN, "model.network.latent_dm=3", "did you mean model.network.latent_dim?"),
    (TRAIN, "trainer=fast", "There is no trainer=fast"),
    (TRAIN, "callbacks=all", "There is no callbacks=all"),
    (TRAIN, "experiment=best", "There is no experiment=best"),
    (TRAIN, "trainer.max_epochs=1,2", "add -m to sweep"),
    # parts of another kind than the model's
    (TRAIN, "model.optimizer=5", "model.optimizer must be a node with a _target_"),
    (TRAIN, "model/optimizer=sgd model.optimizer=5", "model.optimizer must be a node with a _target_"),
    (TRAIN, "model.fits=5", "model.fits must be a mapping"),
    (TRAIN, "model.fits=null", "model=vae doesn't state what it fits"),
    (TRAIN, "model.fits.needs=images", "model.fits.needs must be a list, such as [images]"),
    (TRAIN, "loss.fits.tasks=variational", "loss.fits.tasks must be a list, such as [variational]"),
    (TRAIN, "dataset.provides=images", "dataset.provides must be a list, such as [images]"),
    # values of the trainer
    (TRAIN, "trainer.max_epochs=0", "would train nothing"),
    (TRAIN, "trainer.max_epochs=-2", "trainer.max_epochs=-2: it must be"),
    (TRAIN, "trainer.max_epochs=1.5", "a whole number or null, not 1.5"),
    (TRAIN, "trainer.max_epochs=inf", "a whole number or null, not inf"),
    (TRAIN, "trainer.max_steps=0", "trainer.max_steps=0: it must be"),
    (TRAIN, "trainer.max_steps=-5", "trainer.max_steps=-5: it must be"),
    (TRAIN, "+trainer.max_time=soon", "trainer.max_time=soon: it must be"),
    (TRAIN, "+trainer.max_time=00:00:00:00", "above zero"),
    (TRAIN, "trainer.limit_train_batches=0", "trainer.limit_train_batches=0: it must be"),
    (TRAIN, "trainer.limit_train_batches=-1", "trainer.limit_train_batches=-1: it must be"),
    (TRAIN, "trainer.limit_train_batches=1.5", "trainer.limit_train_batches=1.5: it must be"),
    (TRAIN, "trainer.limit_train_batches=0.001", "less than one"),
    (TRAIN, "trainer.limit_val_batches=0", "trainer.limit_val_batches=0: it must be"),
    (TRAIN, "trainer.limit_test_batches=0", "test=false"),
    (TRAIN, "trainer.limit_test_batches=0.0", "test=false"),
    (TRAIN, "trainer.limit_test_batches=nan", "or null, not nan"),
    (TRAIN, "trainer.overfit_batches=-1", "trainer.overfit_batches=-1: it must be"),
    (TRAIN, "+trainer.val_check_interval=1000", "more than the 3 steps of an epoch"),
    (TRAIN, "+trainer.val_check_interval=0", "trainer.val_check_interval=0: it must be"),
    (TRAIN, "trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch=0: it must be"),
    (TRAIN, "trainer.check_val_every_n_epoch=null", "the number of steps between validations"),
    (TRAIN, "trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0: it must be"),
    (TRAIN, "trainer.log_every_n_steps=-1", "trainer.log_every_n_steps=-1: it must be"),
    (TRAIN, "trainer.num_sanity_val_steps=-2", "trainer.num_sanity_val_steps=-2: it must be"),
    (TRAIN, "trainer.gradient_clip_val=-1", "trainer.gradient_clip_val=-1: it must be"),
    (TRAIN, "trainer.gradient_clip_val=inf", "or null, not inf"),
    (TRAIN, "+trainer.gradient_clip_algorithm=max", "norm or value"),
    (TRAIN, "trainer.deterministic=maybe", "must be one of warn or true or false or null"),
    (TRAIN, "trainer.precision=8", "trainer.precision must be one of"),
    (TRAIN, "+trainer.benchmark=maybe", "trainer.benchmark must be true or false or null"),
    (TRAIN, "+trainer.profiler=slow", "trainer.profiler=slow: it must be simple, advanced"),
    (TRAIN, "+trainer.fast_dev_run=true", "trainer=debug"),
    (TRAIN, "+trainer.barebones=true", "a run needs its checkpoints and logs"),
    (TRAIN, "+trainer.enable_checkpointing=false", "resumed through its checkpoints"),
    (TRAIN, "+trainer.reload_dataloaders_every_n_epochs=-1", "every_n_epochs=-1: it must be"),
    (TRAIN, "trainer.devices=0", "to train in several processes, use trainer/accelerator"),
    (TRAIN, "trainer.devices=[]", "to train in several processes, use trainer/accelerator"),
    (TRAIN, "trainer.accelerator=tpu", "auto, cpu, gpu, cuda or mps"),
    (TRAIN, "trainer.limit_epochs=1", "There is no trainer.limit_epochs"),
    # callbacks and loggers
    (TRAIN, "+callbacks.mine=5", "callbacks.mine must be a mapping with _target_, or null, not 5"),
    (TRAIN, "+callbacks.mine._target_=5", "must be the name of a class, not 5"),
    (TRAIN, "+callbacks.mine._target_=torch.nn.Linear", "missing a required argument: 'in_features'"),
    (TRAIN, "+callbacks.mine._target_=torch.nn.Identity", "Identity is not a Lightning Callback"),
    (TRAIN, "logger=csv +logger.mine=5", "logger.mine must be a mapping"),
    (TRAIN, "logger=csv +logger.mine._target_=torch.nn.Identity", "Identity is not a Lightning Logger"),
    (TRAIN, "callbacks=early_stopping callbacks.early_stopping.patience=-1", "patience=-1: it must be"),
    (TRAIN, "+callbacks.figurs.every_n_epochs=1", "did you mean callbacks.figures?"),
    (TRAIN, "+callbacks.zzz.x=1", "callbacks.zzz has no _target_"),
    (TRAIN, "+logger.tensorbord.x=1", "did you mean logger.tensorboard?"),
    # flags
    (TRAIN, "--resolve", "--cfg job --resolve"),
    (TRAIN, "--shell-completion", "install=bash"),
    (TRAIN, "-sc", "install=bash"),
    (TRAIN, "--experimental-rerun=file", "use resume=RUN instead"),
    (TRAIN, "--exp=file", "use resume=RUN instead"),
    (APPLY, "run=run --resolve", "--cfg job --resolve"),
    (APPLY, "run=run --experimental-rerun=file", "would unpickle a file"),
    # numbers
    (TRAIN, "seed=-1", "from 0 to 4294967295"),
    (TRAIN, "seed=100000000000000000000000", "from 0 to 4294967295"),
    (TRAIN, "seed=10**23", "from 0 to 4294967295"),
    (TRAIN, "seed=1.5", "from 0 to 4294967295"),
    (TRAIN, "loss.beta=-1", "a number from 0"),
    (TRAIN, "loss.beta=inf", "a number from 0, not inf"),
    (TRAIN, "loss.beta=nan", "a number from 0, not nan"),
    (TRAIN, "model.optimizer.lr=inf", "model.optimizer.lr must be a number, not inf"),
    (TRAIN, "model.optimizer.lr=-1", "model.optimizer.lr=-1: it must be a number from 0"),
    (TRAIN, "model.optimizer.lr=fast", "model.optimizer.lr must be a number, not 'fast'"),
    (TRAIN, "model.network.latent_dim=0", "a whole number from 1, not 0"),
    (TRAIN, "model.network.latent_dim=10000000000", "a whole number from 1 to 2147483647"),
    (TRAIN, "model.network.hidden=8", "must be a list"),
    (TRAIN, "model.network.hidden=[100000000]", "GB of memory"),
    (TRAIN, "model.network.latent_dim=2147483647", "GB of memory"),
    (TRAIN, "dataset.image_size=[100000,100000]", "of memory"),
    (TRAIN, "dataset.image_size=[8]", "two whole numbers"),
    (TRAIN, "dataset.image_size=[0,8]", "a whole number from 1"),
    (TRAIN, "dataset.batch_size=0", "a whole number from 1, not 0"),
    (TRAIN, "dataset.val_size=64", "a number from 1 to 63"),
    (TRAIN, "dataset.train_size=2147483647", "of memory"),
    (TRAIN, "test=maybe", "test must be true or false"),
    (TRAIN, "repeats=seed", "repeats must be a list"),
    # files and folders
    (TRAIN, "hydra.run.dir=file", "exists already"),
    (TRAIN, "hydra.run.dir=file/below", "file is in the way"),
    (TRAIN, "hydra.run.dir=loop/run", "form a circle"),
    (TRAIN, f"hydra.run.dir={'n' * 300}", "name is too long"),
    (TRAIN, "hydra.run.dir=run", "holds a run already"),
    (TRAIN, "hydra.run.dir=others", "others holds no run, but checkpoints/best.ckpt, which a run would overwrite"),
    (TRAIN, "-m seed=1,2 hydra.sweep.subdir=same", "one folder for all jobs"),
    (
        TRAIN,
        "-m hydra/sweeper=optuna loss.beta=interval(0,1) hydra.sweeper.n_trials=0",
        "n_trials=0: it must be",
    ),
    (TRAIN, "-m hydra/sweeper=optuna loss.beta=interval(0,1) hydra.sweeper.n_jobs=0", "n_jobs=0: it must be"),
    (TRAIN, "init_from=nowhere", "nowhere is neither a checkpoint"),
    (TRAIN, "init_from=file", "file is truncated or not a PyTorch checkpoint"),
    (TRAIN, "init_from=fifo", "fifo is neither a checkpoint"),
    (TRAIN, "init_from=5", "neither a checkpoint"),
    (TRAIN, "resume=nowhere", "not a run folder"),
    (TRAIN, "resume=file", "file is not a run folder"),
    (TRAIN, "+resume=nowhere", "not a run folder"),
    (TRAIN, "++sweep.resume=nowhere", "not a sweep's folder"),
    (TRAIN, "resume=", "resume= has no path"),
    (TRAIN, "resume=run model=unet", "stays the same experiment"),
    (TRAIN, "resume=run trainer.max_epochs=0", "would train nothing"),
    (TRAIN, "sweep.resume=nowhere", "not a sweep's folder"),
    (TRAIN, "sweep.resume=run", "holds a single run, not a sweep; resume it: "),
    (TRAIN, "callbacks=sample_quality callbacks.sample_quality.judge=nowhere", "There is no judge"),
    (TRAIN, "callbacks=sample_quality", "has no value yet"),
    # apply
    (APPLY, "", "There is no trained run below outputs/ here"),
    (APPLY, "action=sample", "Choose a run"),
    (APPLY, "run=latest", "run=latest: there is no trained run below outputs/ here"),
    (APPLY, "run=nowhere", "neither a checkpoint nor a run folder"),
    (APPLY, "run=5", "neither a checkpoint nor a run folder"),
    (APPLY, "run=[a,b]", "neither a checkpoint"),
    (APPLY, "run=file", "not a PyTorch checkpoint"),
    (APPLY, "run=fifo", "fifo is neither a checkpoint"),
    (APPLY, "run=loop", "loop is neither a checkpoint"),
    (APPLY, f"run={'n' * 300}", "name is too long"),
    (APPLY, "run=run action=smaple", "did you mean action=sample?"),
    (APPLY, "run=run action=segment", "needs masks, a class for each pixel;"),
    (APPLY, "run=run device=tpu", "no such device"),
    (APPLY, "run=run action=sample count=0", "a whole number from 1, not 0"),
    (APPLY, "run=run action=sample count=2147483647", "of memory"),
    (APPLY, "run=run action=sample seed=100000000000000000000000", "4294967295"),
    (APPLY, "run=run action=sample seed=-1", "4294967295"),
    (APPLY, "run=run action=sample temperature=inf", "a number above 0"),
    (APPLY, "run=run action=sample cuont=1", "did you mean count?"),
    (APPLY, "run=run action=probe labels=[]", "at least one number"),
    (APPLY, "run=run action=probe labels=[0]", "a whole number from 1"),
    (APPLY, "run=run action=probe labels=all", "must be a list"),
    (APPLY, "run=run action=latent_map steps=2147483647", "of memory"),
    (APPLY, "run=run action=traverse extent=0", "a number above 0"),
    (APPLY, "run=run action=interpolate start=file", "two ends"),
    (APPLY, "run=run action=interpolate steps=2147483647", "of memory"),
    (APPLY, "run=run action=reconstruct image=nowhere.png", "There is no image file nowhere.png"),
    (APPLY, "run=run action=reconstruct image=file", "can't be read as an image"),
    (APPLY, "run=run action=reconstruct image=fifo", "fifo is not a regular file"),
    (APPLY, "run=run action=nearest split=all", "train, val, test"),
    (APPLY, "run=run action=nearest index=1000", "the test split has 20 examples"),
    (APPLY, "run=run action=denoise level=nan", "a number from 0"),
    (APPLY, "run=linked action=sample", "linked/sample is a link out of linked"),
    # report
    (REPORT, "nowhere", "holds no run"),
    (REPORT, "file", "holds no run"),
    (REPORT, "likelihoods", "of which runs"),
    (REPORT, "likelihoods nowhere", "nowhere holds no run"),
    (REPORT, "run --out file/page.html", "exists already"),
    (REPORT, f"run --out {'n' * 300}", "name is too long"),
    (REPORT, "run --out .", "folder"),
    (REPORT, "run --out run/metrics.json", "exists already and isn't a page"),
    (REPORT, "run --out fifo", "not a regular file"),
]


def test_a_hundred_bad_inputs_are_refused_in_one_sentence(tmp_path: Path) -> None:
    assert invoke(tmp_path, TRAIN, *TINY, "hydra.run.dir=run", "test=false")[0] == 0
    (tmp_path / "file").write_text("no picture, no run")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "others/checkpoints").mkdir(parents=True)
    (tmp_path / "others/checkpoints/best.ckpt").write_text("of another program")
    shutil.copytree(tmp_path / "run", tmp_path / "linked")
    (tmp_path / "linked/sample").symlink_to(tmp_path / "others")
    there = {*tmp_path.rglob("*")}
    problems = []
    for command, line, sentence in TABLE:
        arguments = line.split()
        if command == TRAIN and not line.lstrip("+").startswith(("resume", "sweep.resume")):
            own = {argument.partition("=")[0] for argument in arguments}
            of_vae = () if "model" not in own else ("model.", "dataset.")
            tiny = [option for option in TINY if option.partition("=")[0] not in own and not option.startswith(of_vae)]
            arguments = [*tiny, *(() if "hydra.run.dir" in own else ("hydra.run.dir=new",)), *arguments]
        code, output = invoke(tmp_path, command, *arguments)
        text = output.strip()
        if code == 0 or sentence not in text or "Traceback" in text or len(text.splitlines()) > 1 + 9 * (code == 2):
            problems.append(f"{command} {line}: code {code}, {text[-400:]!r}")
        if new := {*tmp_path.rglob("*")} - there:
            problems.append(f"{command} {line}: leaves {sorted(map(str, new))[:4]}")
            there |= new
    assert not problems, "\n".join(problems)


def test_there_are_a_hundred_different_inputs() -> None:
    assert len(TABLE) >= 100
    assert len({*TABLE}) == len(TABLE)
