"""Your own ratings from a CSV file, and synthetic ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from scalian_exp.datasets.base import SPLIT_SEED
from scalian_exp.datasets.rating_files import Triples, numbered, triples
from scalian_exp.datasets.rating_tables import levels_of, read_csv
from scalian_exp.datasets.ratings import Ratings, RatingSource
from scalian_exp.ranges import PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.vocabulary.facts import AUTO


class RatingsCSV(Ratings):
    """Your own ratings: root/ratings.csv with the columns user, item, rating and optionally title.

    The file is UTF-8 and has a header; columns are in any order, others are ignored, and commas, semicolons or tabs
    separate them. If a user rates an item again, the last rating counts. The test split is drawn at random.

    Args:
        users: number of users, or auto: those in the file.
        items: number of items, or auto: those in the file.
        levels: the values that a rating can have, or auto: those in the file, or a continuous scale if they are many.
        continuous: ratings between the levels are possible; models with discrete ratings round to the nearest level.
        kwargs: the arguments of `Ratings`.

    Raises:
        Refusal: if the root is a file.
    """

    def __init__(
        self,
        root: str,
        users: PositiveInt | Literal["auto"],
        items: PositiveInt | Literal["auto"],
        levels: Sequence[float] | Literal["auto"],
        *args: Any,
        continuous: bool = False,
        **kwargs: Any,
    ):
        self.root = Path(root)
        if self.root.is_file():
            raise Refusal(
                f"{root} is a file; set dataset.root to the folder of ratings.csv: dataset.root={self.root.parent}"
            )
        node: dict[str, Any] = {"root": root, "users": users, "items": items, "levels": levels}
        node |= {"continuous": continuous, **(self.infer(node) if AUTO in node.values() else {})}
        self.continuous: bool = node["continuous"]
        super().__init__(node["users"], node["items"], node["levels"], *args, **kwargs)

    @classmethod
    def infer(cls, node: Mapping[str, Any]) -> dict[str, Any]:
        """Count users and items in the file, and infer levels and whether ratings lie between them, which are auto."""
        lines, _ = read_csv(Path(node["root"]) / "ratings.csv")
        sizes = {"users": len({line.user for line in lines}), "items": len({line.item for line in lines})}
        found: dict[str, Any] = {name: size for name, size in sizes.items() if node[name] == AUTO}
        if node["levels"] == AUTO:
            levels, continuous = levels_of(lines)
            found |= {"levels": levels, "continuous": True} if continuous else {"levels": levels}
        return found

    def read(self) -> RatingSource:
        """Read the file and print a summary.

        Raises:
            Refusal: if the file is missing or broken, or has a rating that is not allowed.
        """
        file = self.root / "ratings.csv"
        lines, titles = read_csv(file)
        users, items = numbered(line.user for line in lines), numbered(line.item for line in lines)
        ratings = triples(lines, users, items, self.scale, self.continuous)
        self.print_summary(file, len(users), len(items), ratings.values, len(lines))
        return RatingSource(list(users), list(items), [titles[item] or item for item in items], ratings)

    @rank_zero_only
    def print_summary(self, file: Path, users: int, items: int, ratings: Tensor, lines: int) -> None:
        """Print the number and range of the ratings (n,), and what counts as liked; only in the main process."""
        scale = f"{float(ratings.min()):g} to {float(ratings.max()):g}"
        liked = f"liked: {self.liked - self.shift:g} or more"
        print(f"{'data':<12} {file}: {len(ratings)} ratings, {scale}, of {items} items by {users} users; {liked}")
        if again := lines - len(ratings):
            print(f"{'left out':<12} {again} ratings of pairs that are rated again: the last rating counts")


class FakeRatings(Ratings):
    """Synthetic ratings: users and items are of two kinds each, and users like the items of their kind."""

    def read(self) -> RatingSource:
        """Generate ratings of half of all pairs, the same for every run's seed."""
        generator = torch.Generator().manual_seed(SPLIT_SEED)
        users, items = torch.arange(self.users), torch.arange(self.items)
        own = (users.unsqueeze(1) - items) % 2 == 0
        place = (own * 0.6 + 0.4 * torch.rand(own.shape, generator=generator)) * (len(self.scale) - 1)
        rated = torch.rand(own.shape, generator=generator) < 0.5
        pairs = rated.nonzero()
        values = torch.tensor(self.scale, dtype=torch.float32)[place.round().long()][rated]
        return RatingSource(
            [str(user + 1) for user in range(self.users)],
            [str(item + 1) for item in range(self.items)],
            [f"{'Comedy' if item % 2 else 'Drama'} {item + 1}" for item in range(self.items)],
            Triples(pairs[:, 0], pairs[:, 1], values),
            genres=["Comedy" if item % 2 else "Drama" for item in range(self.items)],
        )
