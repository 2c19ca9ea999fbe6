"""Sweeps and searches: the life of their jobs, their folders, and how they are resumed."""
