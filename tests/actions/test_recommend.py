"""How `action=recommend` describes a taste; what it recommends is tested with the task."""

from types import SimpleNamespace
from typing import Any

import torch

from scalian_exp.actions.recommend import Recommend


def test_the_heading_names_what_is_liked_and_what_is_disliked() -> None:
    titles = ["Alien", "Brazil", "Casablanca", "Dune", "Eraserhead", "Fargo"]
    data: Any = SimpleNamespace(titles=titles, items=6, levels=[1.0, 2.0, 3.0, 4.0, 5.0], liked=4.0)
    for said, heading in (
        ({"liked": "Alien;Dune", "disliked": "Brazil"}, "you, who liked Alien, Dune and disliked Brazil"),
        ({"disliked": "Brazil;Casablanca"}, "you, who liked nothing and disliked Brazil, Casablanca"),
        ({"liked": "Fargo"}, "you, who liked Fargo"),
        (
            {"liked": "Fargo", "disliked": ";".join(titles[:5])},
            "you, who liked Fargo and disliked Alien, Brazil, Casablanca and 2 more",
        ),
    ):
        action = Recommend(**said)
        assert action.described_user(data, action.named(data, torch.ones(6))) == heading
