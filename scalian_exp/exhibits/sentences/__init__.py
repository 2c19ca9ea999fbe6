"""Exhibit: the learned texts nearest to a sentence, by code and by TF-IDF."""
