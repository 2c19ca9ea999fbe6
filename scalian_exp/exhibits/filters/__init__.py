"""Exhibit: transposed convolutions, and the filters by which a network enlarges its maps."""
