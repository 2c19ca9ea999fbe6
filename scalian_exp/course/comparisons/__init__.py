"""Comparisons of several runs, side by side on the course's page."""
