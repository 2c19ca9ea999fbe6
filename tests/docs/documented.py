"""Commands that the documentation shows."""

import re
import shlex
from itertools import product
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("scalian-train", "scalian-apply", "scalian-report", "make", "python", "pip", "tensorboard")
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(rf"(?<!`)`((?:{'|'.join(PROGRAMS)}) [^`]+)`")
PLACEHOLDER = "placeholder"


class Command(NamedTuple):
    """Command that a page shows."""

    page: str
    line: str

    @property
    def parts(self) -> list[str]:
        """Program and arguments, with placeholders such as RUN and FOLDER filled in and comments left out."""
        return shlex.split(re.sub(r"<[^>]*>|\b(RUN|SWEEP|FOLDER)\b", PLACEHOLDER, self.line), comments=True)


def commands(program: str) -> list[Command]:
    """Return all different commands of a program in all pages, except those that leave something open (…)."""
    result = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line.strip() for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
        for line in [*lines, *INLINE.findall(text.replace("\\|", "|"))]:
            for part in re.split(r" && | \| ", line):
                if part.startswith(f"{program} ") and not re.search("…|=<name>|<group>", part):
                    result.setdefault(part.split("  #")[0].strip(), Command(page.name, part))
    return list(result.values())


def jobs(arguments: list[str]) -> list[list[str]]:
    """Return the overrides of each job of a command; flags and values that only a search can choose are left out.

    Every option of a group is tried, and the first of several values.
    """
    flags, choices = {"-m", "--multirun", "--help", "--cfg", "job"}, []
    for argument in arguments:
        if argument in flags:
            continue
        (override,) = OverridesParser.create().parse_overrides([argument])
        if not override.is_sweep_override():
            choices.append([argument])
        elif override.is_discrete_sweep():
            key, values = override.key_or_group, list(override.sweep_string_iterator())
            choices.append(
                [f"{key}={value}" for value in (values if (ROOT / "configs" / key).is_dir() else values[:1])]
            )
    return [list(job) for job in product(*choices)]


def label(command: Command) -> str:
    """Return a command's test ID: its page and line."""
    return f"{command.page}: {command.line}"
