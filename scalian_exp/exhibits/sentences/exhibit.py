"""The learned texts nearest to a sentence that is typed, by code and by the weights of their words (TF-IDF)."""

from typing import Any

import numpy as np

from scalian_exp.batches import first_words
from scalian_exp.exhibits.nearest.exhibit import NEIGHBOURS, by_chance, precision_at
from scalian_exp.exhibits.pack import Pack
from scalian_exp.exhibits.run import Run
from scalian_exp.exhibits.store import Store
from scalian_exp.tasks.capabilities import Encodes
from scalian_exp.tasks.offers import offers

ORDER = 35
MOST, LETTERS = 2000, 180
"""training texts on the page, and how much of each is shown"""
QUERIES = 1000
SUGGESTED = 6
"""test texts that a reader can start from"""


def offered(run: Run) -> bool:
    """Return whether the network encodes texts."""
    return "texts" in run.config["dataset"]["provides"] and offers(run.network, Encodes)


def take(run: Run, store: Store) -> dict[str, Any]:
    """Put the vocabulary, the encoder and some learned texts with their codes into the store."""
    learned, asked = run.spread("train", MOST), run.spread("test", QUERIES)
    train, test = run.batch("train", learned), run.batch("test", asked)
    codes, queries = (run.network.encode(batch["text"]) for batch in (train, test))
    parts, names = run.data.splits, list(run.data.class_names or [])
    vectorizer = run.data.vectorizer

    def fill(pack: Pack) -> dict[str, Any]:
        matrix = parts["train"].matrix[learned.numpy()].tocsr()
        pack.weights("codes", codes)
        pack.add("labels", train["label"], "i4")
        pack.add("starts", matrix.indptr, "i4")
        pack.add("words", matrix.indices, "i4")
        pack.add("weights", matrix.data, "f2")
        pack.add("idf", np.pad(vectorizer.idf_, (0, run.data.vocabulary_size - len(vectorizer.idf_))), "f4")
        return {"texts": [first_words(parts["train"].texts[n], LETTERS) for n in learned.tolist()]}

    return {
        "encode": store.program("encode", run.network, lambda network, text: network.encode(text), test["text"][:1]),
        "learned": store.block("learned_texts", fill),
        "vocabulary": sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__),
        "names": names,
        "count": len(learned),
        "trained": len(parts["train"]),
        "queries": len(asked),
        "size": codes.shape[1],
        "neighbours": min(NEIGHBOURS, len(learned)),
        "suggested": [first_words(parts["test"].texts[n], LETTERS) for n in run.spread("test", SUGGESTED).tolist()],
        "precision": {
            "code": precision_at(codes, queries, train["label"], test["label"]),
            "words": precision_at(train["text"], test["text"], train["label"], test["label"]),
            "chance": by_chance(train["label"], test["label"]),
        },
    }
