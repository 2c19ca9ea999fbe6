"""Experiments with neural encoder-decoder networks, composed as model × dataset × loss × trainer.

from scalian_exp import compose, load, load_data, train

config = compose("model=vae", "dataset=fashion_mnist_sample", "trainer.max_epochs=2")
metrics = train(config, "outputs/first")
model = load("outputs/first")
"""

from scalian_exp.api import compose, load, load_data, train

__version__ = "0.1.0"
__all__ = ["compose", "load", "load_data", "train"]
