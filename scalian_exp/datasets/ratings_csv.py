"""Anybody's ratings, and made-up ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from scalian_exp.datasets.base import SPLIT_SEED
from scalian_exp.datasets.rating_files import Line, Triples, numbered, records, triples
from scalian_exp.datasets.ratings import Ratings, RatingSource
from scalian_exp.ranges import Fraction, PositiveFloat, PositiveInt
from scalian_exp.refusal import Refusal
from scalian_exp.shell import word

COLUMNS = ("user", "item", "rating")


class RatingsCSV(Ratings):
    """<root>/ratings.csv, UTF-8: a header that names the columns user, item, rating and perhaps title, in any order and
    among others; then a rating a line. The test split is a random part.

    Raises:
        Refusal: if the root is a file.
    """

    def __init__(
        self,
        root: str,
        users: PositiveInt,
        items: PositiveInt,
        levels: Sequence[PositiveFloat],
        liked: PositiveFloat = 4.0,
        rows: Literal["users", "items"] = "users",
        batch_size: PositiveInt = 64,
        val_share: Fraction = 0.05,
        test_share: Fraction = 0.1,
    ):
        super().__init__(users, items, levels, liked, rows, batch_size, val_share, test_share)
        self.root = Path(root)
        if self.root.is_file():
            raise Refusal(
                f"{root} is a file; dataset.root is the folder of ratings.csv: {word('dataset.root', self.root.parent)}"
            )

    def read(self) -> RatingSource:
        lines, titles = read_csv(self.root / "ratings.csv")
        users, items = numbered(line.user for line in lines), numbered(line.item for line in lines)
        ratings = triples(lines, users, items, self.levels)
        return RatingSource(list(users), list(items), [titles[item] or item for item in items], ratings)


def read_csv(file: Path) -> tuple[list[Line], dict[str, str]]:
    """The lines, and item → its title, the first one given.

    Raises:
        Refusal: if a column is missing, a line is broken, or there is none.
    """
    rows = records(file)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    if missing := [name for name in COLUMNS if name not in header]:
        raise Refusal(
            f"{file} has no column {' and '.join(missing)}; name the columns in its first line: user,item,rating or "
            "user,item,rating,title."
        )
    user, item, rating = (header.index(name) for name in COLUMNS)
    title = header.index("title") if "title" in header else None
    lines, titles = [], dict[str, str]()
    for number, fields in rows:
        if len(fields) != len(header) or not all(fields[place].strip() for place in (user, item, rating)):
            wrong = "has an empty user, item or rating"
            if len(fields) != len(header):
                wrong = f"has {len(fields)} fields, but the header names {len(header)} columns"
            raise Refusal(
                f"{file}, line {number} {wrong}; repair or remove it (text with commas goes in double quotes)."
            )
        said = fields[title].strip() if title is not None else ""
        name = fields[item].strip()
        titles[name] = titles.get(name) or said
        lines.append(Line(fields[user].strip(), name, fields[rating].strip(), f"{file}, line {number}"))
    if not lines:
        raise Refusal(f"{file} has no ratings below its header.")
    return lines, titles


class FakeRatings(Ratings):
    """Made-up ratings: there are two kinds of users and two kinds of items, and a user likes those of its own kind."""

    def read(self) -> RatingSource:
        generator = torch.Generator().manual_seed(SPLIT_SEED)
        users, items = torch.arange(self.users), torch.arange(self.items)
        own = (users.unsqueeze(1) - items) % 2 == 0
        place = (own * 0.6 + 0.4 * torch.rand(own.shape, generator=generator)) * (len(self.levels) - 1)
        rated = torch.rand(own.shape, generator=generator) < 0.5
        pairs = rated.nonzero()
        values = torch.tensor(self.levels, dtype=torch.float32)[place.round().long()][rated]
        return RatingSource(
            [str(user + 1) for user in range(self.users)],
            [str(item + 1) for item in range(self.items)],
            [f"{'Comedy' if item % 2 else 'Drama'} {item + 1}" for item in range(self.items)],
            Triples(pairs[:, 0], pairs[:, 1], values),
            genres=["Comedy" if item % 2 else "Drama" for item in range(self.items)],
        )
