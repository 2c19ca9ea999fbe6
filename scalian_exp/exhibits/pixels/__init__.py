"""Exhibit: images completed pixel by pixel."""
