"""The figure of a confusion matrix."""

import torch

from scalian_exp.figures.classes import confusion_matrix


def test_the_rows_of_a_confusion_matrix_are_the_true_classes() -> None:
    figure = confusion_matrix(torch.tensor([[1, 1], [0, 1]]), ["cat", "dog"])
    shown = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert shown == {(0, 0): "1", (1, 0): "1", (1, 1): "1"}  # (column, row)
