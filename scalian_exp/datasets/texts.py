"""Documents as TF-IDF vectors, stored as a sparse matrix and made dense a batch at a time.

Batches are dicts: text (B, vocabulary_size), float, rows of Euclidean length 1; label (B,), int64.
"""

from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from scalian_exp.batches import first_words
from scalian_exp.commandline.shell import word
from scalian_exp.datasets.base import SPLIT_SEED, Batched, Data, Examples, held_out
from scalian_exp.datasets.documents import Documents, read_csv, subset
from scalian_exp.datasets.folder_splits import print_summary
from scalian_exp.datasets.folds import divided
from scalian_exp.datasets.identity import EXAMPLES, hash_of, identity
from scalian_exp.datasets.newsgroups import archive, messages
from scalian_exp.ranges import Fold, PositiveInt
from scalian_exp.refusal import Refusal


class SparseTexts(Batched):
    """Rows of a sparse matrix (N, V), made dense a batch at a time."""

    def __init__(self, matrix: Any, labels: Tensor, texts: list[str]):
        self.matrix, self.labels, self.texts = matrix, labels, texts
        self.names = [first_words(text) for text in texts]

    def __getitem__(self, indices: Tensor) -> Examples:
        rows = self.matrix[indices.numpy()].toarray()
        return {"text": torch.from_numpy(rows), "label": self.labels[indices]}

    def __len__(self) -> int:
        return len(self.labels)


class Texts(Data, ABC):
    """Base class of text data; subclasses implement `read`.

    The vocabulary is the most frequent words of the training documents, without English stop words.

    Args:
        vocabulary_size: number of words; if the documents have fewer, the vectors end in zeros.
        batch_size: documents per step, over all processes together.
        val_size: training documents held out for validation.
        balanced: draw training documents so that all classes are equally frequent.
        fold: "k/n", which holds out part k of n of them instead.
    """

    noun: ClassVar = "texts"

    def __init__(
        self,
        vocabulary_size: PositiveInt = 2000,
        batch_size: PositiveInt = 128,
        val_size: PositiveInt = 500,
        balanced: bool = False,
        fold: Fold | None = None,
    ):
        super().__init__(batch_size, balanced=balanced)
        self.vocabulary_size, self.val_size, self.fold = vocabulary_size, val_size, fold
        self.vectorizer: Any = None

    @abstractmethod
    def read(self) -> dict[str, Documents]:
        """Return the documents of train and test."""

    def setup(self, stage: str | None = None) -> None:
        """Read the documents, hold out a validation split, and fit the vocabulary to the training documents."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        if self.splits:
            return
        documents = self.read()
        texts, labels = documents["train"]
        chosen = divided(len(texts), self.fold, labels) if self.fold else held_out(len(texts), self.val_size)
        train, val = (part.tolist() for part in chosen)
        parts = {"train": subset(documents["train"], train), "val": subset(documents["train"], val)}
        parts["test"] = documents["test"]
        self.vectorizer = TfidfVectorizer(
            max_features=self.vocabulary_size, stop_words="english", sublinear_tf=True, dtype=np.float32
        )
        try:
            self.vectorizer.fit(parts["train"].texts)
        except ValueError as error:
            raise Refusal(f"These texts yield no vocabulary ({error}); give texts with more words.") from error
        self.class_names = sorted({label for part in parts.values() for label in part.labels})
        number = {name: index for index, name in enumerate(self.class_names)}
        self.splits = {
            name: SparseTexts(
                self.vectors(part.texts), torch.tensor([number[label] for label in part.labels]), part.texts
            )
            for name, part in parts.items()
        }
        words = sorted(self.vectorizer.vocabulary_.items())  # the meaning of the network's inputs
        self.identity = {
            "vocabulary": hash_of(words),
            EXAMPLES: {name: identity(part.texts) for name, part in parts.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a vocabulary or splits other than those that a checkpoint was trained on."""
        if state_dict.get("vocabulary", self.identity["vocabulary"]) != self.identity["vocabulary"]:
            raise Refusal(
                "The training texts have changed since this run began, so their vocabulary is no longer the one that "
                "the network learned; put the old texts back, or start a new run."
            )
        super().load_state_dict(state_dict)

    def prepare(self, batch: Examples) -> Examples:
        """Convert vectors to the network's floating-point type."""
        return {**batch, "text": batch["text"].to(self.dtype)}

    def vectors(self, texts: list[str]) -> Any:
        """Vectorise texts as a sparse matrix (N, vocabulary_size); texts without known words are rows of zeros."""
        matrix = self.vectorizer.transform(texts)
        matrix.resize(len(texts), self.vocabulary_size)
        return matrix

    def vector(self, text: str) -> Tensor:
        """Vectorise one text of the user's, (1, vocabulary_size).

        Raises:
            Refusal: if it is empty or has no known word.
        """
        if not text.strip():
            raise Refusal("The text is empty; give some words: text='…'.")
        matrix = self.vectors([text])
        if matrix.nnz == 0:
            raise Refusal(
                f"None of the words in {text!r} is among the {len(self.vectorizer.vocabulary_)} of the vocabulary; "
                "give other words, or train with a larger dataset.vocabulary_size."
            )
        return torch.from_numpy(matrix.toarray())


class TextsOnDisk(Texts, ABC):
    """Base class of texts in files in the folder `root`.

    Args:
        kwargs: the arguments of `Texts`.
    """

    def __init__(self, root: str, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.root = root


class TextCSV(TextsOnDisk):
    """Your own texts: root/train.csv and root/test.csv with the columns label and text.

    Commas, semicolons or tabs separate the columns.
    """

    def setup(self, stage: str | None = None) -> None:
        """Read the texts as all text data does, and print a summary."""
        if self.splits:
            return
        super().setup(stage)
        classes, words = len(self.class_names or ()), len(self.vectorizer.vocabulary_)
        print_summary(Path(self.root), f"texts of {classes} classes, {words} words", self.splits, Counter())

    def read(self) -> dict[str, Documents]:
        """Read both files.

        Raises:
            Refusal: if the root is a file, or a file is missing or broken.
        """
        if Path(self.root).is_file():
            raise Refusal(
                f"{self.root} is a file; set dataset.root to the folder of train.csv and test.csv: "
                f"{word('dataset.root', Path(self.root).parent)}"
            )
        return {split: read_csv(Path(self.root) / f"{split}.csv") for split in ("train", "test")}


class Newsgroups(TextsOnDisk):
    """20 newsgroups with the published split by date: root/20news-bydate.tar.gz, downloaded if it is missing.

    Args:
        remove: what to remove from the messages: headers, footers, quotes.
        kwargs: the arguments of `TextsOnDisk`.
    """

    def __init__(self, *args: Any, remove: list[str] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.remove = tuple(remove or ())

    def prepare_data(self) -> None:
        """Download the archive if it is missing."""
        archive(self.root)

    def read(self) -> dict[str, Documents]:
        """Read the messages of both published splits, labelled with their newsgroups."""
        splits = messages(archive(self.root), self.remove)
        return {
            split: Documents([message.text for message in part], [message.group for message in part])
            for split, part in splits.items()
        }


class FakeTexts(Texts):
    """Synthetic documents on four topics: half of a document's words are specific to its topic, half are common."""

    def read(self) -> dict[str, Documents]:
        """Generate 80 training and 20 test documents, the same for every run's seed."""
        rng = np.random.default_rng(SPLIT_SEED)
        return {split: fake_documents(size, rng) for split, size in (("train", 80), ("test", 20))}


def fake_documents(size: int, rng: np.random.Generator) -> Documents:
    """Generate documents of 20 words whose topics alternate."""
    topics = [f"topic{index % 4}" for index in range(size)]
    own = [[f"{topic}word{i}" for i in rng.integers(0, 10, 10)] for topic in topics]
    common = [[f"word{i}" for i in rng.integers(0, 20, 10)] for _ in topics]
    return Documents([" ".join(a + b) for a, b in zip(own, common, strict=True)], topics)
