"""Experiments with neural encoder-decoder networks: model × dataset × loss × trainer.

`scalian_exp.checkpoint.load(path)` rebuilds a trained model; nothing is imported here, so that `--help` stays quick.
"""

__version__ = "0.1.0"
