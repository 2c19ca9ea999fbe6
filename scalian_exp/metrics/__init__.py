"""Metrics and estimates by which trained networks are judged."""
