"""Write the JSON schemas of config files, with which editors check and complete them: `scalian-train --schema`."""

from pathlib import Path

from scalian_exp.commandline.overrides import check_searchpath
from scalian_exp.commandline.shell import shown
from scalian_exp.files import write_text
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.config_folders import SEARCHPATH
from scalian_exp.vocabulary.schema_files import MODELINE, schemas, written

FLAG = "--schema"
FOLDER = "schemas"
"""where the schemas go by default"""


def is_requested(arguments: list[str]) -> bool:
    """Return whether a command line asks for the schemas."""
    return any(argument == FLAG or argument.startswith(f"{FLAG}=") for argument in arguments)


def write(arguments: list[str]) -> None:
    """Write a schema for each folder of configs, and for entire configs, below the folder that a command line names.

    Raises:
        Refusal: if something else stands on the command line.
    """
    given = [argument.removeprefix(f"{FLAG}=") for argument in arguments if argument not in (FLAG, f"{FLAG}=")]
    rest = [argument for argument in given if SEARCHPATH not in argument]
    if len(rest) > 1 or (rest and rest[0].startswith("-")):
        raise Refusal(
            f"{FLAG} writes the schemas of configs into a folder: give {FLAG} FOLDER, and with configs of your own "
            f"{SEARCHPATH}=[file://YOURS]; leave {' '.join(rest)} out."
        )
    check_searchpath(arguments)
    folder = Path(rest[0] if rest else FOLDER)
    every = schemas()
    for name, schema in every.items():
        write_text(folder / f"{name}.json", f"{written(schema)}\n")
    print(f"{len(every)} schemas in {shown(folder)}/. The first line of a model's YAML, below # @package, is then:")
    print(f"{MODELINE}{(folder / 'model.json').absolute().as_posix()}")
