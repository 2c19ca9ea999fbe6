"""Build an interactive page about a run's network: one file that works from disk, without a server or internet."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scalian_exp.exhibits.exhibit import HERE, exhibits
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.exhibits.texts import LANGUAGES, Texts
from scalian_exp.refusal import Refusal

FRAME = HERE / "frame"
SCRIPTS = ("arrays.js", "operations.js", "engine.js", "kit.js", "input.js")
"""scripts that exhibits import, each after those that it imports itself"""


class Page(NamedTuple):
    """A finished page."""

    html: str
    exhibits: list[str]
    """names of the exhibits on it"""
    left_out: dict[str, str]
    """exhibits that the run offers in principle, and why they are not on the page"""


def page(run: Run) -> Page:
    """Build the page of all exhibits that a run offers.

    Raises:
        Refusal: if there is none; it says why.
    """
    store, chapters, left_out = Store(), [], {}
    environment = Environment(
        loader=FileSystemLoader([FRAME, HERE]), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    offered = [(name, exhibit) for name, exhibit in exhibits() if exhibit.offered(run)]
    for name, exhibit in offered:
        try:
            with store.exhibit(name):
                facts = exhibit.take(run, store) | {"run": run.facts}
        except Refusal as refusal:
            left_out[name] = str(refusal)
        else:
            chapters.append(chapter(name, facts, store, environment))
    if not chapters:
        why = " ".join(dict.fromkeys(left_out.values())) or "neither it nor its data offers what an exhibit needs."
        raise Refusal(f"There is no exhibit for {type(run.network).__name__}: {why}")
    names = [entry["name"] for entry in chapters]
    texts = Texts(FRAME / "frame.yaml", run.facts)
    scripts = [module(FRAME / script) for script in SCRIPTS]
    scripts += [wrapped(HERE / name) for name in names]
    styles = [FRAME / "page.css", *(HERE / name / "exhibit.css" for name in names)]
    html = environment.get_template("page.html.jinja").render(
        t=texts,
        facts=run.facts,
        command=run.command,
        chapters=chapters,
        blocks=[(name, as_json({"index": b.pack.index, **b.about}), b.pack.text()) for name, b in store.filled()],
        style=Markup("".join(file.read_text(encoding="utf-8") for file in styles if file.exists())),
        script=Markup("".join([*scripts, module(FRAME / "page.js")]).replace("</script", "<\\/script")),
        words=as_json(texts.spoken()),
        titles=as_json({language: texts.plain("title", language).unescape() for language in LANGUAGES}),
    )
    return Page(html, names, left_out)


def chapter(name: str, facts: dict[str, Any], store: Store, environment: Environment) -> dict[str, Any]:
    """Return the variables of an exhibit in the page's template."""
    texts = Texts(HERE / name / "texts.yaml", facts)
    return {
        "name": name,
        "t": texts,
        "body": Markup(environment.get_template(f"{name}/exhibit.html.jinja").render(t=texts, f=facts)),
        "json": as_json({"facts": facts, "words": texts.spoken(), "blocks": store.used[name]}),
    }


def module(file: Path) -> str:
    """Return a script without its imports and exports, because all scripts are joined into one."""
    text = re.sub(r"^import .*?;\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def wrapped(folder: Path) -> str:
    """Return the scripts of an exhibit, exhibit.js last, in a block that keeps their names local."""
    files = sorted(folder.glob("*.js"), key=lambda file: (file.name == "exhibit.js", file.name))
    return "{\n" + "".join(module(file) for file in files) + "}\n"


def as_json(value: Any) -> Markup:
    """Return a value as JSON that is safe inside a script element."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))
