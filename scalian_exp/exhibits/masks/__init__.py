"""Exhibit: a segmentation, pixel by pixel."""
