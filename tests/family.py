"""The models of the family, as small as they can be, for tests that try each of them."""

import keras
import numpy as np

from keras_acn import ACN, VAE, VHE, Autoencoder

IMAGES = np.random.default_rng(0).random((24, 4, 4, 1)).astype(np.float32)
LABELS = (np.arange(24) % 3).astype(np.int32)

MLP = {"name": "mlp", "hidden": [4]}
PARTS = {"encoder": MLP, "decoder": {"name": "bernoulli_mlp", "hidden": [4]}}
PRIOR = {"name": "mixture", "hidden": [4], "components": 1}


def _vhe(**options):
    return VHE((4, 4, 1), 2, class_encoder=MLP, prior=PRIOR, set_size=2, **PARTS, **options)


MAKE = {
    "vae": lambda: VAE((4, 4, 1), 2, **PARTS),
    "beta-vae": lambda: VAE(
        (4, 4, 1), 2, beta=keras.optimizers.schedules.PolynomialDecay(0.0, 10, 4.0), **PARTS
    ),
    "autoencoder": lambda: Autoencoder((4, 4, 1), 2, **PARTS),
    "acn": lambda: ACN((4, 4, 1), 2, prior=PRIOR, codebook={"unique": True}, **PARTS),
    "vhe": _vhe,
    "vhe with pseudo-labels": lambda: _vhe(supervised=False, pseudo_labels={"clusters": 3}),
}
FAMILY = list(MAKE)


def made(name, fit=False, optimizer=None):
    """Return the model of that name, compiled, and trained for a step or two if `fit`.

    Plain gradient descent by default: Adam takes over a third of the time to trace a step.
    """
    keras.utils.set_random_seed(0)
    model = MAKE[name]()
    model.compile(optimizer or keras.optimizers.SGD(1e-2))
    if fit:
        model.fit(IMAGES, LABELS, batch_size=12, verbose=0)
    return model


def assert_same_weights(one, other):
    assert [w.shape for w in one.weights] == [w.shape for w in other.weights]
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
