"""The table of signatures: what a served model can be asked, and what it answers."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_acn._base.noise import RowNoise
from keras_acn.serving.images import ImageDecoder
from keras_acn.serving.request_checks import checked

DEFAULT = "serving_default"


@dataclasses.dataclass
class Signature:
    """One thing that a served model can be asked.

    Attributes:
      name: Its name.
      inputs: `tf.TensorSpec` by name; the first dimension of each is the batch.
      function: Takes the inputs by name, returns the outputs by name. All outputs have
        the batch as their first dimension.
      says: One sentence for the model card.
      decoder: Makes the function's `image` of the input `image_bytes`, where that is one.
    """

    name: str
    inputs: dict
    function: Callable
    says: str
    decoder: ImageDecoder | None = None


def trace(table, scope):
    """Return the traced functions of a table by name, checks of the requests included.

    Signatures of one function share its graph: `encode`, the default and `encode_png` are
    the same computation behind different doors.

    Args:
      table: The list of `Signature`s.
      scope: Makes a context in which the model reads the weights to be stored.
    """
    shared = {}
    return {each.name: _trace(each, scope, shared) for each in table}


def _trace(signature, scope, shared):
    def compute(**inputs):
        with scope():
            return signature.function(**inputs)

    computed = shared.setdefault(signature.function, tf.function(compute, autograph=False))

    def answer(*values):
        inputs = checked(dict(zip(signature.inputs, values, strict=True)), signature.inputs)
        if signature.decoder is not None:
            inputs["image"] = signature.decoder(inputs.pop("image_bytes"))
        return computed(**inputs)

    specs = [tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in signature.inputs.items()]
    return tf.function(answer, input_signature=specs, autograph=False).get_concrete_function()


def signatures_of(model, decoder=None, codebook=True):
    """Return the list of `Signature`s that a model has, by its parts.

    Args:
      model: The model.
      decoder: An `ImageDecoder`, or `None` to leave out the signatures that take files.
      codebook: Whether the codebook comes along.
    """
    table = []
    for signature in _of_images(model, codebook):
        table.append(signature)
        if decoder is not None:
            table.append(_of_files(signature, decoder))
    table += _of_latents(model)
    encode = next(each for each in table if each.name == "encode")
    return [dataclasses.replace(encode, name=DEFAULT, says="The same as `encode`."), *table]


def _of_images(model, codebook):
    one = {"image": tf.TensorSpec([None, *model.image_shape], tf.float32)}
    seeded = {**one, "seed": tf.TensorSpec([None], tf.int32)}
    book = model.codebook if codebook else None
    has_class_code = model.class_dim is not None

    def encode(image):
        return model.posterior_batch(image)

    if has_class_code:
        says = (
            "The posteriors of the image alone: `code` and `code_stddev` of q(c|{x}), what it "
            "shares with its class, and `mean` and `stddev` of q(z|c,x) at that code."
        )
    elif model.is_deterministic:
        says = "The image's code."
    else:
        says = "The posterior q(z|x): its mean is the image's code."
    yield Signature("encode", one, encode, says)

    def reconstruct(image, seed=None):
        return {"image": model.reconstruct_batch(image, _noise(seed))}

    draws = model.decoder.is_autoregressive
    says = "decoded from the image's code" + (" and the mean of z." if has_class_code else ".")
    says = f"An image {says}" + (
        " It is drawn, as this decoder has no mean." if draws else " It is the mean of r(x|z)."
    )
    yield Signature("reconstruct", seeded if draws else one, reconstruct, says)

    def neighbors(image):
        distance, index = book.neighbors(model.codes_batch(image), in_graph=True)
        code = book.gather(tf.reshape(index, [-1]))
        shape = [-1, book.k, model.latent_dim]
        return {"index": index, "distance": distance, "code": tf.reshape(code, shape)}

    if book is not None:
        yield Signature(
            "neighbors",
            one,
            neighbors,
            f"The {book.k} training data whose codes are nearest to the image's, "
            "nearest first: their rows, Euclidean distances and codes.",
        )

    def nats(image, seed=None):
        costs = model.costs(model.alone(image), _noise(seed))
        reconstruction, kl = costs["reconstruction_nats"], costs["kl_nats"]
        return {"reconstruction": reconstruction, "kl": kl, "total": reconstruction + kl}

    if model.codebook is None or codebook:
        says = "What the image costs, in nats"
        if model.is_deterministic:
            says += "; the code costs nothing here, so that this is no code length."
        else:
            says += ", estimated at one draw of z"
            says += " and of one of its neighbours" if book is not None else ""
            says += " and of c, the image alone in its class" if has_class_code else ""
            says += "; average over seeds for less noise."
            if book is not None:
                says += " No code length, as nothing is paid for saying which neighbour it was."
            elif has_class_code or not model.prior.is_conditional:
                says += " On average `total` is an upper bound of -log p(x)."
        yield Signature("nats", one if model.is_deterministic else seeded, nats, says)

    def daydream_step(image, seed):
        return {"image": model.daydream_batch(image, RowNoise(seed))}

    says = "z is drawn from p(z|c) with the image's code c" + (
        ", itself drawn from q(c|{x})," if has_class_code else ","
    )
    yield Signature(
        "daydream_step",
        seeded,
        daydream_step,
        f"One association: {says} and an image from r(x|z). Send the answer again, with "
        "another seed, to dream on.",
    )


def _of_latents(model):
    has_class_code, draws = model.class_dim is not None, model.decoder.is_autoregressive
    latent = tf.TensorSpec([None, model.latent_dim], tf.float32)
    code = tf.TensorSpec([None, model.class_dim or model.latent_dim], tf.float32)
    seed = tf.TensorSpec([None], tf.int32)

    def decode(latent, seed=None, code=None):
        z = latent if code is None else tf.concat([code, latent], axis=1)
        return {"sample" if draws else "mean": model.decode_batch(z, _noise(seed))}

    inputs = {"code": code} if has_class_code else {}
    inputs["latent"] = latent
    if draws:
        inputs["seed"] = seed
        says = (
            "An image drawn from r(x|z). It is called `sample`, as the mean of an "
            "autoregressive decoder is not known in closed form."
        )
    else:
        says = "The mean of r(x|z)."
    yield Signature("decode", inputs, decode, says)

    def sample_prior(code, seed):
        return {"latent": model.latents_batch(code, RowNoise(seed))}

    says = "A latent drawn from p(z|c)"
    if not model.prior.is_conditional:
        says += "; this prior is the same for every code, so any will do"
    inputs = {"code": code, "seed": seed}
    yield Signature("sample_prior", inputs, sample_prior, says + ".")


def _noise(seed):
    """Return the noise of requests that draw, each row from its seed; `None` without seeds."""
    return None if seed is None else RowNoise(seed)


def _of_files(signature, decoder):
    inputs = {"image_bytes": tf.TensorSpec([None], tf.string), **signature.inputs}
    del inputs["image"]
    says = f"`{signature.name}` of PNG or JPEG files."
    return Signature(f"{signature.name}_png", inputs, signature.function, says, decoder)
