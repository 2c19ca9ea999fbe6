"""Config values of `auto` are inferred by the data set's class from its files."""

import sys
from pathlib import Path

import pytest
import yaml
from commands import invoke
from hydra import initialize_config_dir
from tools import tiny

from scalian_exp.checkpoint import load
from scalian_exp.refusal import Refusal
from scalian_exp.sweep.resume import check_jobs
from scalian_exp.vocabulary.config_folders import CONFIGS

OWN = '''
from pathlib import Path

from scalian_exp.datasets.ratings_csv import RatingsCSV


class Marks(RatingsCSV):
    """School marks."""

    @classmethod
    def infer(cls, node):
        with (Path(node["root"]) / "asked").open("a") as file:
            file.write("once\\n")
        return super().infer(node)
'''


@pytest.mark.parametrize("levels", ["auto", "[0,1,2,3,4,5,6,7]"])
def test_a_custom_data_set_infers_its_levels_once_per_start(levels: str, tmp_path: Path) -> None:
    rows = [f"{user},{item},{(user + item) % 7}" for user in range(12) for item in range(8)]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]))
    (tmp_path / "marks_of_ours.py").write_text(OWN)
    (tmp_path / "own/dataset").mkdir(parents=True)
    (tmp_path / "own/dataset/marks.yaml").write_text(
        "_target_: marks_of_ours.Marks\nroot: ???\nusers: 12\nitems: 8\nlevels: auto\nliked: 4\nrows: users\n"
        "provides: [ratings]\nbatch_size: 4\nval_share: 0.2\n"
    )
    overrides = ["model=rbm_cf", "dataset=marks", "dataset.root=.", f"dataset.levels={levels}", "trainer.max_epochs=1"]
    quiet = ["callbacks=minimal", "logger=none", "trainer/accelerator=cpu", "hydra.run.dir=run", "test=false"]
    code, output = invoke(tmp_path, "scalian-train", f"hydra.searchpath=[file://{tmp_path}/own]", *overrides, *quiet)
    assert code == 0, output
    calls = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    assert calls == ("once\n" if levels == "auto" else "")
    config = load(tmp_path / "run").config
    expected = list(range(7)) if levels == "auto" else list(range(8))
    assert config["dataset"]["levels"] == config["model"]["network"]["levels"] == expected


def test_resuming_a_sweep_imports_no_class_that_its_folder_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "not_ours.py").write_text(OWN)
    data = ["dataset=ratings_csv", f"dataset.root={tmp_path}"]
    job = tmp_path / "sweep/0"
    (job / ".hydra").mkdir(parents=True)
    (job / "config.yaml").write_text(yaml.safe_dump(tiny("rbm_cf", *data)))
    overrides = ["model=rbm_cf", *data, "dataset.levels=auto", "dataset._target_=not_ours.Marks"]
    (job / ".hydra/overrides.yaml").write_text(yaml.safe_dump(overrides))
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        with pytest.raises(Refusal, match=r"dataset\._target_: .* → not_ours\.Marks"):
            check_jobs(tmp_path / "sweep", "train")
        assert "not_ours" not in sys.modules
        (tmp_path / "ratings.csv").write_text("user,item,rating\n1,2,3\n1,3,4\n")
        with pytest.raises(Refusal, match=r"dataset\._target_: .* → not_ours\.Marks"):
            check_jobs(tmp_path / "sweep", "train", trust="not_ours")
        assert "not_ours" in sys.modules
