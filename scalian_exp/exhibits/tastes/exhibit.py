"""Items that a reader likes and dislikes → the tastes that the model sees in them, and recommendations.

A new user's predictions are offset + X w, where w comes from ridge regression on the ratings given. Matrix
factorisation predicts exactly so; SVD++ shrinks w not to 0 but to what the rated items imply (their y's sum over the
root of their number). For other networks, the predictions for all known users are brought to that form:
their mean and the principal axes of their deviations, scaled so that w ~ N(0, 1); the ridge is then the variance of the
errors on held-out ratings.
"""

from typing import Any

import torch
from torch import Tensor

from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.figures.recommendation import strongest
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.offers import has
from scalian_exp.tasks.ratings import Ratings

ORDER = 80
AXES, FEATURES, ENDS, LISTED = 32, 5, 4, 60
"""axes of the predictions, features shown, titles at each end of a feature, and items that are listed first"""
SCORES = ("rmse", "ndcg_at_10", "ndcg_at_100")
"""metrics of the test that the texts tell"""


def offered(run: Run) -> bool:
    """Return whether this is a model of ratings."""
    return isinstance(run.task, Ratings)


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put offsets, X and the features' directions into the store; facts name the items at both ends of each feature."""
    data, network = run.data, run.network
    table = data.by_user(data.history)
    counts = table.counts()
    implied = network.implicit if has(network, "implicit") else None
    if has(network, "design") and data.rows == "users":
        x, offset, ridge = network.design(), network.mean + network.items[:, 0], float(network.ridge)
        directions = torch.linalg.svd((x[:, 1:] - x[:, 1:].mean(0)).double(), full_matrices=False).Vh.to(x.dtype)
        directions = torch.nn.functional.pad(directions, (1, 0))  # none of the user's mean
        of_users = data.history.mapped(lambda rows: network.fold_in(rows.to(x)))
    else:
        x, offset, ridge = from_population(run)
        directions, of_users = torch.eye(x.shape[1]), None
    directions = directions[: min(FEATURES, len(directions))]
    axes = x @ directions.T
    tastes = torch.zeros(2, len(directions)) if of_users is None else of_users @ directions.T
    known = sorted(range(data.items), key=lambda item: -int(counts[item]))
    levels, rated = data.scale, bool(network.predicts_ratings)

    def fill(pack: Pack) -> dict[str, Any]:
        pack.add("x", x, "f4")
        pack.add("offset", offset, "f4")
        pack.add("directions", directions, "f4")
        pack.add("counts", counts, "i4")
        if implied is not None:
            pack.add("implied", torch.nn.functional.pad(implied, (1, 0)), "f4")  # nothing for the user's mean
        return {"titles": list(data.titles)}

    return {
        "table": store.block("ratings", fill),
        "rank": x.shape[1],
        "ridge": ridge,
        "push": float(x.square().sum(1).mean().sqrt()),  # a usual deviation of a user's score from the mean
        "rated": rated,
        "shift": data.shift,
        "levels": [levels[0], levels[-1]],
        "high": data.levels[-1],
        "low": data.levels[0],
        "listed": [item for item in known[:LISTED] if counts[item] > 0],
        "users": int((table.row_counts() > 0).sum()),
        "items": data.items,
        "rated_items": int((counts > 0).sum()),
        "usual": tastes.mean(0).tolist(),
        "spread": [1.0] * len(directions) if of_users is None else tastes.std(0).tolist(),
        "ends": [
            [[data.titles[item] for item in end] for end in strongest(axes[:, k], counts, ENDS)]
            for k in range(len(directions))
        ],
        "test": {key: value for key, value in run.facts["test"].items() if key in SCORES},
    }


def from_population(run: Run) -> tuple[Tensor, Tensor, float]:
    """Return X (items, axes), offset (items,) and ridge that stand for a network's predictions of all known users."""
    data, task = run.data, run.task
    rows = data.history.dense().to(task.device, task.dtype)
    scores = task.scores(rows) if data.rows == "users" else task.scores(rows).T
    users = data.by_user(data.history).row_counts() > 0
    population = scores[users].double()
    offset = population.mean(0)
    count = min(AXES, *population.shape)
    _, sizes, axes = torch.svd_lowrank(population - offset, q=min(count + 10, *population.shape), niter=4)
    if sizes[0] < 1e-6 * offset.abs().max():
        raise Refusal(f"{type(task.network).__name__} predicts the same for all users, so tastes don't count.")
    x = axes[:, :count] * sizes[:count] / len(population) ** 0.5
    validation = data.splits["val"]
    target = validation.target.dense().to(rows)
    seen = target > 0
    errors = task.scores(validation.rating.dense().to(rows)) - target
    noise = errors[seen].square().mean() if task.network.predicts_ratings else population.var()
    return x.float(), offset.float(), float(noise)
