"""Which estimates nobody should rely on, and why."""

import math
import re
from collections.abc import Mapping
from typing import Any

RELIABLE = 30
"""smallest number of effective runs of annealed importance sampling for its interval to cover the truth"""
FARTHEST = -math.log(0.00135)
"""6.6 nats: an estimate of log Z is this much too high as rarely as a normal variable exceeds its mean by three
standard deviations. By Markov's inequality, an unbiased estimate of Z is e^a times too large with probability e^−a at
most."""
ESTIMATES = re.compile(r"(?P<split>\w+)/log_(partition|likelihood)(_.*)?")


def doubt(metrics: Mapping[str, Any], split: str = "test") -> str:
    """Explain why the estimate of log Z among a run's metrics is unreliable; empty if it isn't, or there is none."""
    runs, reliable = metrics.get(f"{split}/ais_effective_runs"), metrics.get(f"{split}/ais_reliable", 1)
    if isinstance(runs, int | float) and runs < RELIABLE:
        return f"unreliable: {runs:.1f} effective runs"
    if isinstance(reliable, int | float) and reliable < 1:
        return "unreliable: contradicted by the reverse runs"
    return ""


def remark(name: str, metrics: Mapping[str, Any]) -> str:
    """Explain why one of the metrics is unreliable; empty if it isn't."""
    estimate = ESTIMATES.fullmatch(name)
    return doubt(metrics, estimate["split"]) if estimate else ""
