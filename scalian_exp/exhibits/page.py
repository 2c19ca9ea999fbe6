"""Build an interactive page about trained networks: one file that works from disk, without a server or internet."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scalian_exp.exhibits.exhibit import HERE
from scalian_exp.exhibits.store import Store
from scalian_exp.exhibits.texts import LANGUAGES, Texts
from scalian_exp.pages.parts import POLICY, SCRIPT, STYLE, as_json, in_script, module

FRAME = HERE / "frame"
SCRIPTS = ("arrays.js", "products.js", "operations.js", "engine.js", "spoken.js", "kit.js", "input.js")
"""scripts that exhibits import, each after those that it imports itself"""
ENVIRONMENT = Environment(
    loader=FileSystemLoader(FRAME), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Part(NamedTuple):
    """An exhibit on a page."""

    name: str
    """tells it from others of its kind on the same page"""
    folder: Path
    """of its kind: template, script, style and texts"""
    body: Markup
    json: Markup
    """facts, texts and names of blocks for its script"""
    t: Texts
    label: str = ""
    """of the switch that shows it"""

    @property
    def kind(self) -> str:
        """Return the name of the kind of exhibit, that of its folder."""
        return self.folder.name


class Show(NamedTuple):
    """Exhibits of the same kind, of which a switch shows one at a time; mostly there is but one."""

    parts: list[Part]
    by: str = ""
    """what the switch chooses"""
    title: str = ""
    """above it"""
    first: str = ""
    """name of the part that is shown at first; the first without one"""


class Chapter(NamedTuple):
    """A title with texts, and what is shown below it."""

    name: str
    t: Texts
    """`short`, `title` and `lead`, and perhaps `tries`, `found` and `definition`, else those of its first exhibit"""
    shows: list[Show]
    commands: Sequence[str] = ()
    """that repeat it"""

    def texts(self, key: str) -> Texts:
        """Return the texts that have this key: the chapter's own, else those of its first exhibit."""
        return self.t if key in self.t else self.shows[0].parts[0].t


def part(name: str, folder: Path, facts: dict[str, Any], store: Store, label: str = "") -> Part:
    """Make an exhibit of what was taken for it.

    Args:
        name: under which the store noted the blocks that it uses.
        folder: of its kind.
        facts: what its texts and its script may tell.
        store: of the run.
        label: of the switch that shows it.
    """
    texts = Texts(folder / "texts.yaml", facts)
    template = ENVIRONMENT.from_string((folder / "exhibit.html.jinja").read_text(encoding="utf-8"))
    blocks = {block: store.on_page(block) for block in store.used[name]}
    script = as_json({"facts": facts, "words": texts.spoken(), "blocks": blocks})
    return Part(name, folder, Markup(template.render(t=texts, f=facts)), script, texts, label)


def render(
    frame: Texts,
    chapters: list[Chapter],
    stores: Iterable[Store],
    command: str | None = None,
    language: str | None = None,
) -> str:
    """Return the page's HTML.

    Args:
        frame: texts around the chapters, as in frame.yaml.
        chapters: in their order.
        stores: of all exhibits.
        command: that trains the only run again.
        language: of the page when it is opened; None for the reader's own.
    """
    folders = {part.kind: part.folder for chapter in chapters for show in chapter.shows for part in show.parts}
    styles = [file.read_text(encoding="utf-8") for file in (STYLE, FRAME / "page.css")]
    styles += [scoped(folder) for folder in folders.values()]
    scripts = [module(SCRIPT), *(module(FRAME / script) for script in SCRIPTS), *map(wrapped, folders.values())]
    scripts += [module(FRAME / script) for script in ("projection.js", "page.js")]
    blocks = [block for store in stores for block in store.filled()]
    return ENVIRONMENT.get_template("page.html.jinja").render(
        t=frame,
        command=command,
        language=language,
        chapters=chapters,
        blocks=[(name, as_json({"index": pack.index, **about}), pack.text()) for name, (pack, about) in blocks],
        style=Markup("".join(styles)),
        script=in_script("".join(scripts)),
        policy=POLICY,
        words=as_json(Texts(FRAME / "words.yaml", {}).spoken()),
        titles=as_json({language: frame.plain("title", language).unescape() for language in LANGUAGES}),
    )


def wrapped(folder: Path) -> str:
    """Return the scripts of an exhibit, exhibit.js last, in a block that keeps their names local."""
    files = sorted(folder.glob("*.js"), key=lambda file: (file.name == "exhibit.js", file.name))
    return "{\n" + "".join(module(file) for file in files) + "}\n"


def scoped(folder: Path) -> str:
    """Return the style of an exhibit, if it has one, nested so that it reaches exhibits of its kind alone (&)."""
    file = folder / "exhibit.css"
    return f'[data-kind="{folder.name}"] {{\n{file.read_text(encoding="utf-8")}}}\n' if file.exists() else ""
