"""A noisy or half image on its way through a stack, layer by layer."""
