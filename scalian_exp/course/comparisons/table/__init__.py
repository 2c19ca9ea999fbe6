"""A table of several runs."""
