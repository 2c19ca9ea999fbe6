"""Show a sweep in TensorBoard's HPARAMS tab: what its jobs differ in, beside their metrics."""

from pathlib import Path
from typing import Any

from scalian_exp.callbacks.tensorboard import SHOWN, flat
from scalian_exp.files import read_yaml
from scalian_exp.folders import CONFIG, runs_in


def differing(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the dotted keys whose values differ between the configs, each with one of its values."""
    jobs = [flat({name: config[name] for name in SHOWN if name in config}) for config in configs]
    every = {key: value for job in jobs for key, value in job.items() if ".fits." not in key}
    return {key: value for key, value in every.items() if len({repr(job.get(key)) for job in jobs}) > 1}


def compare_jobs(sweep: Path, metrics: list[str]) -> None:
    """Write the HPARAMS tab's list of a sweep's jobs into its folder.

    TensorBoard uses one such list, any that it comes across, so the jobs themselves write none.
    """
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    files = [run / CONFIG for run in runs_in(sweep) if (run / "tensorboard").exists()]
    if len(files) < 2:
        return
    for earlier in sweep.glob("events.out.tfevents.*"):
        earlier.unlink()
    values = differing([read_yaml(file) for file in files])
    shown, _, _ = hparams(values, dict.fromkeys(metrics))
    with SummaryWriter(str(sweep)) as writer:
        writer.file_writer.add_summary(shown)
