"""Comparisons of runs: summaries of sweeps, tables of likelihoods, and the page of scalian-report."""
