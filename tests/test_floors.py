"""The package's architecture: imports point down, and the lower floors know neither Lightning nor Hydra."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from tools import script

from scalian_exp import folders

FRAME = {"pytorch_lightning", "lightning", "hydra", "omegaconf"}
LIGHT = {"vocabulary", "folders", "files", "stored"}
HEAVY = {"torch", "torchvision", "torchmetrics", "pytorch_lightning", "matplotlib", "numpy"}


floors = script("floors")


def libraries(module: str) -> set[str]:
    """Return the top-level names of everything that a module imports, anywhere in its file."""
    result = set()
    for node in ast.walk(ast.parse(floors.modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            result |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            result.add((node.module or "").partition(".")[0])
    return result


def test_every_room_is_on_exactly_one_floor() -> None:
    standing = [room for rooms in floors.FLOORS for room in rooms]
    assert sorted(standing) == sorted({floors.room(module) for module in floors.modules()})


def test_no_import_points_up() -> None:
    upward = [
        f"{module} imports {other}"
        for module, others in floors.graph().items()
        for other in others
        if floors.floor(other) < floors.floor(module)
    ]
    assert not upward


def test_modules_and_rooms_form_no_cycle() -> None:
    modules = floors.graph()
    rooms: dict[str, set[str]] = {}
    for module, others in modules.items():
        rooms.setdefault(floors.room(module), set()).update(map(floors.room, others))
    for room, others in rooms.items():
        others.discard(room)
    TopologicalSorter(modules).prepare()  # raises CycleError
    TopologicalSorter(rooms).prepare()


def test_an_import_inside_a_function_counts(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("def f():\n    from scalian_exp.run import record\n    import scalian_exp.train\n")
    assert set(floors.imports(file, floors.modules())) == {"run.record", "train"}


@pytest.mark.parametrize("room", ["networks", "losses", "figures", "distributed"])
def test_networks_losses_and_figures_know_neither_lightning_nor_hydra(room: str) -> None:
    knowing = {module for module in floors.modules() if floors.room(module) == room and libraries(module) & FRAME}
    assert not knowing


def test_modules_that_check_a_command_line_import_no_torch() -> None:
    light = [module for module in floors.modules() if floors.room(module) in LIGHT]
    code = f"import sys, {', '.join(f'scalian_exp.{module}' for module in light)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_names_of_files_in_run_folders_are_defined_in_one_place() -> None:
    names = {
        value for value in vars(folders).values() if isinstance(value, str) and re.fullmatch(r"[\w/.]+\.\w+", value)
    }
    assert {"config.yaml", "checkpoints/last.ckpt", "study.db"} <= names
    repeated = [
        f"{module}: {node.value}"
        for module, file in floors.modules().items()
        if module != "folders"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert not repeated
