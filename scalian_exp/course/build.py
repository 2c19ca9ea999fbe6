"""Build the course's page from its runs."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from jinja2 import UndefinedError
from markupsafe import Markup

from scalian_exp.checkpoint import load
from scalian_exp.commandline.shell import command, shown
from scalian_exp.course import comparison as comparisons
from scalian_exp.course.chapter import SETTINGS, Description, runs_of
from scalian_exp.course.comparison import Trained, comparison
from scalian_exp.course.facts import both, facts_of
from scalian_exp.exhibits import exhibit as of_one_run
from scalian_exp.exhibits.exhibit import Exhibit, exhibits
from scalian_exp.exhibits.page import Chapter, Part, Show, part, render
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.exhibits.texts import Texts
from scalian_exp.folders import State, state
from scalian_exp.refusal import Refusal

COURSE = Path(__file__).parent / "course.yaml"


class Course:
    """The page about the runs in a folder.

    Args:
        runs: the folder.
    """

    def __init__(self, runs: Path):
        self.folder = runs
        self.trained: dict[str, Trained] = {}
        self.data: dict[str, Any] = {}
        """data that several runs share, by their data set's config"""
        self.stores: dict[str, Store] = {}
        self.exhibits: dict[str, Exhibit] = dict(exhibits())

    @torch.no_grad()
    def html(self, chapters: Iterable[Description], language: str | None = None) -> tuple[str, dict[str, str]]:
        """Return the page, and why chapters are left out, by name.

        Args:
            chapters: in their order.
            language: of the page at first; None for the browser's.
        """
        finished, left_out = [], {}
        for description in chapters:
            try:
                finished.append((description.runs, self.chapter(description)))
            except (Refusal, UndefinedError) as why:
                left_out[description.name] = str(why)
                for store in self.stores.values():
                    store.forget(f"{description.name}-")
        if not finished:
            raise Refusal(f"No chapter can be built: {' '.join(dict.fromkeys(left_out.values()))}")
        texts = Texts(COURSE, self.about({run for runs, _ in finished for run in runs}))
        return render(texts, [chapter for _, chapter in finished], self.stores.values(), language=language), left_out

    def about(self, runs: set[str]) -> dict[str, Any]:
        """Return what the texts around the chapters tell: how many runs they show, and how long these trained."""
        seconds = sum(self.trained[name].facts["seconds"] or 0 for name in runs)
        return {"runs": len(runs), "minutes": seconds / 60}

    def run(self, name: str) -> Trained:
        """Return a finished run, loaded once.

        Raises:
            Refusal: if it isn't there, or its data can't be read.
        """
        if name not in self.trained:
            folder = self.folder / name
            if state(folder) is not State.FINISHED:
                raise Refusal(f"{folder} holds no finished run.")
            model = load(folder)
            dataset = json.dumps(model.config["dataset"], sort_keys=True)
            run = Run(model, self.data.get(dataset))
            self.data[dataset] = run.data
            self.trained[name] = Trained(run, facts_of(run))
        return self.trained[name]

    def chapter(self, description: Description) -> Chapter:
        """Return a chapter with all that it shows.

        Raises:
            Refusal: if one of its runs isn't there, or can't be shown.
        """
        for name in description.runs:
            self.run(name)
        shown: dict[str, Any] = {}
        shows = [self.show(description, number, each, shown) for number, each in enumerate(description.shows)]
        facts = {name: self.run(name).facts for name in description.runs} | {"shown": shown}
        texts = Texts(description.file, facts, apart=SETTINGS)
        texts.check()
        return Chapter(description.name, texts, shows, list(self.commands(description)))

    def commands(self, description: Description) -> Iterator[str]:
        """Yield the commands that train a chapter's runs again, and those that measure what it tells of them."""
        for name in description.commands:
            yield self.run(name).facts["command"]
        for name, actions in description.results.items():
            for action in actions:
                kind, *arguments = action.split()
                yield command("scalian-apply", f"run={shown(self.folder / name)}", f"action={kind}", *arguments)

    def show(self, description: Description, number: int, settings: dict[str, Any], shown: dict[str, Any]) -> Show:
        """Return an exhibit for each of the runs of a show, or its comparison, whose facts are added to `shown`."""
        if "comparison" in settings:
            compared, facts = self.compared(f"{description.name}-{number}", description, settings)
            shown[settings.get("name", settings["comparison"])] = facts
            return Show([compared], title=in_languages(settings.get("title", "")))
        labels = settings["runs"] if isinstance(settings["runs"], dict) else dict.fromkeys(runs_of(settings), "")
        start, kind = f"{description.name}-{number}", settings["exhibit"]
        parts = [self.exhibited(f"{start}-{run}", kind, run, label) for run, label in labels.items()]
        by, title = (in_languages(settings.get(key, "")) for key in ("by", "title"))
        return Show(parts, by, title, f"{start}-{settings['first']}" if "first" in settings else "")

    def exhibited(self, name: str, kind: str, run: str, label: Any) -> Part:
        """Return an exhibit of a run, and note its facts."""
        run_, facts = self.run(run)
        store = self.stores.setdefault(run, Store(run))
        with store.exhibit(name):
            own = self.exhibits[kind].take(run_, store) | {"run": run_.facts}
        facts["exhibits"][kind] = own
        return part(name, of_one_run.HERE / kind, own, store, in_languages(label))

    def compared(self, name: str, description: Description, settings: dict[str, Any]) -> tuple[Part, dict[str, Any]]:
        """Return a comparison of the chapter's runs, and its facts."""
        store = self.stores.setdefault(name, Store(name))
        runs = {run: self.run(run) for run in description.runs}
        with store.exhibit(name):
            facts = comparison(settings["comparison"]).take(runs, settings, store)
        return part(name, comparisons.HERE / settings["comparison"], facts, store), facts


def in_languages(text: Any) -> str:
    """Return a short text in both languages as HTML, of which the page shows one."""
    each = both(text)
    if each["fr"] == each["en"]:
        return each["fr"]
    return Markup("").join(Markup('<span lang="{}">{}</span>').format(language, each[language]) for language in each)
