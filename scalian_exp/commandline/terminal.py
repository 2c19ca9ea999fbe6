"""What is printed on a terminal: texts stand as they are, a path `[old]` or a class `:dog:` too."""

import sys
from typing import Any

from rich.console import Console

WIDTH = 160
"""columns where no terminal says how many it has"""


def display(printed: Any, width: int | None = None) -> None:
    """Print a text in one line, however long, or a Rich table; brackets and colons in them are no markup.

    Args:
        width: columns of a table where the output is no terminal; Rich's own, 80, by default.
    """
    console = Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else width)
    console.print(printed, soft_wrap=isinstance(printed, str))
