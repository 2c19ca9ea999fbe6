"""Exhibit: the probabilities that a classifier gives to what is drawn."""
