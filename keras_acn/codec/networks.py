"""A model's networks in float64, on batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_acn._base.batches import in_batches
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.noise import diagonal_normal
from keras_acn._base.progress import Progress
from keras_acn.codec.container import CODES, LEARNS
from keras_acn.codec.decisions import pixel_model
from keras_acn.codec.float64 import exact_copy
from keras_acn.codec.numpy_pixelcnn import NumpyPixelCNN, in_numpy
from keras_acn.models import ACN, VAE
from keras_acn.priors.codes_mixture import mixture_parameters

# Floats of the largest tensor of a pass: 64 MiB in float64.
PASS_FLOATS = 2**23
# Features per pixel that a network is taken to have, in choosing the images of a pass.
TYPICAL_FEATURES = 64
# Floats of the biases of an autoregressive decoder's gates, which are there all the time:
# 512 MiB in float64.
MAX_BIAS_FLOATS = 2**26
# Refused, whoever asked for it, a damaged file included: 8 GiB of biases, and about 2 GiB of
# codes that are considered for the images of a step.
MOST_BIAS_FLOATS, MOST_CANDIDATES = 2**30, 2**26


class Copies:
    """A model's parts in float64, whose weights the graphs of any number of lanes share.

    Attributes:
      encoder: The copy of the encoder.
      prior: That of the prior.
      decoder: That of the decoder.
      pixelcnn: See `Networks`.
      joint: See `Networks`.

    Args:
      model: An `ACN` or a `VAE`.

    Example:
      `Networks(model, 4, copies)` and `Networks(model, 8, copies)` have the same weights.
    """

    def __init__(self, model: Any):
        self.encoder, self.prior, self.decoder = map(exact_copy, model.parts().values())
        if model.prior.needs_encoder:
            self.prior.attach(self.encoder)
        self.pixelcnn = NumpyPixelCNN(self.decoder) if in_numpy(self.decoder) else None
        self.joint = None
        if model.prior.is_joint:
            self.joint = tuple(np.asarray(each, np.float64) for each in self.prior.mixture())


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
      pixelcnn: The decoder in NumPy, where it is a PixelCNN of this package, otherwise `None`.
      is_autoregressive: Whether the decoder goes pixel by pixel.
      joint: The log-weights `[K]`, means and deviations, each `[K, d]`, all float64, of a prior
        that is a mixture over whole latents; `None` for any other.

    Args:
      model: An `ACN` or a `VAE`.
      lanes: Images side by side.
      copies: The model's `Copies`; made here by default.

    Raises:
      UserError: If the model is of another kind.

    Example:
      >>> import keras_acn
      >>> networks = Networks(keras_acn.VAE((8, 8, 1), latent_dim=3, decoder="mlp"), lanes=4)
      >>> mean, stddev = networks.encode(np.zeros((10, 8, 8, 1), int))
      >>> mean.shape, stddev.dtype
      ((10, 3), dtype('float64'))
    """

    def __init__(self, model: Any, lanes: int, copies: Copies | None = None):
        check_model(model)
        self.image_shape = model.image_shape
        self.latent_dim = model.latent_dim
        self.lanes = lanes
        self.is_autoregressive = model.decoder.is_autoregressive
        likelihood = model.decoder.likelihood
        self.pixels = pixel_model(likelihood)
        copies = copies or Copies(model)
        self.encoder, self.prior, self.decoder = copies.encoder, copies.prior, copies.decoder
        self.pixelcnn, self.joint = copies.pixelcnn, copies.joint
        # What a network sees of a level, as in training.
        self._unit = np.asarray(likelihood.level_value(range(likelihood.levels)))
        per_pixel = likelihood.parameters_per_pixel(self.image_shape[2])
        self._pixel_batch = self._images_of_a_pass(max(per_pixel, TYPICAL_FEATURES))
        self._encode = Compiled(self._encode_batch)
        self._prior: dict[int, Compiled] = {}
        self._parameters = Compiled(self._parameters_batch)

    def units(self, levels: np.ndarray) -> np.ndarray:
        """Return what the networks see of levels: float32, in [0, 1]."""
        return self._unit[levels]

    def encode(self, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the posteriors' means and standard deviations, each float64 `[n, d]`.

        Args:
          levels: Images, int `[n, H, W, C]`.
        """
        return in_batches(self._encode, self.units(levels), size=self._pixel_batch, fill=True)

    def given(
        self, code: np.ndarray, size: int | None = None, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the log-weights, means and deviations of p(z|code), each float64 `[n, d, M]`.

        Args:
          code: float64 `[n, d]`.
          size: Codes of a pass; as many as there are lanes by default.
          progress: Called with the codes done, and n.
        """
        size = size or self.lanes
        if size not in self._prior:
            self._prior[size] = Compiled(self._prior_batch)
        return in_batches(self._prior[size], code, size=size, fill=True, progress=progress)

    def parameters(
        self, z: np.ndarray, levels: np.ndarray | None = None
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the parameters of r(x|z), pass by pass: all of them would be too many.

        Args:
          z: float64 `[n, d]`.
          levels: The images, int `[n, H, W, C]`, where the decoder is autoregressive.

        Yields:
          `(rows of a pass, parameters float64 [b, H, W, P], not rounded)`.
        """
        size = self._pixel_batch
        for start in range(0, len(z), size):
            part = slice(start, min(start + size, len(z)))
            arrays = [z[part]] if levels is None else [z[part], self.units(levels[part])]
            if self.pixelcnn is not None:
                yield part, self.pixelcnn.parameters(*arrays)
                continue
            yield part, in_batches(self._parameters, *arrays, size=size, fill=True)

    def _images_of_a_pass(self, floats_per_pixel):
        floats = self.image_shape[0] * self.image_shape[1] * floats_per_pixel
        size = self.lanes
        while size > 1 and size * floats > PASS_FLOATS:
            size = -(-size // 2)
        return size

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

    Example:
      >>> Compiled(lambda x: 2 * x)(tf.constant([1, 2])).numpy()
      array([2, 4], dtype=int32)
    """

    def __init__(self, function: Callable):
        self._function = tf.function(function, autograph=False)
        self._graph = None

    def __call__(self, *arguments):
        if self._graph is None:
            self._graph = self._function.get_concrete_function(*arguments)
        return self._graph(*arguments)


def check_model(model: Any) -> None:
    """Raise a `UserError` unless the model is one that can compress."""
    if not isinstance(model, (ACN, VAE)):
        raise UserError(
            f"Compressing needs an ACN or a VAE, not a {type(model).__name__}: train one of these."
        )
    if model.decoder.likelihood is None:
        raise UserError(
            f"Compressing needs a decoder with an output family, such as MLPDecoder, ConvDecoder "
            f"or GatedPixelCNN, not {type(model.decoder).__name__}."
        )
    if not model.decoder.likelihood.is_discrete:
        raise UserError(
            f"Compressing needs pixels of so many levels, not {model.decoder.likelihood!r}, whose "
            "values are real numbers: train with the likelihood bernoulli, "
            "discretized_logistic_mixture or categorical."
        )
    posterior = model.encoder(tf.zeros([1, *model.image_shape]))
    if diagonal_normal(posterior) is None:
        raise UserError(
            "Compressing needs a posterior whose latents are independent Gaussians, "
            f"tfd.Independent(tfd.Normal(...), 1), not {type(posterior).__name__}."
        )
    if not model.prior.is_joint:
        _check_prior(model)


def _check_prior(model: Any) -> None:
    """Raise a `UserError` if a prior is no mixture of Gaussians for each latent dimension."""
    try:
        mixture_parameters(model.prior(tf.zeros([1, model.latent_dim])))
    except UserError:
        raise UserError(
            f"Compressing needs a prior of Gaussians or mixtures of them, such as StandardNormal, "
            f"MixturePrior, LearnedMixture or VampPrior, not {type(model.prior).__name__}."
        ) from None


def check_codes(model: Any, mode: str, codes: str) -> None:
    """Raise a `UserError` unless priors can be made of these codes, in this mode.

    Args:
      model: An `ACN` or a `VAE`.
      mode: `"stream"`, `"set"` or `"tour"`.
      codes: `"training"`, `"seen"` or `"both"`.
    """
    if codes not in CODES:
        raise unknown_name("codes", codes, CODES)
    if codes != "training" and not is_associative(model):
        raise UserError(
            "The prior of this model does not depend on other images, so it cannot learn from "
            "them: leave codes as they are, or train an ACN."
        )
    if codes != "training" and not LEARNS[mode]:
        raise UserError(
            f'The mode "{mode}" conditions each image on the one before it and learns no more: '
            f'take the mode "set" with codes="{codes}" (--mode set --codes {codes}).'
        )
    if codes != "seen" and is_associative(model) and not model.codebook.built:
        raise UserError(
            "The codebook is empty, but the prior is to be made of its codes: call fit first, load "
            'a trained model, or take codes="seen" (--codes seen), which needs none.'
        )


def is_associative(model: Any) -> bool:
    """Return whether the prior for an image is conditioned on another image's code."""
    return model.codebook is not None and bool(model.prior.is_conditional)


def without_codes(model: Any) -> Any:
    """Return a copy of an `ACN` that has forgotten the codes of its training data.

    It compresses with `codes="seen"`, and reads what the model itself wrote so. Saved, it is
    smaller by the codebook: 3.2 MB of 50,000 codes of 16 numbers.

    Args:
      model: A trained `ACN`.

    Raises:
      UserError: If the model has no codes to forget.

    Example:
      >>> import keras_acn
      >>> model = keras_acn.load_pretrained("acn-digits")
      >>> images = np.tile(np.eye(8, dtype=np.uint8), (9, 1, 1))
      >>> data = keras_acn.compress(images, model, codes="seen")
      >>> np.array_equal(keras_acn.decompress(data, without_codes(model)), images)
      True
    """
    if not is_associative(model):
        raise UserError(f"A {type(model).__name__} keeps no codes of its training data: leave it.")
    codebook = type(model.codebook).from_config({**model.codebook.get_config(), "size": None})
    copy = type(model).from_config({**model.get_config(), "codebook": codebook})
    for name, part in copy.parts().items():
        part.set_weights(getattr(model, name).get_weights())
    return copy


def most_lanes(model: Any, bias_floats: int) -> int | None:
    """Return how many lanes fit where so many floats of gate biases do; `None` for no limit.

    An autoregressive decoder keeps the biases of all its gates for every lane.
    """
    if not model.decoder.is_autoregressive:
        return None
    height, width = model.decoder.grid_shape[:2]
    return max(1, bias_floats // (height * width * sum(model.decoder.biases.widths)))


def check_lanes(model: Any, lanes: int, candidates: int) -> None:
    """Raise a `UserError` where so many lanes would take more memory than there is.

    Args:
      model: An `ACN` or a `VAE`.
      lanes: Images side by side.
      candidates: Codes, or components of a mixture over whole latents, that are considered for an
        image.
    """
    most = most_lanes(model, MOST_BIAS_FLOATS)
    if most is not None and lanes > most:
        raise UserError(f"{lanes} lanes of this model take too much memory: at most {most} fit.")
    if lanes * candidates > MOST_CANDIDATES and lanes > 1:
        what, fix = (
            ("components", "the lanes")
            if model.prior.is_joint
            else ("codes", "the lanes or nearest")
        )
        raise UserError(
            f"{lanes} lanes with {candidates} {what} considered for each image take too much "
            f"memory: lower {fix}."
        )
