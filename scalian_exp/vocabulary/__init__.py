"""Checks and readings of what a config or a command line may contain. Imports no torch."""
