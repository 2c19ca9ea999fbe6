"""Exhibits: a trained network alive on a page, one folder each; see docs/exhibits.md."""
