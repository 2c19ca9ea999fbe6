"""Turn the sweeps of a command line into the distributions of an Optuna search."""

from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, RangeSweep, Transformer

from scalian_exp.refusal import Refusal


def distribution(override: Override) -> Any:
    """Return the distribution that a swept override describes.

    It may be a,b or choice(a,b), range(1,9,2), interval(0.1,1), int(interval(1,9)) for whole numbers, or
    tag(log,interval(1e-4,1)).

    Raises:
        Refusal: if Optuna has no such distribution.
    """
    try:
        return distribution_of(override)
    except ValueError as error:
        raise Refusal(f"{override.input_line} can't be searched: {error}") from error


def distribution_of(override: Override) -> Any:
    """Return the distribution, with Optuna's own errors."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    if isinstance(value, IntervalSweep):
        low: Any = value.start
        whole = isinstance(low, int) and isinstance(value.end, int)
        return (IntDistribution if whole else FloatDistribution)(low, value.end, log="log" in value.tags)  # type: ignore[arg-type]
    if isinstance(value, RangeSweep) and not value.shuffle:
        start, stop, step = value.start, value.stop, value.step
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
            return IntDistribution(start, stop - 1, step=step)
    return CategoricalDistribution(
        [stored_by_optuna(x) for x in override.sweep_iterator(transformer=Transformer.encode)]
    )


def stored_by_optuna(value: Any) -> Any:
    """Return a choice in the form that Optuna stores: quoted strings and lists as they are written."""
    return value if isinstance(value, str | int | float | bool) and not isinstance(value, QuotedString) else str(value)


def values(key: str, searched: Any) -> list[Any]:
    """Return all values of a distribution, for a grid.

    Raises:
        Refusal: if it is an interval of real numbers.
    """
    if hasattr(searched, "choices"):
        return list(searched.choices)
    if isinstance(searched.low, int):
        return list(range(searched.low, searched.high + 1, searched.step))
    raise Refusal(
        f"A grid can't cover the interval {key}; list its values, such as {key}=0.1,0.3,1, or use another sampler."
    )
