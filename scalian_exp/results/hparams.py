"""Columns of TensorBoard's HPARAMS tab: the swept values first, then all others in which runs differ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.metadata import EXPERIMENT_TAG, PLUGIN_DATA_VERSION, PLUGIN_NAME
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from scalian_exp.callbacks.tensorboard import SHOWN, flat
from scalian_exp.results.rows import headline, swept
from scalian_exp.stored import metrics_of


def differing(configs: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Map the dotted keys whose values differ between configs to these values."""
    runs = [flat({name: config[name] for name in SHOWN if name in config}) for config in configs]
    keys = dict.fromkeys(key for run in runs for key in run if ".fits." not in key)
    every = {key: [run[key] for run in runs if key in run] for key in keys}
    return {key: values for key, values in every.items() if len({repr(run.get(key)) for run in runs}) > 1}


def swept_in(jobs: Sequence[dict[str, Any]]) -> set[str]:
    """Return the keys that were swept in any sweep among jobs, as `read_job` returns them; else all that differ."""
    sweeps: dict[Path, list[dict[str, Any]]] = {}
    for job in jobs:
        sweeps.setdefault(job["folder"].parent, []).append(job)
    return {key for sweep in sweeps.values() for key in swept(sweep)} or {*swept(list(jobs))}


def metrics_in(jobs: Sequence[dict[str, Any]]) -> list[str]:
    """Return the metrics that say most about jobs: those that were monitored, and each job's own of the test."""
    outcomes = [metrics_of(job["folder"]) for job in jobs]
    monitored = [outcome["monitor"] for outcome in outcomes if outcome.get("monitor")]
    tested = [best[0] for best in map(headline, outcomes) if best]
    return list(dict.fromkeys([*monitored, *tested]))


def listing(values: dict[str, list[Any]], first: set[str], metrics: Sequence[str]) -> Summary:
    """Return the summary that says which columns the HPARAMS tab has.

    TensorBoard lists columns that differ before the others, and shows the first five of them.

    Args:
        values: of the hyperparameters, by key.
        first: keys that come first.
        metrics: names of curves whose last values are shown.
    """
    experiment = api_pb2.Experiment()
    for key, known in values.items():
        column = experiment.hparam_infos.add(name=key, type=kind(known), differs=key in first)
        if column.type == api_pb2.DATA_TYPE_FLOAT64:
            column.domain_interval.min_value, column.domain_interval.max_value = min(known), max(known)
        else:
            column.domain_discrete.extend(dict.fromkeys(as_shown(value, column.type) for value in known))
    for name in metrics:
        experiment.metric_infos.add().name.tag = name
    content = HParamsPluginData(experiment=experiment, version=PLUGIN_DATA_VERSION).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=content)
    return Summary(value=[Summary.Value(tag=EXPERIMENT_TAG, metadata=SummaryMetadata(plugin_data=plugin))])


def kind(values: Sequence[Any]) -> int:
    """Return TensorBoard's type of values: booleans, numbers, or else texts."""
    if all(isinstance(value, bool) for value in values):
        return int(api_pb2.DATA_TYPE_BOOL)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return int(api_pb2.DATA_TYPE_FLOAT64 if numbers else api_pb2.DATA_TYPE_STRING)


def as_shown(value: Any, type_: int) -> Any:
    """Return a value as TensorBoard compares it with those of runs."""
    return value if type_ == api_pb2.DATA_TYPE_BOOL or isinstance(value, str) else str(value)
