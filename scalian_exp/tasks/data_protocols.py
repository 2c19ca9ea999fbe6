"""Protocols of data: what each data module offers, and what each entry of `provides` in its config promises.

A data set's config lists what it `provides`; models and losses list what they need of it in `fits.needs`. The two
are compared before anything is read. `datasets.base.Data` and its subclasses offer all this; a custom data module
derives from one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from scalian_exp.batches import Batch
from scalian_exp.refusal import Refusal
from scalian_exp.tasks.offers import described, lacking

if TYPE_CHECKING:
    from scalian_exp.datasets.sparse_table import SparseTable


class DataModule(Protocol):
    """A LightningDataModule that yields complete batches: dicts of tensors whose first dimension is the batch."""

    @property
    def batch_size(self) -> int:
        """Number of examples per step, over all processes together."""

    @property
    def splits(self) -> Mapping[str, Any]:
        """`train`, `val` and `test`, once `setup` has run; a tensor of indices gives a batch as it is stored."""

    @property
    def classes_in_labels(self) -> int:
        """Number of classes in the labels of all splits; 0 without labels."""

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes as the files give them, once `setup` has run; None if they give none."""

    def prepare_data(self) -> None:
        """Download what is missing; called in one process."""

    def setup(self, stage: str) -> None:
        """Read the splits; may be called twice."""

    def loader(self, split: str, shuffle: bool = False) -> Iterable[Batch]:
        """Return the batches of a split as they are stored, each with `index` (B,), the examples' places in it."""

    def prepare(self, batch: Batch) -> Batch:
        """Turn a stored batch, already on its device, into what the network takes."""


class Images(Protocol):
    """`image` (B, C, H, W), float."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""

    @property
    def training_size(self) -> tuple[int, int]:
        """Height and width of training images, which may be crops."""


class Labels(Protocol):
    """`label` (B,), int64: the class of each example, 0 … K−1."""


class UnitRange(Protocol):
    """Pixels lie in [0, 1]."""


class Binary(Protocol):
    """Pixels are 0 or 1."""


class Levels(Protocol):
    """A channel of a pixel takes `dataset.levels` values, evenly spread over [0, 1]."""


class Masks(Protocol):
    """`mask` (B, H, W), int64: the class of each pixel, 0 … K−1, or −100 where it is void."""

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""

    def class_pixels(self) -> tuple[Tensor, Tensor]:
        """Count each class's pixels in the training split, (K,), and the labelled pixels of images with it, (K,)."""


class Texts(Protocol):
    """`text` (B, V), float: TF-IDF weights of the vocabulary's words, rows of length 1."""

    def vector(self, text: str) -> Tensor:
        """Return a user's text as weights (1, V)."""


class Ratings(Protocol):
    """`rating` (B, M), what a prediction may see, and `target` (B, M), what it is scored on; 0 where there is none.

    `known` (B, M), bool, says which pairs are rated in any split. `datasets.ratings.Ratings` divides them.
    """

    @property
    def hold_out(self) -> str:
        """`ratings` or `users`: what validation and test hold out."""

    @property
    def cutoffs(self) -> Mapping[str, Sequence[int]]:
        """Metric, `ndcg` or `recall` → numbers of recommendations that it considers."""

    @property
    def history(self) -> "SparseTable":
        """The table (N, M) of what the test's predictions may see, of all users, once `setup` has run."""

    @property
    def candidates(self) -> Tensor | None:
        """Which items rankings contain, bool (items,), once `setup` has run; None for all that are rated."""

    @property
    def rows(self) -> str:
        """`users` or `items`: what each row of the table stands for."""

    @property
    def users(self) -> int:
        """The number of users, or more."""

    @property
    def items(self) -> int:
        """The number of items, or more."""

    @property
    def titles(self) -> Sequence[str]:
        """Titles of the items, once `setup` has run."""

    @property
    def genres(self) -> Sequence[str]:
        """The first genre of each item, where they are known."""

    def by_user(self, table: "SparseTable") -> "SparseTable":
        """Return a table (N, M) with users as rows."""


PROVIDES: Mapping[str, type] = MappingProxyType(
    {
        "images": Images,
        "labels": Labels,
        "unit_range": UnitRange,
        "binary": Binary,
        "levels": Levels,
        "masks": Masks,
        "texts": Texts,
        "ratings": Ratings,
    }
)
"""entry of `provides` → what it promises"""


def check_data(data: Any, provides: Sequence[str]) -> None:
    """Refuse a data module that lacks what the framework needs, or what its config says that it provides.

    Args:
        data: the data module, not set up yet.
        provides: the entries of `provides` in its config.

    Raises:
        Refusal: if something is missing; it says what each missing member is.
    """
    if missing := lacking(data, DataModule):
        raise Refusal(
            f"{type(data).__name__} (dataset) lacks what a data module must have: {described(DataModule, missing)}. "
            "Add it to the class, or derive the class from scalian_exp.datasets.base.Data."
        )
    for word in provides:
        if word in PROVIDES and (missing := lacking(data, PROVIDES[word])):
            raise Refusal(
                f"{type(data).__name__} (dataset) lacks what data that provide {word} must have: "
                f"{described(PROVIDES[word], missing)}. Add it to the class, or take {word} out of dataset.provides."
            )


def check_classes(data: Any, known: int | None, names: Sequence[str] | None) -> None:
    """Check the classes of a data module that is set up.

    Args:
        data: the data module.
        known: number of classes that the network distinguishes; None for a network without classes.
        names: the classes' names in figures.

    Raises:
        Refusal: if the data has another number of classes, a class has no name, or two have the same.
    """
    count, called = data.classes_in_labels, type(data).__name__
    if known is not None and count != known:
        raise Refusal(f"{called} has {count} classes, but dataset.num_classes is {known}; correct it.")
    if known == 1:
        raise Refusal(f"{called} has a single class, so there is nothing to tell apart; give examples of others.")
    if names is not None and len(names) < count:
        raise Refusal(
            f"{called} has {count} classes, but dataset.class_names has {len(names)} names; name them all, or none "
            "(dataset.class_names=null)."
        )
    if names is not None and len(set(names)) < len(names):
        raise Refusal(f"dataset.class_names={list(names)}: two classes have the same name; change one.")
