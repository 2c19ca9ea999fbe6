"""A Boltzmann machine's chain, with units to hold and filters to look at."""
