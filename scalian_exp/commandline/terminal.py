"""Print text and tables literally, even if they contain Rich markup such as `[old]` or `:dog:`."""

import sys
from typing import Any

from rich.console import Console

WIDTH = 160
"""number of columns if the output is no terminal"""


def display(printed: Any, width: int | None = None) -> None:
    """Print a string on one line, however long, or a Rich table, without interpreting markup.

    Args:
        printed: the string or table.
        width: columns of a table if the output is no terminal; None for Rich's default, 80.
    """
    console = Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else width)
    console.print(printed, soft_wrap=isinstance(printed, str))
