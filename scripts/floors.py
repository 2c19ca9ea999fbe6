"""Draw the floors of the package with `python scripts/floors.py`, as docs/design.md shows them.

Every import points down, or to a neighbour on the same floor; no modules import each other in a circle.
tests/test_floors.py checks this.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "scalian_exp"
FLOORS = (
    ("train", "course"),
    ("api", "apply", "exhibits", "report", "sweep"),
    ("actions", "run", "results"),
    ("tasks", "callbacks", "loggers"),
    ("checkpoint", "safe_weights", "trust", "metrics", "losses"),
    ("build", "networks", "datasets", "commandline"),
    ("figures", "pages", "schedules", "vocabulary", "distributed", "folders", "files", "stored", "study_database"),
    ("batches", "refusal", "ranges", "memory", "precision"),
)
"""the folders and modules at the package's root (rooms), from the top floor to the ground floor"""


def modules() -> dict[str, Path]:
    """Map the dotted paths of all modules below the package to their files."""
    files = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): file for name, file in sorted(files.items()) if name != "__init__"}


def imports(file: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of this package that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE.name:
            within = (node.module or "").partition(".")[2]
            for alias in node.names:
                path = f"{within}.{alias.name}".lstrip(".")
                yield path if path in known else within
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{PACKAGE.name}."):
                    yield alias.name.partition(".")[2]


def graph() -> dict[str, set[str]]:
    """Map each module to the modules of this package that it imports."""
    known = modules()
    return {name: set(imports(file, known)) - {""} for name, file in known.items()}


def room(module: str) -> str:
    """Return the room of a module: its folder, or itself at the package's root."""
    return module.partition(".")[0]


def floor(module: str) -> int:
    """Return the floor of a module's room, 0 at the top."""
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


def drawn() -> str:
    """Return the rooms floor by floor, each with the rooms that it imports."""
    used: dict[str, set[str]] = {name: set() for rooms in FLOORS for name in rooms}
    for module, others in graph().items():
        used[room(module)] |= {room(other) for other in others} - {room(module)}
    width = max(map(len, used))
    lines = []
    for number, rooms in enumerate(FLOORS, start=1):
        for name in rooms:
            below = sorted(used[name], key=lambda other: (floor(other), other))
            lines.append(f"{number}  {name:{width}}  {'→ ' + ', '.join(below) if below else ''}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    print(drawn())
