"""The docstrings that come with the package, and the script that cut them."""

import email
import inspect
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from tools import option, script

from scalian_exp.datasets.bundled import PythonDocs


def test_pythons_docstrings_come_with_the_package() -> None:
    """No text is in two splits, and the docstrings of this Python are among them, under the family of their module."""
    facts = option("dataset", "python_docs")
    data = PythonDocs(facts["vocabulary_size"], facts["batch_size"], facts["val_size"])
    data.setup()
    parts: dict[str, Any] = data.splits
    labelled = {
        text: data.class_names[label]
        for part in parts.values()
        for text, label in zip(part.texts, part.labels.tolist(), strict=True)
    }
    assert {split: len(part) for split, part in parts.items()} == {"train": 4321, "val": 500, "test": 1205}
    assert len(labelled) == 4321 + 500 + 1205
    assert all(len(text.split()) >= 8 for text in labelled)
    counts = Counter(labelled.values())
    assert len(counts) == data.classes_in_labels == facts["num_classes"] == 25
    assert min(counts.values()) >= 60
    assert set(parts["test"].labels.tolist()) == set(range(25))
    assert labelled[str(inspect.getdoc(email.message_from_string))] == "email"
    assert labelled[str(inspect.getdoc(logging.getLogger))] == "logging"


def test_docstrings_are_cut_without_importing_modules(tmp_path: Path) -> None:
    eight = "one two three four five six seven eight"
    files = {
        "heapq.py": f'''"""{eight}."""\nraise SystemExit\ndef f():\n    """  {eight}\n\n    and more"""\n''',
        "bisect.py": f'"""{eight},"""\nclass C:\n    """Too short."""\n    async def f():\n        """{eight}!"""\n',
        "asyncio/a.py": f'"""{eight}\nnine"""',
        "asyncio/b.py": f'"""{eight}   nine"""',  # the text before, but for spaces
        "asyncio/test/c.py": f'"""{eight}?"""',
        "unknown.py": f'"""{eight};"""',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert script("cut_python_docs").texts(tmp_path) == [
        ("asyncio", f"{eight}\nnine"),
        ("collections", f"{eight},"),
        ("collections", f"{eight}!"),
        ("collections", f"{eight}."),
        ("collections", f"{eight}\n\nand more"),
    ]
