"""Damaged run and sweep folders: every command that reads them works or says in one sentence what is wrong."""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import ends_well, invoke
from omegaconf import OmegaConf

TINY = (
    *("model=classifier", "dataset=fake_images", "dataset.image_size=[8,8]", "model.network.channels=[2]"),
    *("model.network.features=4", "trainer=debug", "trainer/accelerator=cpu", "callbacks=minimal", "logger=csv"),
    "trainer.limit_train_batches=1",
)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a finished run in run/ and a finished sweep of one job in sweep/."""
    folder = tmp_path_factory.mktemp("intact")
    assert invoke(folder, "scalian-train", *TINY, "hydra.run.dir=run")[0] == 0
    assert invoke(folder, "scalian-train", "-m", *TINY, "hydra.sweep.dir=sweep")[0] == 0
    (folder / "sweep" / job_of(folder)).rename(folder / "sweep/0")
    return folder


def job_of(folder: Path) -> str:
    (file,) = folder.glob("sweep/*/config.yaml")
    return file.parent.name


def written(contents: bytes) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        file.write_bytes(contents)

    return damage


def cut(file: Path) -> None:
    contents = file.read_bytes()
    file.write_bytes(contents[: len(contents) // 2])


def flipped(file: Path) -> None:
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 3] ^= 0x10
    file.write_bytes(contents)


def replaced(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        file.unlink()
        make(file)

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": written(b""),
    "zeros": written(bytes(100)),
    "garbage": written(b"\xff\xfe\x80garbage\x00"),
    "brackets": written(b"{[" * 3000),
    "list": written(b"[1, 2]"),
    "number": written(b"5"),
    "text": written(b"text"),
    "other names": written(b'{"a": 1}'),
    "tag": written(b"a: !!python/object/apply:os.getcwd []"),
    "circle": written(b"a: &a [*a]"),
    "cut": cut,
    "missing": Path.unlink,
    "folder": replaced(Path.mkdir),
    "fifo": replaced(os.mkfifo),
    "dangling link": replaced(lambda file: file.symlink_to("nothing")),
    "loop": replaced(lambda file: file.symlink_to(file.name)),
}
TRAIN = ("scalian-train", *TINY, "hydra.run.dir=new", "test=false")
COMMANDS: dict[str, tuple[str, ...]] = {
    "resume": ("scalian-train", "resume=run", "test=false"),
    "resume sweep": ("scalian-train", "sweep.resume=sweep"),
    "apply": ("scalian-apply", "run=run", "action=evaluate"),
    "report": ("scalian-report", "run"),
    "report sweep": ("scalian-report", "sweep"),
    "likelihoods": ("scalian-report", "likelihoods", "run"),
    "init_from": (*TRAIN, "init_from=run"),
    "judge": (
        *(override for override in TRAIN if not override.startswith(("model", "callbacks"))),
        *("model=vae", "model.network.hidden=[2]", "callbacks=sample_quality", "callbacks.sample_quality.judge=run"),
    ),
}
READ = [
    ("run/config.yaml", "resume"),
    ("run/config.yaml", "likelihoods"),
    ("run/metrics.json", "resume"),
    ("run/metrics.json", "report"),
    ("run/environment.json", "resume"),
    ("run/csv/metrics.csv", "report"),
    ("run/.hydra/config.yaml", "report"),
    ("run/.hydra/overrides.yaml", "report"),
    ("run/.hydra/hydra.yaml", "report"),
    ("run/checkpoints/last.ckpt", "resume"),
    ("run/checkpoints/best.ckpt", "apply"),
    ("run/checkpoints/best.ckpt", "init_from"),
    ("run/checkpoints/best.ckpt", "judge"),
    ("sweep/multirun.yaml", "resume sweep"),
    ("sweep/0/config.yaml", "resume sweep"),
    ("sweep/0/metrics.json", "report sweep"),
    ("sweep/0/.hydra/overrides.yaml", "resume sweep"),
]


def others(folder: Path, file: Path) -> dict[Path, tuple[int, int]]:
    """Map all other files of a folder to size and time of change, except logs, to which every command may add."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path != file and path.is_file() and not path.name.startswith(("train.log", "events"))
    }


def broken(intact: Path, place: Path, command: str, name: str, damage: Callable[[Path], None]) -> Iterator[str]:
    """Damage a copy, run the command there, and yield what is wrong with its response."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(intact, place)
    damage(place / name)
    before = others(place, place / name)
    code, output = invoke(place, *COMMANDS[command])
    if not ends_well(code, output):
        yield f"a traceback:\n{output[-1500:]}"
    if code == 0:
        return
    lines = output.strip().splitlines()
    if len(lines) > 1 and not lines[-1].startswith("go on"):
        yield f"more than a sentence:\n{output[-600:]}"
    if others(place, place / name) != before:
        yield f"other files were changed by a command that failed:\n{output[-600:]}"


@pytest.mark.parametrize(
    ("name", "command"),
    [pytest.param(*pair, marks=pytest.mark.slow if "ckpt" in pair[0] or "sweep" in pair[0] else []) for pair in READ],
)
def test_commands_cope_with_a_damaged_file(name: str, command: str, intact: Path, tmp_path: Path) -> None:
    problems = [
        f"{kind}: {wrong}"
        for kind, damage in DAMAGES.items()
        for wrong in broken(intact, tmp_path / "place", command, name, damage)
    ]
    assert not problems, "\n".join(problems)


SOMETHING_ELSE: tuple[Any, ...] = (None, 5, "text", [1], {"a": 1})


@pytest.mark.slow
@pytest.mark.parametrize("part", ["model", "loss", "dataset", "trainer", "callbacks", "logger", "seed", "test"])
def test_commands_cope_with_a_damaged_part_of_a_config(part: str, intact: Path, tmp_path: Path) -> None:
    problems = []
    config = yaml.safe_load((intact / "run/config.yaml").read_text())
    damaged = [{key: value for key, value in config.items() if key != part}]
    for value in SOMETHING_ELSE:
        damaged.append({**config, part: value})
        if isinstance(config[part], dict):
            damaged += [{**config, part: {**config[part], key: value}} for key in list(config[part])[:3]]
    for contents in damaged:
        text = yaml.safe_dump(contents).encode()
        wrongs = broken(intact, tmp_path / "place", "resume", "run/config.yaml", written(text))
        problems += [f"{contents.get(part, 'missing')!r}: {wrong}" for wrong in wrongs if not wrong.startswith("other")]
    assert not problems, "\n".join(problems)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["apply", "resume", "init_from"])
def test_commands_cope_with_a_damaged_part_of_a_checkpoint(command: str, intact: Path, tmp_path: Path) -> None:
    file = "run/checkpoints/last.ckpt" if command == "resume" else "run/checkpoints/best.ckpt"
    contents = torch.load(intact / file, weights_only=True)
    changes: list[dict[str, Any]] = [{key: value} for key in contents for value in (None, 5, [1])]
    config = contents["scalian_exp"]["config"]
    for part in ("model", "loss", "dataset"):
        for value in (None, 5, {"a": 1}, {"_target_": 5}, {"_target_": "nowhere.Thing"}, {**config[part], "width": {}}):
            changes.append({"scalian_exp": {"config": {**config, part: value}}})
    changes += [{"state_dict": {"network.weight": 5}}, {"state_dict": {}}, {"scalian_exp": {}}]
    problems = []
    for change in [*changes, *contents]:
        if isinstance(change, str):
            changed = {key: value for key, value in contents.items() if key != change}
        else:
            changed = {**copy.copy(contents), **change}
        wrongs = broken(intact, tmp_path / "place", command, file, lambda path, new=changed: torch.save(new, path))
        problems += [f"{str(change)[:100]}: {wrong}" for wrong in wrongs if "more than a sentence" not in wrong]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("model.network.of_later", 3, "takes no argument 'of_later'"),
        ("model.network.channels", 5, "model.network.channels must be a list"),
        ("model.network.in_channels", -1, "a whole number from 1"),
        ("loss.weight_of_later", 3, "takes no argument 'weight_of_later'"),
        ("dataset.of_later", 3, "takes no argument 'of_later'"),
        ("dataset.image_size", [8], "two whole numbers"),
        ("dataset.batch_size", "many", "a whole number from 1"),
    ],
)
def test_a_checkpoint_of_another_version_is_refused(
    key: str, value: Any, sentence: str, intact: Path, tmp_path: Path
) -> None:
    contents = torch.load(intact / "run/checkpoints/best.ckpt", weights_only=True)
    config = OmegaConf.create(contents["scalian_exp"]["config"])
    OmegaConf.update(config, key, value)
    changed = {**contents, "scalian_exp": {"config": OmegaConf.to_container(config)}}
    torch.save(changed, tmp_path / "changed.ckpt")
    code, output = invoke(tmp_path, "scalian-apply", "run=changed.ckpt", "action=classify")
    assert code == 1
    assert "Traceback" not in output
    assert "changed.ckpt is damaged, or another version wrote it: " in output
    assert sentence in output
