"""What the Python model answers, each row asked on its own: the oracle of a served model."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_acn.models import VHE, Autoencoder


def png(image):
    """The bytes of one 8-bit grey PNG file."""
    out = io.BytesIO()
    Image.fromarray(np.rint(image[..., 0] * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def key(seed, stream=None):
    """The stateless seed that the Python methods make of a seed."""
    made = tf.constant([seed, 0], tf.int32)
    return made if stream is None else tf.random.fold_in(made, stream)


def encode(model, image):
    q = model.encode(image)
    found = {"mean": q.mean(), "stddev": q.stddev()}
    if isinstance(model, Autoencoder):
        del found["stddev"]
    if isinstance(model, VHE):
        alone = model.class_posterior(image[:, None])
        found |= {"code": alone.mean(), "code_stddev": alone.stddev()}
    return found


def reconstruct(model, image, seed=0):
    return {"image": model.reconstruct(image, seed=seed)}


def neighbors(model, image):
    distance, index = model.neighbors(image)
    return {"index": index, "distance": distance, "code": model.codebook.codes.numpy()[index]}


def nats(model, image, seed=0):
    batch = {"image": tf.constant(image), "index": tf.zeros([1], tf.int32)}
    # The set D of a homoencoder: the image alone.
    batch |= {"members": image[:, None], "valid": np.full([1, 1], True), "class_size": [1]}
    costs = model.costs(batch, key(seed))
    reconstruction, kl = costs["reconstruction_nats"], costs["kl_nats"]
    return {"reconstruction": reconstruction, "kl": kl, "total": reconstruction + kl}


def daydream_step(model, image, seed):
    return {"image": model.daydream(image, steps=1, seed=seed)[1]}


def decode(model, latent, seed=None, code=None):
    if code is not None:
        latent = np.concatenate([code, latent], axis=1)
    if seed is None:
        return {"mean": model.decode(latent).mean()}
    return {"sample": model.decode(latent).sample(seed=key(seed, 1))}


def sample_prior(model, code, seed):
    return {"latent": model.prior(code).sample(seed=key(seed, 0))}


FUNCTIONS = {f.__name__: f for f in (encode, reconstruct, neighbors, nats, daydream_step)}
FUNCTIONS |= {f.__name__: f for f in (decode, sample_prior)}
FUNCTIONS["serving_default"] = encode


def answer(model, signature, inputs, row):
    """The answer to one row of a request, as arrays by name, without the batch."""
    inputs = {name: value[row : row + 1] for name, value in inputs.items()}
    if "image_bytes" in inputs:
        with Image.open(io.BytesIO(inputs.pop("image_bytes")[0])) as file:
            inputs["image"] = np.float32(np.asarray(file)[None, ..., None] / 255.0 > 0.5)
    if "seed" in inputs:
        inputs["seed"] = int(inputs["seed"][0])
    found = FUNCTIONS[signature.removesuffix("_png")](model, **inputs)
    return {name: np.asarray(value)[0] for name, value in found.items()}
