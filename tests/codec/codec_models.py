"""Small models of every kind, untrained: what compresses must not depend on being good."""

import numpy as np

import keras_acn

FAMILIES = {
    "bernoulli": "bernoulli",
    "logistic": {"name": "discretized_logistic_mixture", "components": 3},
    "categorical": "categorical",
}
DECODERS = {
    "mlp": {"name": "mlp", "hidden": [16]},
    "conv": {"name": "conv", "filters": [8, 8]},
    "pixelcnn": {
        "name": "pixelcnn",
        "layers": 2,
        "filters": 8,
        "kernel_size": 3,
        "first_kernel_size": 3,
        "conditioning": "spatial",
        "map_filters": 4,
    },
}
DECODERS["blocks"] = {**DECODERS["pixelcnn"], "block": 2}


def small_model(
    decoder="mlp", family="bernoulli", shape=(6, 5, 1), kind="ACN", seed=1, codes=40, **options
):
    """An untrained `ACN` or `VAE` of images of `shape`, always the same one."""
    options.setdefault("seed", seed)
    config = {**DECODERS[decoder], "likelihood": FAMILIES[family]}
    if kind == "VAE":
        encoder = {"name": "mlp", "hidden": [16], "variance": "learned"}
        return keras_acn.VAE(shape, latent_dim=4, encoder=encoder, decoder=config, **options)
    options.setdefault("prior", {"name": "mixture", "hidden": [16], "components": 3})
    model = keras_acn.ACN(
        shape,
        latent_dim=4,
        encoder={"name": "mlp", "hidden": [16]},
        decoder=config,
        codebook=keras_acn.KNNCodebook(size=codes, k=3),
        **options,
    )
    model.codebook.codes.assign(np.random.default_rng(seed).normal(size=(codes, 4)))
    return model


def noise(count, shape=(6, 5, 1), levels=2, seed=0):
    """Uniform noise, uint8 `[count, *shape]`."""
    return np.random.default_rng(seed).integers(0, levels, (count, *shape)).astype(np.uint8)


def as_set(images):
    """The images as a multiset: sorted rows of bytes."""
    return sorted(image.tobytes() for image in images)
