"""Find the config file that is not text in UTF-8, as Hydra doesn't say which it failed to read. Imports no torch."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.config_folders import folders, searchpath
from scalian_exp.vocabulary.yaml_files import text_in

CONFIG_DIR = re.compile(r"(?:--config-dir|-cd)[ =](\S+)")
"""matches Hydra's flag for a folder of configs"""


def not_text(arguments: Sequence[str] | None = None) -> str | None:
    """Explain which config file is not UTF-8; None if all are.

    Args:
        arguments: the command line's; by default those of this process.
    """
    every = sys.argv[1:] if arguments is None else arguments
    flags = [f"{argument} {after}" for argument, after in zip(every, [*every[1:], ""], strict=True)]
    given = [match[1] for flag in flags if (match := CONFIG_DIR.match(flag))]
    try:
        for folder in [*map(Path, given), *searchpath(every), *folders()]:
            for file in sorted(folder.rglob("*.yaml")):
                text_in(file)
    except Refusal as refusal:
        return str(refusal)
    return None
