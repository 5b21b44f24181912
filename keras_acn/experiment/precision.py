"""`training.precision=auto`: the precision that is faster on this machine's processor."""

from __future__ import annotations

import time

import tensorflow as tf

from keras_acn.experiment.schema import Config

# Half precision has to win clearly, as float32 is the more exact one.
_WORTH_IT = 1.2


def chosen(config: Config, *, alone: bool = True) -> tuple[Config, str | None]:
    """Return a config whose precision is not `"auto"`, and a sentence about the choice.

    Processors with units for bfloat16 convolve in it two to four times as fast as in float32;
    the others convert every number and are as much slower. So one convolution and its gradient
    are timed in both, which takes less than a second.

    Args:
      config: The `Config`.
      alone: Whether one process trains alone. Workers that share a batch must agree, whatever
        their processors are, and take float32.

    Returns:
      The config, and the sentence or, where the precision was given, `None`.

    Example:
      >>> from keras_acn.experiment import load_config
      >>> config, sentence = chosen(load_config("digits"))
      >>> config.training.precision, sentence
      ('float32', None)
    """
    if config.training.precision != "auto":
        return config, None
    precision, reason = _choice(config, alone)
    training = config.training.model_copy(update={"precision": precision})
    sentence = f"training.precision=auto is {precision} here: {reason}."
    return config.model_copy(update={"training": training}), sentence


def _choice(config: Config, alone: bool) -> tuple[str, str]:
    if not alone:
        return "float32", "the workers of a team have to agree"
    names = [part.name for part in (config.encoder, config.decoder) if part is not None]
    if all("mlp" in (name or "").lower() for name in names):
        return "float32", "without convolutions there is little to gain by bfloat16"
    faster = seconds(tf.float32) / seconds(tf.bfloat16)
    told = f"a convolution takes {faster:.2g} times as long in float32 as in bfloat16"
    return ("mixed_bfloat16" if faster >= _WORTH_IT else "float32"), told


def seconds(dtype: tf.DType, repeats: int = 5) -> float:
    """Return the time that a convolution and its gradient take in a type, the shortest of several.

    Args:
      dtype: A floating-point type.
      repeats: How often it is measured, after once that is not counted.
    """
    images = tf.ones([32, 14, 14, 64], dtype)
    kernel = tf.ones([3, 3, 64, 64], dtype)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            y = tf.nn.conv2d(images, kernel, 1, "SAME")
        return tape.gradient(y, [images, kernel])

    def once():
        begin = time.perf_counter()
        for gradient in step():
            gradient.numpy()
        return time.perf_counter() - begin

    once()
    return min(once() for _ in range(repeats))
