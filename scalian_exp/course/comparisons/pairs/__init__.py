"""Pixels that are often on together: data against the models of Boltzmann machines."""
