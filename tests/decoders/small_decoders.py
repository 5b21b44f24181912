"""A small PixelCNN of every kind, for the tests of its likelihood, its steps and its blocks."""

import keras
import numpy as np

from keras_acn.decoders.pixelcnn import GatedPixelCNN

FAMILIES = {
    "bernoulli": "bernoulli",
    "categorical": "categorical",
    "logistic": {"name": "discretized_logistic_mixture", "components": 2},
}


def make(image_shape, seed=0, **options):
    """A small decoder with weights far enough from zero that every path shows."""
    keras.utils.set_random_seed(seed)
    options = {
        "latent_dim": 3,
        "layers": 3,
        "filters": 8,
        "kernel_size": 3,
        "first_kernel_size": 5,
        "output_hidden": 16,
    } | options
    decoder = GatedPixelCNN(image_shape, **options)
    rng = np.random.default_rng(seed)
    for variable in decoder.trainable_variables:
        if variable.name == "bias":
            variable.assign(0.5 * rng.normal(size=variable.shape))
    return decoder
