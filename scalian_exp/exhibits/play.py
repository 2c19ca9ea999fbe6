"""Write an interactive page about the run's network."""

from pathlib import Path

import torch

from scalian_exp.actions.action import Action
from scalian_exp.checkpoint import Loaded
from scalian_exp.exhibits.page import page
from scalian_exp.exhibits.run import Run


class Play(Action):
    """A page to play with the network: one file that works from disk, in French and English."""

    @torch.no_grad()
    def run(self, model: Loaded, folder: Path) -> list[Path]:
        """Build the page of all exhibits that the run offers, and write play.html.

        Raises:
            Refusal: if there is no exhibit for it.
        """
        model.task.to("cpu")  # where the page's arrays are read
        result = page(Run(model))
        for why in dict.fromkeys(result.left_out.values()):
            print(f"Left out: {', '.join(name for name, other in result.left_out.items() if other == why)}. {why}")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "play.html"
        file.write_text(result.html, encoding="utf-8")
        print(
            f"Exhibits: {', '.join(result.exhibits)}; {len(result.html.encode()) / 1e6:.1f} MB. Open it in a browser."
        )
        return [file]
