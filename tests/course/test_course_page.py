"""All chapters of the course on one page, of runs that trained for a moment."""

import html
import re
import shutil
from pathlib import Path

import pytest
from commands import command
from pages import OpenedPage
from tools import needs_browser

from scalian_exp import compose, train
from scalian_exp.course.build import Course
from scalian_exp.course.chapter import chapters
from scalian_exp.course.training import RUNS, application

MOMENT = [
    "trainer.max_epochs=1",
    "trainer.check_val_every_n_epoch=1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "callbacks.progress=null",
]
BRIEF_LIKELIHOOD = ["model.likelihood.steps=[3,3,3]", "model.likelihood.gibbs_steps=3", "model.likelihood.runs=3"]
LAYERS = ["model.epochs_per_layer=1", "trainer.max_epochs=2", *BRIEF_LIKELIHOOD]
JUDGED = ["callbacks.sample_quality.samples=16"]
FEW = ["dataset.train_size=16", "dataset.val_size=8", "dataset.test_size=8"]
BRIEF = {
    "vae": JUDGED,
    "vae_2": JUDGED,
    "gan": JUDGED,
    "draw": ["model.network.glimpses=2", "model.network.lstm_units=8", *JUDGED],
    "pixelcnn": ["model.network.features=2", "model.network.depth=1"],
    "pixelrnn": ["model.network.features=2", "model.network.depth=1"],
    "rbm_cd": BRIEF_LIKELIHOOD,
    "dbn": ["model.network.hidden=[16,16]", *LAYERS],
    "dbn_labels": ["model.network.hidden=[16,16]", *LAYERS],
    "fcn8s": ["model.network.width=0.05", *FEW],
    "unet": ["model.network.width=0.1", *FEW],
}
"""what makes trainings shorter still"""
LIKE = {
    "autoencoder_1": "autoencoder_2",
    "autoencoder_8": "autoencoder_2",
    "vae_beta_low": "vae",
    "vae_beta_high": "vae",
    "draw_no_attention": "draw",
    "rbm_pcd": "rbm_cd",
    "fcn32s": "fcn8s",
    "fcn16s": "fcn8s",
    **dict.fromkeys(["unet_no_skips", "segnet", "tiramisu56", "deeplab_v3plus", "fastfcn"], "unet"),
}
"""runs that are a copy of another here"""
LESS = {
    "course.comparisons.pairs.exhibit.STEPS": 20,
    "course.comparisons.planes.exhibit.SHOWN": 100,
    "actions.compare_features.SIDE": 32,
}
"""constants of the package that make the page faster"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the course."""
    folder, contents = tmp_path_factory.mktemp("course"), chapters()
    names = {run for chapter in contents for run in chapter.runs} | {"classifier"}
    for name in sorted(names - LIKE.keys(), key=lambda name: name != "classifier"):  # it judges the others
        brief = [*MOMENT, *BRIEF.get(name, [])]
        train(compose(f"experiment=course/{name}", f"outputs={folder}", *brief), folder / RUNS / name)
    for copy, original in LIKE.items():
        shutil.copytree(folder / RUNS / original, folder / RUNS / copy)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LESS.items():
            patch.setattr(f"scalian_exp.{name}", value)
        for chapter in contents:
            for run, actions in chapter.results.items():
                for action in actions:
                    job = application(run, action.split()[0], folder)
                    [program, *arguments] = job.arguments
                    few = ["labels=[50]"] if "labels" in action else []
                    done = command(*arguments, *few, cwd=folder, module=program.rpartition(".")[2])
                    assert done.returncode == 0, done.stderr
                    job.finish(folder)
        html, left_out = Course(folder / RUNS).html(contents)
    assert not left_out
    return html


def test_every_chapter_is_there_with_a_command_and_nothing_from_elsewhere(page: str) -> None:
    articles = re.findall(r'<article id="(\w+)">(.*?)</article>', page, flags=re.DOTALL)
    assert [name for name, _ in articles] == [chapter.name for chapter in chapters()]
    assert len(articles) == 16
    for name, text in articles:
        assert name == "conclusion" or "<code>" in text, name
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r"(src|href)=\"(?!#)", page), "something is loaded from elsewhere"


@needs_browser
def test_the_page_is_sound_in_a_browser(page: str, driver: object, tmp_path: Path) -> None:
    opened = OpenedPage(driver, page, tmp_path / "index.html")
    opened.check_sound()
    opened.show("fr")
    hidden = "return [...document.querySelectorAll('#code_size .show:first-of-type .exhibit')].map((e) => e.hidden)"
    assert opened.js(hidden) == [True, False, True, True], "a code of 2 numbers comes first"
    opened.click("[data-switch] button[value='code_size-0-autoencoder_1']")
    assert opened.js(hidden) == [False, True, True, True]
