"""Config nodes → objects."""

import inspect
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from scalian_exp.checks import FACTS, RESERVED
from scalian_exp.refusal import Refusal

HYDRAS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
MISTAKES = (Refusal, ValueError, OSError, MisconfigurationException, ImportError)
"""what constructors raise when a config is at fault"""


def build(path: str, node: dict[str, Any], **offers: Any) -> Any:
    """Instantiate a node, with those offers that its target takes and the node doesn't give.

    Words and facts that are there for others to read are left out unless the target asks for them.

    Raises:
        Refusal: if the target can't be found, or refuses its arguments.
    """
    try:
        takes = inspect.signature(get_object(node["_target_"])).parameters
        for_others = (RESERVED | FACTS) - HYDRAS - takes.keys()
        arguments = {name: value for name, value in node.items() if name not in for_others}
        accepted = {name: value for name, value in offers.items() if name in takes and name not in node}
        return instantiate(arguments, _convert_="all", **accepted)
    except InstantiationException as error:
        if isinstance(error.__cause__, MISTAKES):
            raise Refusal(f"{path}: {error.__cause__}") from error
        raise
    except (ImportError, AttributeError, ValueError) as error:
        raise Refusal(f"{path}: {node['_target_']} can't be found ({error}); correct {path}._target_.") from error


def build_task(config: dict[str, Any]) -> Any:
    """The task of a resolved config: its network, loss and optimizer."""
    return build("model", config["model"], loss=build("loss", config["loss"]))
