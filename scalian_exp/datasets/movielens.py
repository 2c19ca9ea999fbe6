"""MovieLens (Harper & Konstan 2015, "The MovieLens datasets", ACM TiiS 5), in GroupLens' layout on disk.

GroupLens' terms, in each set's README: research use; publications acknowledge the data set; neither redistribution nor
commercial use without permission (the "latest" sets may be redistributed under the same terms); no endorsement.
"""

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from scalian_exp.datasets.download import fetch, remove_parts, sources
from scalian_exp.datasets.rating_files import Triples, numbered, rating_lines, triples
from scalian_exp.datasets.rating_tables import Line
from scalian_exp.datasets.ratings import Ratings, RatingSource
from scalian_exp.datasets.table_files import records
from scalian_exp.refusal import Refusal

GENRES = (
    *("", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""Genres of the flags in MovieLens 100k's u.item, in order."""


class MovieLens(Ratings):
    """Base class of the MovieLens data sets, downloaded from GroupLens if their folder is missing.

    Args:
        root: the folder that contains the data set's folder.
        kwargs: the arguments of `Ratings`.
    """

    url = "https://files.grouplens.org/datasets/movielens/"
    archive: ClassVar[str]
    """Name of the zip file and of the folder in it."""
    sha256: ClassVar[str]
    """SHA-256 of the zip file."""
    published: ClassVar[Mapping[str, int]]
    """File → number of ratings in it as published, each of a different pair of user and item."""

    def __init__(self, root: str, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.root = Path(root)

    @property
    def folder(self) -> Path:
        """Folder of the data set's files."""
        return self.root / self.archive

    def prepare_data(self) -> None:
        """Download and unpack the data set if its folder is missing."""
        file = self.root / f"{self.archive}.zip"
        if self.folder.is_dir():
            remove_parts(file)
            return
        fetch(sources(f"{self.url}{file.name}"), file, self.sha256)
        extract(file, self.folder)

    def complete(self, file: str, lines: Sequence[Line], users: dict[str, int], items: dict[str, int]) -> Triples:
        """Convert all lines of a file to ratings by number, and check that the file is complete.

        Raises:
            Refusal: if there are more or fewer ratings than published, or if a line is not a valid rating.
        """
        ratings = triples(lines, users, items, self.scale)
        different, wanted = len(ratings.values), self.published.get(file)
        if wanted is not None and not different == len(lines) == wanted:
            raise Refusal(
                f"{self.folder / file} has {len(lines)} ratings, {different} of them of different pairs, not the "
                f"{wanted} that were published; delete {self.folder}, and the next run downloads it, or train on "
                "your own file with dataset=ratings_csv."
            )
        return ratings

    def with_titles(self, file: str, separator: str, header: bool, films: dict[str, list[str]]) -> RatingSource:
        """Read a file's ratings, with titles and genres from `films`: item → [item, title, genres separated by |].

        Films without ratings are left out.

        Raises:
            Refusal: if the file is not complete, or a rated film is not in `films`.
        """
        lines = list(rating_lines(self.folder / file, separator, header))
        users, items = numbered(line.user for line in lines), numbered(line.item for line in lines)
        ratings = self.complete(file, lines, users, items)
        if unknown := [item for item in items if item not in films]:
            raise Refusal(
                f"{self.folder / file} has ratings of the film {unknown[0]}, which is missing from the list of films; "
                f"delete {self.folder}, and the next run downloads it."
            )
        titles, genres = ([films[item][place] for item in items] for place in (1, 2))
        first = [genre.partition("|")[0] for genre in genres]
        return RatingSource(list(users), list(items), titles, ratings, genres=first)


def extract(archive: Path, folder: Path) -> None:
    """Unpack the folder of this name from a zip file, completely or not at all.

    Raises:
        Refusal: if the archive is broken, or has no such folder.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(part)
        (part / folder.name).replace(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise Refusal(
            f"{archive} can't be unpacked ({error}); delete it, and the next run downloads it again."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


class MovieLens100k(MovieLens):
    """MovieLens 100k: 100,000 ratings of 1,682 films by 943 users, 1997-98. Research only, no redistribution.

    Args:
        split: the test split: u1 … u5, five disjoint fifths; ua or ub, ten ratings of each user; or random.
        kwargs: the arguments of `MovieLens`.
    """

    archive = "ml-100k"
    sha256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
    published: ClassVar[Mapping[str, int]] = {
        "u.data": 100_000,
        **{f"u{fold}.base": 80_000 for fold in range(1, 6)},
        **{f"u{fold}.test": 20_000 for fold in range(1, 6)},
        **{f"u{fold}.base": 90_570 for fold in "ab"},
        **{f"u{fold}.test": 9_430 for fold in "ab"},
    }

    def __init__(
        self, *args: Any, split: Literal["u1", "u2", "u3", "u4", "u5", "ua", "ub", "random"] = "u1", **kwargs: Any
    ):
        super().__init__(*args, **kwargs)
        self.split = split

    def read(self) -> RatingSource:
        """Read the ratings of the chosen split, with the films' titles and first genres.

        Raises:
            Refusal: if a file is missing, broken or incomplete.
        """
        films = [fields for _, fields in records(self.folder / "u.item", "|", "latin-1")]
        items = {fields[0]: number for number, fields in enumerate(films)}
        files = ["u.data"] if self.split == "random" else [f"{self.split}.base", f"{self.split}.test"]
        lines = [list(rating_lines(self.folder / file, "\t")) for file in files]
        users = numbered(line.user for part in lines for line in part)
        train, *test = [self.complete(file, part, users, items) for file, part in zip(files, lines, strict=True)]
        return RatingSource(
            list(users),
            list(items),
            [fields[1] for fields in films],
            train,
            test[0] if test else None,
            [first_genre(fields[5:]) for fields in films],
        )


def first_genre(flags: Sequence[str]) -> str:
    """Return the first genre whose flag is "1", or an empty string."""
    return next((name for name, flag in zip(GENRES, flags, strict=False) if flag == "1"), "")


class MovieLens1M(MovieLens):
    """MovieLens 1M: 1,000,209 ratings of 3,706 films by 6,040 users, 2000. Research only, no redistribution."""

    archive = "ml-1m"
    sha256 = "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"
    published: ClassVar[Mapping[str, int]] = {"ratings.dat": 1_000_209}

    def read(self) -> RatingSource:
        """Read all ratings, with the films' titles and first genres.

        Raises:
            Refusal: if a file is missing, broken or incomplete.
        """
        films = {fields[0]: fields for _, fields in records(self.folder / "movies.dat", "::", "latin-1")}
        return self.with_titles("ratings.dat", "::", False, films)


class MovieLensCSV(MovieLens):
    """Base class of the sets whose films and ratings are in CSV files."""

    def read(self) -> RatingSource:
        """Read all ratings, with the films' titles and first genres.

        Raises:
            Refusal: if a file is missing, broken or incomplete.
        """
        films = {fields[0]: fields for _, fields in records(self.folder / "movies.csv")}
        return self.with_titles("ratings.csv", ",", True, films)


class MovieLens20M(MovieLensCSV):
    """MovieLens 20M: 20,000,263 ratings in half stars of 26,744 films by 138,493 users, 1995-2015.

    Research only, redistribution under the same terms.
    """

    archive = "ml-20m"
    sha256 = "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3"
    published: ClassVar[Mapping[str, int]] = {"ratings.csv": 20_000_263}


class MovieLensLatestSmall(MovieLensCSV):
    """MovieLens latest-small of September 2018: 100,836 ratings in half stars of 9,724 films by 610 users.

    If GroupLens publishes a newer version, the Internet Archive's copy is downloaded. Research only, redistribution
    under the same terms.
    """

    archive = "ml-latest-small"
    sha256 = "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"
    published: ClassVar[Mapping[str, int]] = {"ratings.csv": 100_836}
