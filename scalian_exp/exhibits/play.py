"""Write an interactive page about the run's network."""

from pathlib import Path
from typing import NamedTuple

import torch

from scalian_exp.actions.action import Action
from scalian_exp.checkpoint import Loaded
from scalian_exp.exhibits.exhibit import HERE, exhibits
from scalian_exp.exhibits.page import FRAME, Chapter, Show, part, render
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.exhibits.texts import Texts
from scalian_exp.refusal import Refusal


class Page(NamedTuple):
    """A finished page."""

    html: str
    exhibits: list[str]
    """names of the exhibits on it"""
    left_out: dict[str, str]
    """exhibits that the run offers in principle, and why they are not on the page"""


class Play(Action):
    """A page to play with the network: one file that works from disk, in French and English."""

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Build the page of all exhibits that the run offers, and write play.html.

        Raises:
            Refusal: if there is no exhibit for it.
        """
        model.task.to("cpu")  # where the page's arrays are read
        result = page(Run(model))
        for why in dict.fromkeys(result.left_out.values()):
            print(f"Left out: {', '.join(name for name, other in result.left_out.items() if other == why)}. {why}")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "play.html"
        file.write_text(result.html, encoding="utf-8")
        print(
            f"Exhibits: {', '.join(result.exhibits)}; {len(result.html.encode()) / 1e6:.1f} MB. Open it in a browser."
        )
        return [file]


def page(run: Run) -> Page:
    """Build the page of all exhibits that a run offers, a chapter each.

    Raises:
        Refusal: if there is none; it says why.
    """
    store, chapters, left_out = Store(), [], {}
    for name, exhibit in exhibits():
        if not exhibit.offered(run):
            continue
        try:
            with store.exhibit(name):
                facts = exhibit.take(run, store) | {"run": run.facts}
        except Refusal as refusal:
            left_out[name] = str(refusal)
        else:
            texts = Texts(HERE / name / "texts.yaml", facts)
            chapters.append(Chapter(name, texts, [Show([part(name, HERE / name, facts, store)])]))
    if not chapters:
        why = " ".join(dict.fromkeys(left_out.values())) or "neither it nor its data offers what an exhibit needs."
        raise Refusal(f"There is no exhibit for {type(run.network).__name__}: {why}")
    html = render(Texts(FRAME / "frame.yaml", run.facts), chapters, [store], run.command)
    return Page(html, [chapter.name for chapter in chapters], left_out)
