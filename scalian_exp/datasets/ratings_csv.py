"""Anybody's ratings, and made-up ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning.utilities import rank_zero_only

from scalian_exp.datasets.base import SPLIT_SEED
from scalian_exp.datasets.rating_files import Triples, numbered, triples
from scalian_exp.datasets.rating_tables import levels_of, read_csv
from scalian_exp.datasets.ratings import Ratings, RatingSource
from scalian_exp.ranges import Fraction, PositiveInt
from scalian_exp.refusal import Refusal


class RatingsCSV(Ratings):
    """<root>/ratings.csv, UTF-8: a header that names the columns user, item, rating and perhaps title, in any order and
    among others; then a rating a line. Commas, semicolons or tabs divide the columns. If a user rates an item again,
    the last rating counts. The test split is a random part.

    Args:
        levels: the values that a rating can have, or auto: those in the file, or a scale if they are many.
        continuous: ratings between the levels are possible too; models whose ratings are states take the nearest.

    Raises:
        Refusal: if the root is a file.
    """

    def __init__(
        self,
        root: str,
        users: PositiveInt,
        items: PositiveInt,
        levels: Sequence[float] | Literal["auto"],
        liked: float = 4.0,
        rows: Literal["users", "items"] = "users",
        batch_size: PositiveInt = 64,
        val_share: Fraction = 0.05,
        test_share: Fraction = 0.1,
        continuous: bool = False,
    ):
        self.root = Path(root)
        if self.root.is_file():
            raise Refusal(
                f"{root} is a file; dataset.root is the folder of ratings.csv: dataset.root={self.root.parent}"
            )
        node: dict[str, Any] = {"root": root, "levels": levels, "continuous": continuous}
        if levels == "auto":
            node |= self.found(node)
        self.continuous: bool = node["continuous"]
        super().__init__(users, items, node["levels"], liked, rows, batch_size, val_share, test_share)

    @classmethod
    def found(cls, node: Mapping[str, Any]) -> dict[str, Any]:
        """The levels in the file, where the config leaves them to it, and whether there are ratings between them."""
        if node["levels"] != "auto":
            return {}
        levels, continuous = levels_of(read_csv(Path(node["root"]) / "ratings.csv")[0])
        return {"levels": levels, "continuous": True} if continuous else {"levels": levels}

    def read(self) -> RatingSource:
        file = self.root / "ratings.csv"
        lines, titles = read_csv(file)
        users, items = numbered(line.user for line in lines), numbered(line.item for line in lines)
        ratings = triples(lines, users, items, self.scale, self.continuous)
        self.tell(file, len(users), len(items), len(ratings.values), len(lines))
        return RatingSource(list(users), list(items), [titles[item] or item for item in items], ratings)

    @rank_zero_only
    def tell(self, file: Path, users: int, items: int, ratings: int, lines: int) -> None:
        """Print what was found, in the main process."""
        scale = f"{self.scale[0]:g} to {self.scale[-1]:g}"
        print(f"{'data':<12} {file}: {ratings} ratings, {scale}, of {items} items by {users} users")
        if again := lines - ratings:
            print(f"{'left out':<12} {again} ratings of pairs that come again: the last one counts")


class FakeRatings(Ratings):
    """Made-up ratings: there are two kinds of users and two kinds of items, and a user likes those of its own kind."""

    def read(self) -> RatingSource:
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
