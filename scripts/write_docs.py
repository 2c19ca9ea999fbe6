"""Write the generated parts of the documentation: `python scripts/write_docs.py` (make docs calls it).

- docs/contracts.md: what tasks ask of networks, losses and data, by scripts/contracts.py.
- docs/words.md: every option of every config group, with its keys, from the comments in configs/.
- the package's floors in README.md and docs/design.md, from scripts/floors.py.
- schemas/, the JSON schemas of configs/ for editors, and the comment that names one in each config: config_schemas.py.
- code blocks whose opening line has a title, which repeat the file of that name.

tests/docs/test_generated.py fails if one of them is out of date.
"""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from scalian_exp.vocabulary.options import INHERITED, NESTED, is_group
from scalian_exp.vocabulary.yaml_files import commented
from scalian_exp.vocabulary.yaml_files import header as header_lines

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
TITLED = re.compile(r'(```\w+ title="([^"]+)"\n).*?(\n```\n)', re.DOTALL)
DRAWN = re.compile(r"<!-- (floors|rooms) -->\n.*?<!-- end -->\n", re.DOTALL)
FLOORS = (
    "scalian-train, scalian-course",
    "scalian-apply, scalian-report, the Python API; what happens around a sweep's jobs",
    "using trained runs; making a run; comparing runs",
    "training procedures; what happens during training",
    "checkpoints and what they may load; metrics and losses",
    "building objects from configs; networks, data, reading command lines",
    "figures, pages, schedules; checking command lines and configs; files and folders",
    "what all floors share",
)
"""one description for each floor of the package"""
WITHOUT_COMMENT = {"_target_", "_partial_", "_recursive_"}
NOT_SHOWN = {"fits", "provides", "needs", "defaults", "hydra"}
"""keys that checks read and users don't set"""
INTERNAL = {"hydra/job_logging"}
"""groups that other config files use and users don't choose from"""
GROUPS = {
    "model": "What is trained, and by which procedure. Each names its natural data set and loss.",
    "dataset": "What it is trained on.",
    "loss": "What training minimises.",
    "trainer": "How long and how to train: arguments of Lightning's Trainer. `base` always applies; the other options "
    "change a few of its values.",
    "callbacks": "What happens beside training: checkpoints, figures, early stopping.",
    "logger": "Where curves and figures go.",
    "experiment": "Complete experiments: everything that a paper's result or a comparison needs.",
    "sweep": "Sweeps and searches.",
    "hydra": "Hydra's own groups to which the package adds options.",
    "action": "What `scalian-apply run=RUN action=<name>` does with a trained run. Arguments are given as "
    "`count=10`, without the group's name.",
}
"""group → its description, in the page's order; each is followed by the groups inside it"""


def header(file: Path) -> str:
    """Return the comment at the top of a config as Markdown, with a line for each command."""
    text = "\n".join(header_lines(file.read_text(encoding="utf-8")))
    command, expected = re.compile(r"^ command: +(.*)$", re.M), re.compile(r"^ expected: +((?:.|\n)*)", re.M)
    parts = [" ".join(re.split(r"^ command:|^ expected:", text, maxsplit=1, flags=re.M)[0].split())]
    parts += ["`" + " ".join(match.split()) + "`" for match in command.findall(text)]
    parts += ["Expected: " + " ".join(match.split()) for match in expected.findall(text)]
    return "<br>".join(parts) if len(parts) > 1 else parts[0]


def keys(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield dotted path, default and comment of every commented key in a config file that has a place on the page."""
    for name, default, comment in commented(file.read_text(encoding="utf-8")):
        if default and (NOT_SHOWN | WITHOUT_COMMENT).isdisjoint(name.split(".")):
            yield name, default, comment


def bases(file: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of the same group that an option inherits from, each with its name in the defaults list."""
    node = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    nested = next((f"/{group}/" for group in NESTED if (CONFIGS / group) in file.parents), "none")
    for item in node.get("defaults", []):
        base = (CONFIGS / item[1:] if str(item).startswith(nested) else file.parent / str(item)).with_suffix(".yaml")
        if isinstance(item, str) and item != "_self_" and base.is_file():
            yield base, item.removeprefix(nested)


def all_keys(file: Path) -> dict[str, tuple[str, str, str]]:
    """Return path → row of the table for all keys of an option, inherited ones first."""
    rows: dict[str, tuple[str, str, str]] = {}
    for base, _ in bases(file):
        rows |= all_keys(base)
    return rows | {row[0]: row for row in keys(file)}


def cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    return text.replace("|", "\\|")


def table(rows: list[tuple[str, str, str]], prefix: str) -> list[str]:
    """Return the lines of a Markdown table of keys; none if there are no rows."""
    shown = [f"| `{prefix}{name}` | `{cell(default)}` | {cell(comment)} |" for name, default, comment in rows]
    return ["| key | default | |", "|---|---|---|", *shown, ""] if shown else []


def described(file: Path, group: str) -> list[str]:
    """Return the lines of an option's section."""
    package = "# @package _global_" in file.read_text(encoding="utf-8")
    prefix = "" if package or group.partition("/")[0] in ("action", "hydra") else f"{group.partition('/')[0]}."
    if "/" in group and not package:
        prefix = f"{group.replace('/', '.')}." if not group.startswith("trainer/") else "trainer."
    if header(file).startswith("Old name of"):
        return [f"### `{option_name(file, group)}`", "", header(file), ""]
    inherited = [base for _, base in bases(file) if "base" not in Path(base).parts]
    origin = [f"As {' and '.join(f'`{name}`' for name in inherited)}, with these values:", ""] if inherited else []
    return [
        f"### `{option_name(file, group)}`",
        "",
        header(file),
        "",
        *origin,
        *table(list(all_keys(file).values()), prefix),
    ]


def options_page() -> str:
    """Return the text of docs/words.md: all options by group."""
    lines = [
        "# Options by group",
        "",
        "<!-- Written by scripts/write_docs.py from the comments in configs/. -->",
        "",
        "`scalian-train <group>=<option> <key>=<value>`: every option of every config group, and the keys that each "
        "adds. `scalian-train --cfg job` prints all values of an experiment. Options named `fake_…` are synthetic data "
        "for tests.",
        "",
        "## The experiment itself",
        "",
        *table([row for row in keys(CONFIGS / "train.yaml") if "." not in row[0]], ""),
    ]
    for top, meaning in GROUPS.items():
        for group, files in groups_in(top).items():
            lines += [f"## `{group}=`", "", *([meaning, ""] if group == top else [])]
            lines += [" · ".join(f"[`{option_name(file, group)}`](#{anchor(file, group)})" for file in files), ""]
            for file in files:
                lines += [f'<a id="{anchor(file, group)}"></a>', "", *described(file, group)]
    return "\n".join(lines).rstrip() + "\n"


def groups_in(top: str) -> dict[str, list[Path]]:
    """Return each group in a folder of configs, itself included, → the files of its options."""
    result: dict[str, list[Path]] = {}
    for folder in sorted({file.parent for file in (CONFIGS / top).rglob("*.yaml")}):
        group = folder.relative_to(CONFIGS)
        if group.as_posix() not in INTERNAL and INHERITED.isdisjoint(group.parts):
            own = group.as_posix() if is_group(group) else top
            result.setdefault(own, []).extend(sorted(folder.glob("*.yaml")))
    return result


def option_name(file: Path, group: str) -> str:
    """Return the name by which an option is chosen."""
    return file.relative_to(CONFIGS / group).with_suffix("").as_posix()


def anchor(file: Path, group: str) -> str:
    """Return the id of an option's section in docs/words.md."""
    return f"{group}/{option_name(file, group)}".replace("/", "-")


def beside(name: str) -> Any:
    """Import another module of scripts/."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return import_module(name)
    finally:
        sys.path.pop(0)


def drawings() -> dict[str, str]:
    """Return marker → drawing, from scripts/floors.py: `floors` with each room's imports, `rooms` as a short table."""
    floors = beside("floors")
    rows = [
        [f"`{name}/`" if (floors.PACKAGE / name).is_dir() else f"`{name}`" for name in row] for row in floors.FLOORS
    ]
    lines = [
        f"| {number} | {' · '.join(row)} | {what} |"
        for number, (row, what) in enumerate(zip(rows, FLOORS, strict=True), start=1)
    ]
    return {
        "floors": f"```\n{floors.drawn()}\n```",
        "rooms": "\n".join(["| floor | rooms | |", "|---|---|---|", *lines]),
    }


def generated() -> dict[Path, str]:
    """Return each documentation file → its text with the generated parts brought up to date."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts, drawn = {page: page.read_text(encoding="utf-8") for page in pages}, drawings()
    for file, text in texts.items():
        text = DRAWN.sub(lambda match: f"<!-- {match[1]} -->\n\n{drawn[match[1]]}\n\n<!-- end -->\n", text)
        texts[file] = TITLED.sub(lambda m: m[1] + (ROOT / m[2]).read_text(encoding="utf-8").rstrip() + m[3], text)
    texts[ROOT / "docs/words.md"] = options_page()
    texts[ROOT / "docs/contracts.md"] = beside("contracts").page()
    return texts | beside("config_schemas").generated()


def main() -> None:
    """Rewrite the files that are out of date; with --check, only list them and exit with status 1."""
    stale = [
        (file, text)
        for file, text in generated().items()
        if not file.exists() or file.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        sys.exit("".join(f"{file.relative_to(ROOT)}: run python scripts/write_docs.py\n" for file, _ in stale) or None)
    for file, text in stale:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(f"written  {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
