"""From features of the earlier positions to the parameters of the next one.

A position holds the values of one pixel, or of a block of pixels: pixel after pixel in raster
order, channel after channel. A head decides on them in `turns`, `group` values at a time, and
the parameters of a turn depend on the position's values before it.
"""

import keras
from keras import ops

from keras_acn._base.precision import widened
from keras_acn.decoders.families import Bernoulli
from keras_acn.decoders.pixelcnn.layers import Dense
from keras_acn.decoders.pixelcnn.prediction import inner_kernel

# A softmax over all values of a block has two to the power of this many entries at most.
MOST_JOINT_VALUES = 8
# What the weights of the last layer begin with around a prediction, as a share of the usual.
FIRST_SHARE = 0.01


def make_head(likelihood, channels, pixels, hidden, dtype, predicted=False):
    """Return the head for positions of so many pixels.

    Args:
      likelihood: The `Likelihood`.
      channels: C, channels of a pixel.
      pixels: Pixels of a position.
      hidden: Width of the hidden layers.
      dtype: Precision of the head's weights and outputs.
      predicted: Whether a position's values are predicted, see `PixelHead`.
    """
    values = channels * pixels
    if pixels > 1 and isinstance(likelihood, Bernoulli) and values <= MOST_JOINT_VALUES:
        return JointHead(values, hidden, dtype=dtype)
    return PixelHead(likelihood, channels, hidden, pixels=pixels, predicted=predicted, dtype=dtype)


class PixelHead(keras.layers.Layer):
    """Features [..., F] and a position's own earlier values -> parameters [..., P].

    The features know nothing of the position itself. Where the output family links the
    channels (or there is only one), two 1x1 layers map them to all parameters of a pixel.
    Elsewhere each channel has its own such pair. A small network adds what the values
    before it say to a turn's hidden units: red sees neither, green sees red, blue sees red
    and green; in a block, the second pixel sees the first, and so on.

    Args:
      likelihood: The `Likelihood`.
      channels: C.
      hidden: Width of the hidden layers.
      pixels: Pixels of a position, a square block of them.
      predicted: Whether what turns read ends with a prediction of the position's values, by
        `LinearPrediction`. A pixel's distribution is moved there, and by a linear function of the
        block's pixels before it.

    Attributes:
      group: Values that one turn decides on.
      turns: Number of turns.

    Example:
      >>> head = PixelHead(Bernoulli(), channels=3, hidden=8)
      >>> head.group, head.turns  # red, then green given red, then blue given both
      (1, 3)
      >>> print(head(ops.zeros((2, 5, 5, 4)), ops.zeros((2, 5, 5, 3))).shape)
      (2, 5, 5, 3)
    """

    def __init__(self, likelihood, channels, hidden, pixels=1, predicted=False, **kwargs):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        apart = channels > 1 and not likelihood.links_channels
        # At a single pixel nothing has to link independent channels but the turns.
        self.group = 1 if apart else channels
        self.turns = pixels * channels // self.group
        self.hidden_width = hidden

        def dense(width, **options):
            return [Dense(width, **options, **policy) for _ in range(self.turns)]

        self.hidden = dense(hidden)
        self.output_layers = dense(likelihood.parameters_per_pixel(self.group))
        self.likelihood = likelihood
        self.predicted = pixels * channels if predicted else 0
        self.links = dense(channels, use_bias=False)[1:] if predicted else []
        self.embed = dense(hidden)[1:]
        self.embed_out = dense(hidden, use_bias=False)[1:]

    def build(self, input_shape):
        """Build the weights for features [..., F]."""
        for layer in self.hidden:
            layer.build((None, input_shape[-1]))
        for layer in (*self.output_layers, *self.embed_out):
            layer.build((None, self.hidden_width))
        for turn, layer in enumerate(self.embed, start=1):
            layer.build((None, turn * self.group))
        if self.predicted:
            block = round(self.turns**0.5)
            for turn, layer in enumerate(self.links, start=1):
                layer.build((None, turn * self.group))
                layer.kernel.assign(inner_kernel(block, self.group, turn))
            for layer in self.output_layers:
                # What an untrained network says would only blur the prediction.
                layer.kernel.assign(FIRST_SHARE * layer.kernel)
                layer.bias.assign(self.likelihood.first_bias(self.group))

    def begin(self, features, predicted=None):
        """Return what every turn reads: the features, and after them what is predicted."""
        if predicted is None:
            return features
        return ops.concatenate([ops.cast(features, predicted.dtype), predicted], axis=-1)

    def parameters(self, begun, previous, turn):
        """Return the parameters of a turn's values.

        Args:
          begun: From `begin`.
          previous: [..., >= turn * group] in [0, 1], the position's first values.
          turn: Number of the turn, from 0.
        """
        n = self.predicted
        x = self.hidden[turn](rectify(begun[..., :-n] if n else begun))
        known = None
        if turn:
            # Cast first: 2 x - 1 in float32 is off by a bit from what it is in float64.
            known = ops.cast(previous[..., : turn * self.group], self.compute_dtype)
            seen = self.embed[turn - 1](2.0 * known - 1.0)
            x = x + self.embed_out[turn - 1](rectify(seen))
        parameters = widened(self.output_layers[turn](rectify(x)))
        if not n:
            return parameters
        start = begun.shape[-1] - n + turn * self.group
        centre = begun[..., start : start + self.group]
        if turn:
            centre = centre + self.links[turn - 1](2.0 * known - 1.0)
        return self.likelihood.around(parameters, widened(centre), self.group)

    def call(self, features, values):
        """Return the parameters of all turns, one after the other, in float32.

        Args:
          features: [..., F], from `begin` where values are predicted.
          values: The position's values [..., n] in [0, 1]. Only earlier ones reach a turn.
        """
        turns = [self.parameters(features, values, turn) for turn in range(self.turns)]
        return turns[0] if self.turns == 1 else ops.concatenate(turns, axis=-1)


class JointHead(keras.layers.Layer):
    """Features [..., F] -> a softmax over all 2^n values of a block of n binary pixels.

    Told as the logits of the pixels one after the other, each given the ones before it,

        logit_i = log sum_{v: v_<i = x_<i, v_i = 1} p(v) - log sum_{v: v_<i = x_<i, v_i = 0} p(v)

    so that the block's log-probability, log p(x), is that of n Bernoulli pixels. The first
    pixel is the highest bit of a value.

    Args:
      values: n.
      hidden: Width of the hidden layer.

    Attributes:
      group: Values that one turn decides on: 1.
      turns: Number of turns: n.

    Example:
      >>> head = JointHead(4, hidden=8)
      >>> print(head(ops.zeros((2, 5, 5, 4)), ops.zeros((2, 5, 5, 4))).shape)
      (2, 5, 5, 4)
    """

    group = 1

    def __init__(self, values, hidden, **kwargs):
        super().__init__(**kwargs)
        self.turns = values
        self.hidden_width = hidden
        self.hidden = Dense(hidden, dtype=self.dtype_policy)
        self.output_layer = Dense(2**values, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Build the weights for features [..., F]."""
        self.hidden.build((None, input_shape[-1]))
        self.output_layer.build((None, self.hidden_width))

    def begin(self, features, predicted=None):
        """Return the softmax's logits, [..., 2^n]."""
        return widened(self.output_layer(rectify(self.hidden(rectify(features)))))

    def parameters(self, begun, previous, turn):
        """Return the logit [..., 1] of a turn's pixel: see `PixelHead.parameters`."""
        for known in range(turn):
            begun = self._narrow(begun, previous[..., known : known + 1])
        return self._logit(begun)

    def call(self, features, values):
        """Return the logits of all pixels, [..., n]: see `PixelHead.call`."""
        remaining, logits = self.begin(features), []
        for turn in range(self.turns):
            logits.append(self._logit(remaining))
            if turn + 1 < self.turns:
                remaining = self._narrow(remaining, values[..., turn : turn + 1])
        return ops.concatenate(logits, axis=-1)

    def _narrow(self, logits, value):
        """Return the half of the logits [..., m] that a pixel's value [..., 1] leaves."""
        middle = logits.shape[-1] // 2
        return ops.where(value > 0.5, logits[..., middle:], logits[..., :middle])

    def _logit(self, logits):
        """Return the log-odds [..., 1] of the upper half of the logits [..., m]."""
        middle = logits.shape[-1] // 2
        upper, lower = logits[..., middle:], logits[..., :middle]
        return logsumexp(upper) - logsumexp(lower)


def logsumexp(x):
    """Return the log of the sum of the exponentials over the last axis, [..., 1]."""
    if x.shape[-1] == 1:
        return x
    return ops.logsumexp(x, axis=-1, keepdims=True)


def rectify(x):
    """Return `max(x, 0)`, as an operation that TensorFlow doesn't fuse.

    Its fused matmul-and-relu fails to place inside the sampler's nested loops.
    """
    return ops.maximum(x, 0.0)
