"""Exhibits: interactive parts of a page about a trained network, one folder each; see docs/exhibits.md."""
