"""Figures, drawn with matplotlib from tensors."""
