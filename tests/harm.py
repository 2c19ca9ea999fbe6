"""Malicious files for tests, and a check that none of them was executed."""

import sys
from pathlib import Path
from typing import Any

import torch

MARKER = "was_here"
"""name of the file that malicious code would create"""
RUN = f"__import__('pathlib').Path({MARKER!r}).touch()"


class Evil:
    """Object whose pickle creates a file when it is opened."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def put_evil_files(folder: Path) -> None:
    """Write a module and a pickle that create the marker when they are imported or opened."""
    (folder / "evil.py").write_text(f"from torch import nn\n{RUN}\nclass Network(nn.Module): pass\n")
    torch.save([torch.nn.Module()], folder / "evil.pt")


def unharmed() -> bool:
    """Tell whether no malicious code has run in the current folder."""
    return not Path(MARKER).exists() and "evil" not in sys.modules
