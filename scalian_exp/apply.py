"""Use a trained run: `scalian-apply run=outputs/vae_mnist/<time> action=sample`; `scalian-apply --help` lists actions.

Results lie in <run folder>/<action>/<time>; nothing of the run itself is changed.
"""

import sys
from datetime import datetime
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from scalian_exp import app
from scalian_exp.checks import check_arguments
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary import options


def apply(config: dict[str, Any]) -> None:
    """Run an action on a trained model.

    Raises:
        Refusal: if the model doesn't offer what the action needs, or an input can't be used.
    """
    from scalian_exp.actions.action import Action
    from scalian_exp.build import build
    from scalian_exp.checkpoint import load
    from scalian_exp.report import quiet, shown
    from scalian_exp.runs import torch_device

    quiet()
    model = load(config["run"], torch_device(str(config["device"])))
    name, node = config["name"], config["action"]
    if missing := lacks(model, node["needs"]):
        offered = [other for other, said in options("action").items() if not lacks(model, said.get("needs", []))]
        raise Refusal(
            f"action={name} needs {' and '.join(missing)}, which {type(model.task.network).__name__} and its data "
            f"don't offer; this run can do action={'|'.join(offered)}."
        )
    action: Action = build("action", node)
    folder = model.folder / name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    for file in action.run(model, folder):
        print(f"{name:<12} {shown(file)}")


def lacks(model: Any, needs: list[str]) -> list[str]:
    """Those needs of an action that neither the network offers nor the data provides."""
    return [
        need
        for need in needs
        if not hasattr(model.task.network, need) and need not in model.config["dataset"].get("provides", [])
    ]


def job(config: DictConfig) -> None:
    """One job of Hydra's."""
    from hydra.core.hydra_config import HydraConfig

    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain["run"] is None:
        raise Refusal("Say which run: run=<run folder or checkpoint>.")
    check_arguments({"action": plain["action"]})
    apply({**plain, "name": HydraConfig.get().runtime.choices["action"]})


def spelt_out(said: str, sweeping: bool) -> str:
    """`text=…` as `action.text=…`; in quotes what Hydra can't read, or would take for a sweep that nobody asked for."""
    key, equals, value = said.partition("=")
    if not equals or not key.isidentifier() or key in ("run", "device", "action"):
        return said
    plain = f"action.{key}={value}"
    try:
        if sweeping or not OverridesParser.create().parse_override(plain).is_sweep_override():
            return plain
    except HydraException:
        pass
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"action.{key}='{quoted}'"


def main() -> None:
    """The command `scalian-apply`."""
    app.find_own_modules()
    sweeping = not {"-m", "--multirun"}.isdisjoint(sys.argv)
    sys.argv[1:] = [spelt_out(said, sweeping) for said in sys.argv[1:]]
    app.run(job, "apply")


if __name__ == "__main__":
    main()
