"""Find titles as people write them."""

import pytest

from scalian_exp.actions.titles import find, separated, sharing, twins
from scalian_exp.refusal import Refusal

TITLES = [
    *("Toy Story (1995)", "Matrix, The (1999)", "Fargo (1996)", "Sabrina (1954)", "Sabrina (1995)", "Star Wars (1977)"),
    *(
        "Star Trek: First Contact (1996)",
        "Belle époque (1992)",
        "Chasing Amy (1997)",
        "Chasing Amy (1997)",
        "Star (1998)",
    ),
]
COUNTS = [1.0] * 9 + [5.0, 1.0]


@pytest.mark.parametrize(
    ("query", "item"),
    [
        *(("Toy Story (1995)", 0), ("toy story", 0), ("the matrix", 1), ("Matrix", 1), ("The Matrix (1999)", 1)),
        *(("sabrina (1995)", 4), ("Belle Epoque", 7), ("first contact", 6), ("star", 10)),
    ],
)
def test_titles_are_found_as_people_write_them(query: str, item: int) -> None:
    assert find(query, TITLES, COUNTS) == [item]


def test_titles_are_separated_by_semicolons_but_those_within_a_title() -> None:
    titles = ["Film; 0", "Film; 1", "Heat", "One; Two; Three"]
    assert separated("Heat; film; 1 ;one; two; three", titles) == ["Heat", "film; 1", "one; two; three"]
    assert separated("Film;Heat;", titles) == ["Film", "Heat"]
    assert separated(" ; ", titles) == []


def test_titles_that_differ_in_signs_alone_are_different() -> None:
    languages, counts = ["C++", "C", "C#", "!!!", "???"], [1.0] * 5
    assert [find(title, languages, counts) for title in languages] == [[0], [1], [2], [3], [4]]
    assert twins([0], languages) == [0]


def test_a_title_that_two_items_share_means_both() -> None:
    assert find("chasing amy", TITLES, COUNTS) == [9, 8], "the most rated first"
    assert sharing([9, 8], TITLES, [str(100 + item) for item in range(11)]) == (
        "Chasing Amy (1997) is the title of items 108 and 109: all of them are taken."
    )
    assert twins([8, 0], TITLES) == [0, 8, 9]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("Toy Stroy", "There is no title 'Toy Stroy'; did you mean Toy Story (1995)?"),
        ("Sabrina", "'Sabrina' may be Sabrina (1954), Sabrina (1995); write which one."),
        ("Fargo (1950)", "There is no title 'Fargo (1950)'; did you mean Fargo (1996)?"),
        ("Fargo, Twister", "There is no title 'Fargo, Twister'; separate titles by semicolons, or correct it."),
        ("qqqq", "There is no title 'qqqq'; none of the 11 titles is similar."),
    ],
)
def test_unknown_and_ambiguous_titles_are_refused(query: str, sentence: str) -> None:
    with pytest.raises(Refusal) as caught:
        find(query, TITLES, COUNTS)
    assert str(caught.value) == sentence
