"""Commands as they stand in the documentation."""

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
    """A command of a page."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        """Program and arguments, with placeholders such as RUN and <name> replaced by a word and comments left out."""
        return shlex.split(re.sub(r"<[^>]*>|\bRUN\b", PLACEHOLDER, self.line), comments=True)


def commands(program: str) -> list[Command]:
    """All different commands of a program, in all pages; those that leave something open (…) are not commands."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line.strip() for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
        for line in [*lines, *INLINE.findall(text.replace("\\|", "|"))]:
            for part in re.split(r" && | \| ", line):
                if part.startswith(f"{program} ") and not re.search("…|=<name>|<group>", part):
                    found.setdefault(part.split("  #")[0].strip(), Command(page.name, part))
    return list(found.values())


def jobs(arguments: list[str]) -> list[list[str]]:
    """The overrides of the jobs of a sweep, or of the one job; flags and what only a search can choose are left out.

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
    """Return what names a command among the tests: its page and line."""
    return f"{command.page}: {command.line}"
