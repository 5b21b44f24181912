"""Output families as sequences of yes-or-no decisions.

A pixel's level is coded as binary decisions: one for a binary pixel, and eight for one of 256
levels, from "upper or lower half" down to the last bit. Each decision takes two values of
the cumulative distribution, not 256 probabilities.

`read` walks through the decisions of a pixel and asks `decide(channel, bit, probability)` for
each. A sender answers from the pixel that it knows and writes down the probabilities
(`decisions`); a receiver answers from the stack. Both run the same code.

A network's parameters are rounded first, so that sender and receiver have the same whatever
the order in which they computed them. Everything after that is done element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from keras_acn._base.errors import UserError
from keras_acn.decoders.families.logistic import MIN_LOG_SCALE

# Of the probability of a decision; the smallest one costs 16 bits.
PROBABILITY_ROUNDING = 2.0**16
# A uniform distribution's share, so that no level is out of reach.
UNIFORM_SHARE = 2.0**-20

# `decide(channel, bit, probability [...])` returns the zeros and ones of one decision; the
# channel is `None` where the decision is about all of them, `[..., channels]`.
Decide = Callable[[int | None, int, np.ndarray], np.ndarray]


def pixel_model(likelihood: Any) -> PixelModel:
    """Return the pixel model of an output family.

    Raises:
      UserError: If the family is none that can be coded.

    Example:
      >>> from keras_acn.decoders.families import get_likelihood
      >>> pixels = pixel_model(get_likelihood("bernoulli"))
      >>> pixels.decisions(pixels.rounded(np.array([[2.0], [-2.0]])), np.array([[1], [1]]))
      [(array([[1],
             [1]]), array([[0.88079708],
             [0.11920292]]))]
    """
    for each in (BinaryPixels, CategoricalPixels, LogisticPixels):
        if likelihood is not None and likelihood.name == each.name:
            return each(likelihood)
    raise UserError(
        f"Compressing needs a decoder of an output family of this package, not {likelihood!r}."
    )


class PixelModel:
    """Base of the output families as decisions.

    Attributes:
      name: The family's name.
      bits: Decisions of a channel.
      rounding: Parameters are rounded to multiples of one over this.

    Args:
      likelihood: The family, a `Likelihood`.

    Example:
      See `pixel_model`.
    """

    name = ""
    bits = 1
    rounding = 2.0**8

    def __init__(self, likelihood: Any):
        pass

    def rounded(self, params: np.ndarray) -> np.ndarray:
        """Return the parameters rounded."""
        return np.rint(params * self.rounding) / self.rounding

    def read(self, params: np.ndarray, channels: int, decide: Decide) -> np.ndarray:
        """Return levels, int32 `[..., channels]`, put together from decisions.

        Args:
          params: Rounded parameters `[..., P]`.
          channels: Channels of a pixel.
          decide: Asked for every decision, in their order.
        """
        raise NotImplementedError

    def decisions(
        self, params: np.ndarray, levels: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the decisions that `read` comes to for known levels, int `[..., channels]`.

        Returns:
          `[(zeros and ones, probabilities of a one), ...]` in the order in which they are read.
        """
        made = []

        def decide(channel, bit, probability):
            level = levels if channel is None else levels[..., channel]
            bits = (level >> (self.bits - 1 - bit)) & 1
            made.append((bits, probability))
            return bits

        self.read(params, levels.shape[-1], decide)
        return made

    def selected(self, values: np.ndarray) -> list[np.ndarray]:
        """Return of an array `[..., channels]` what each decision is about, in their order."""
        raise NotImplementedError


class BinaryPixels(PixelModel):
    """Bernoulli channels: one decision about all channels of a pixel."""

    name = "bernoulli"
    max_logit = 16.0

    def __init__(self, likelihood):
        logit = np.arange(2 * self.max_logit * self.rounding + 1) / self.rounding - self.max_logit
        self._probability = expit(logit)

    def rounded(self, params):
        return np.clip(super().rounded(params), -self.max_logit, self.max_logit)

    def read(self, params, channels, decide):
        index = ((params + self.max_logit) * self.rounding).astype(np.int64)
        return decide(None, 0, self._probability[index])

    def selected(self, values):
        return [values]


class LevelPixels(PixelModel):
    """Channels of 256 levels, by halving: eight decisions a channel, one channel at a time."""

    bits = 8

    def read(self, params, channels, decide):
        levels = np.zeros((*params.shape[:-1], channels), np.int32)
        pixel = self._begin(params, channels)
        for c in range(channels):
            low, high = np.zeros(levels.shape[:-1], np.int32), np.full(levels.shape[:-1], 256)
            below, above = np.zeros(low.shape), np.ones(low.shape)
            for bit in range(self.bits):
                middle = (low + high) // 2
                at = self._cumulative(pixel, c, middle)
                half = UNIFORM_SHARE * 2.0 ** -(bit + 1)
                up = np.maximum(above - at, 0.0) + half
                down = np.maximum(at - below, 0.0) + half
                probability = np.rint(up / (up + down) * PROBABILITY_ROUNDING)
                probability = np.clip(probability, 1, PROBABILITY_ROUNDING - 1)
                upper = decide(c, bit, probability / PROBABILITY_ROUNDING) == 1
                low, high = np.where(upper, middle, low), np.where(upper, high, middle)
                below, above = np.where(upper, at, below), np.where(upper, above, at)
            levels[..., c] = low
            self._finish(pixel, c, low)
        return levels

    def selected(self, values):
        return [values[..., c] for c in range(values.shape[-1]) for _ in range(self.bits)]


class CategoricalPixels(LevelPixels):
    """A softmax over the levels."""

    name = "categorical"

    def _begin(self, params, channels):
        logits = params.reshape(*params.shape[:-1], channels, 256)
        mass = np.exp(logits - logits.max(axis=-1, keepdims=True))
        total = np.cumsum(mass, axis=-1)
        return total / total[..., -1:]

    def _cumulative(self, pixel, c, edge):
        """Return the probability of the levels below `edge`, which is at least 1."""
        return np.take_along_axis(pixel[..., c, :], edge[..., None] - 1, axis=-1)[..., 0]

    def _finish(self, pixel, c, level):
        pass


class LogisticPixels(LevelPixels):
    """A mixture of discretized logistics; see `DiscretizedLogisticMixture`."""

    name = "discretized_logistic_mixture"
    # A mean of a narrow logistic must be exact to a fraction of its scale, 2**-10.
    rounding = 2.0**14

    def __init__(self, likelihood):
        self.components = likelihood.components

    def _begin(self, params, channels):
        sizes = [1] + [1] * (2 * channels) + list(range(channels))
        cuts = np.cumsum([self.components * n for n in sizes])[:-1]
        logits, *parts = np.split(params, cuts, axis=-1)
        weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return {
            "weight": weight / weight.sum(axis=-1, keepdims=True),
            "mean": [mean.copy() for mean in parts[:channels]],
            "inverse": [
                np.exp(-np.maximum(log_scale, MIN_LOG_SCALE))
                for log_scale in parts[channels : 2 * channels]
            ],
            "coefficients": [np.tanh(part) for part in parts[2 * channels :]],
        }

    def _cumulative(self, pixel, c, edge):
        each = self._components_below(pixel, c, edge)
        return np.sum(pixel["weight"] * each, axis=-1)

    def _components_below(self, pixel, c, edge):
        """Return the mass of the levels below `edge`, of each component: `[..., M]`."""
        boundary = (edge[..., None] - 0.5) / 127.5 - 1.0
        each = expit((boundary - pixel["mean"][c]) * pixel["inverse"][c])
        return np.where(edge[..., None] >= 256, 1.0, np.where(edge[..., None] <= 0, 0.0, each))

    def _finish(self, pixel, c, level):
        """Update the pixel's mixture once the level of channel `c` is known.

        Components under which the level was likely gain weight, and the means of the later
        channels move with it.
        """
        if c + 1 == len(pixel["mean"]):
            return
        mass = self._components_below(pixel, c, level + 1)
        mass = np.maximum(mass - self._components_below(pixel, c, level), 0.0)
        weight = pixel["weight"] * (mass + UNIFORM_SHARE / 256)
        pixel["weight"] = weight / weight.sum(axis=-1, keepdims=True)
        y = level[..., None] / 127.5 - 1.0
        for later in range(c + 1, len(pixel["mean"])):
            m = self.components
            coefficient = pixel["coefficients"][later][..., c * m : (c + 1) * m]
            pixel["mean"][later] += coefficient * y
