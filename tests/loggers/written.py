"""What trackers wrote: W&B's log of protocol buffers, and figures."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

BLOCK, HEADER, FILE_HEADER = 32768, 7, 7
"""sizes of LevelDB's log format: blocks of records, each behind a checksum (4), a length (2) and a type (1)"""


def records(folder: Path) -> list[Any]:
    """Return the records of the newest offline run in a run folder."""
    from wandb.proto.wandb_internal_pb2 import Record

    newest = max(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda file: file.stat().st_mtime)
    data, place, part, result = newest.read_bytes(), FILE_HEADER, b"", []
    while place + HEADER <= len(data):
        if (left := BLOCK - place % BLOCK) < HEADER:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        part += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # complete, or its last fragment
            record = Record()
            record.ParseFromString(part)
            result.append(record)
            part = b""
    return result


def items(entries: Any) -> dict[str, Any]:
    """Return the values of a record's items by name; nested names are joined by dots."""
    return {".".join(entry.nested_key) or entry.key: json.loads(entry.value_json) for entry in entries}


def pixels(file: Path) -> bytes:
    """Return the pixels of an image file, in colour."""
    return Image.open(file).convert("RGB").tobytes()
