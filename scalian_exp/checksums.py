"""Is a checkpoint what was written? torch files each tensor with a CRC-32, which it doesn't look at again."""

import struct
import zipfile
import zlib
from pathlib import Path

from scalian_exp.refusal import Refusal

DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, NotImplementedError, EOFError, ValueError)
"""what reading a zip file raises, depending on where it is damaged"""


def check_intact(file: Path) -> None:
    """Compare all that a checkpoint holds, weights and config, with its checksums: 0.3 s for 500 MB.

    Raises:
        Refusal: if it has changed since it was written, or isn't a checkpoint.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except DAMAGED as error:
        raise Refusal(f"{file} is truncated or no PyTorch checkpoint; use another one of the run.") from error
    if damaged is not None:
        raise Refusal(
            f"{file} is damaged: {damaged} differs from its checksum, so its weights are not those that were trained; "
            "use another one of the run, or a copy."
        )
