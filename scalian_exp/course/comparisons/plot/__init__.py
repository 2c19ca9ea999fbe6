"""Curves and points of several runs."""
