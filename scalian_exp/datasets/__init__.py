"""Data sets and the base classes for your own."""
