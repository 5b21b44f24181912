"""A model's networks in float64, on batches of one shape."""

import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.codec.float64 import exact_copy
from keras_acn.codec.pixels import pixel_model
from keras_acn.models import ACN, VAE
from keras_acn.priors.codes_mixture import mixture_parameters

# Floats of the largest tensor of a pass: 64 MiB in float64.
PASS_FLOATS = 2**23
# Features per pixel that a network is taken to have, in choosing the images of a pass.
TYPICAL_FEATURES = 64


class Networks:
    """What a sender and a receiver compute with.

    All that is computed comes out of float64 copies of the model's parts, without XLA, and in
    batches whose shape depends on the model and on `lanes` only.

    Attributes:
      image_shape: `(H, W, C)`.
      latent_dim: d.
      lanes: Images side by side.
      pixels: The pixel model of the decoder's output family.
      decoder: The float64 copy of the decoder.
      is_associative: Whether the prior for an image is conditioned on another's code.
      is_autoregressive: Whether the decoder goes pixel by pixel.

    Args:
      model: An `ACN` or a `VAE`.
      lanes: Images side by side.

    Raises:
      UserError: If the model is of another kind.
    """

    def __init__(self, model, lanes):
        check_model(model)
        self.image_shape = model.image_shape
        self.latent_dim = model.latent_dim
        self.lanes = lanes
        self.is_associative = is_associative(model)
        self.is_autoregressive = bool(getattr(model.decoder, "is_autoregressive", False))
        likelihood = model.decoder.likelihood
        self.pixels = pixel_model(likelihood)
        self.encoder, self.prior, self.decoder = (
            exact_copy(part) for part in (model.encoder, model.prior, model.decoder)
        )
        self.code_dim = getattr(model.prior, "code_dim", None) or model.latent_dim
        # What a network sees of a level, as in training.
        self._unit = np.asarray(likelihood.level_value(range(likelihood.levels)))
        per_pixel = likelihood.parameters_per_pixel(self.image_shape[2])
        self._pixel_batch = self.batch(max(per_pixel, TYPICAL_FEATURES))
        self._encode = Compiled(self._encode_batch)
        self._prior = {}
        self._parameters = Compiled(self._parameters_batch)

    def batch(self, floats_per_pixel):
        """Returns the images of a pass over tensors of so many floats a pixel."""
        floats = self.image_shape[0] * self.image_shape[1] * floats_per_pixel
        size = self.lanes
        while size > 1 and size * floats > PASS_FLOATS:
            size = -(-size // 2)
        return size

    def units(self, levels):
        """Returns what the networks see of levels: float32, in [0, 1]."""
        return self._unit[levels]

    def encode(self, levels):
        """Returns the posteriors of images, int `[n, H, W, C]` levels: float64 `[n, d]` twice."""
        return in_passes(self._encode, self._pixel_batch, self.units(levels))

    def given(self, code, size=None):
        """Returns the parameters of p(z|code), float64 `[n, d, M]` three times.

        Args:
          code: float64 `[n, d]`.
          size: Codes of a pass; as many as there are lanes by default.
        """
        size = size or self.lanes
        if size not in self._prior:
            self._prior[size] = Compiled(self._prior_batch)
        return in_passes(self._prior[size], size, code)

    def parameters(self, z, levels=None):
        """Returns the rounded parameters of r(x|z), float64 `[n, H, W, P]`, pass by pass.

        Args:
          z: float64 `[n, d]`.
          levels: The images, int `[n, H, W, C]`, where the decoder is autoregressive.

        Yields:
          `(slice of the rows, parameters before they are rounded)`.
        """
        size = self._pixel_batch
        for start in range(0, len(z), size):
            part = slice(start, min(start + size, len(z)))
            arrays = [z[part]] if levels is None else [z[part], self.units(levels[part])]
            yield part, in_passes(self._parameters, size, *arrays)

    def _encode_batch(self, image):
        q = self.encoder(image)
        return tf.cast(q.mean(), tf.float64), tf.cast(q.stddev(), tf.float64)

    def _prior_batch(self, code):
        parts = mixture_parameters(self.prior(code))
        return tuple(tf.cast(part, tf.float64) for part in parts)

    def _parameters_batch(self, z, image=None):
        if image is None:
            return tf.cast(self.decoder.parameters(z), tf.float64)
        return tf.cast(self.decoder.parameters(image, z), tf.float64)


class Compiled:
    """A function of tensors as a graph, for the one shape that it is first called with.

    Args:
      function: Takes and returns tensors, in lists and dicts or not.
    """

    def __init__(self, function):
        self._function = tf.function(function, autograph=False)
        self._graph = None

    def __call__(self, *arguments):
        if self._graph is None:
            self._graph = self._function.get_concrete_function(*arguments)
        return self._graph(*arguments)


def check_model(model):
    """Raises a `UserError` unless the model is one that can compress."""
    if not isinstance(model, (ACN, VAE)):
        raise UserError(
            f"Compressing needs an ACN or a VAE, not a {type(model).__name__}: train one of these."
        )
    if getattr(model.decoder, "likelihood", None) is None:
        raise UserError(
            f"Compressing needs a decoder with an output family, such as MLPDecoder, ConvDecoder "
            f"or GatedPixelCNN, not {type(model.decoder).__name__}."
        )
    if is_associative(model):
        model.codebook.require_codes()


def is_associative(model):
    """Returns whether the prior for an image is conditioned on another image's code."""
    conditional = getattr(model.prior, "is_conditional", True)
    return bool(conditional) and getattr(model, "codebook", None) is not None


def in_passes(function, size, *arrays):
    """Returns `function(*arrays)` in passes of `size` rows, the last one filled up.

    Args:
      function: Takes tensors `[size, ...]`, returns a tensor `[size, ...]` or a tuple.
      size: Rows of a pass.
      *arrays: NumPy `[n, ...]`, n at least 1.

    Returns:
      A NumPy array `[n, ...]`, or a tuple of them.
    """
    count, parts = len(arrays[0]), []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        parts.append(function(*(tf.constant(each[rows]) for each in arrays)))
    joined = tf.nest.map_structure(lambda *each: np.concatenate(each)[:count], *parts)
    return joined
