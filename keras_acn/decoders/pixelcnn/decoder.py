"""The gated PixelCNN decoder: z -> r(x|z), one pixel or block of pixels after the other."""

from __future__ import annotations

import keras
from keras import ops

from keras_acn._base.checks import MOST_LAYERS, check_count, check_number, check_optional
from keras_acn._base.errors import UserError
from keras_acn._base.precision import wide_dtype
from keras_acn.decoders.base import Decoder
from keras_acn.decoders.families import get_likelihood
from keras_acn.decoders.pixelcnn.biases import GateBiases
from keras_acn.decoders.pixelcnn.blocks import doublings, from_blocks, to_blocks
from keras_acn.decoders.pixelcnn.distribution import AutoregressiveImage
from keras_acn.decoders.pixelcnn.head import make_head
from keras_acn.decoders.pixelcnn.incremental import IncrementalDecoder
from keras_acn.decoders.pixelcnn.layers import GatedLayer
from keras_acn.decoders.pixelcnn.prediction import LinearPrediction, check_prediction

RESIDUALS = ("bottleneck", "horizontal")


@keras.saving.register_keras_serializable("keras_acn")
class GatedPixelCNN(Decoder):
    """z -> r(x|z) = prod_i r(x_i | x_<i, z), pixels in raster order, channels within a pixel.

    The gated PixelCNN of van den Oord et al. 2016 (arXiv 1606.05328), with z as a bias in
    every gate, and by default the residual blocks of PixelVAE (arXiv 1611.05013), the
    nearest public recipe to the decoder of Graves et al. 2018 (there 12 layers, 5x5, the
    first one 7x7).

    Example of shapes, 28x28 binary images and 32 filters: image `[B, 28, 28, 1]` -> six
    times vertical and horizontal features `[B, 28, 28, 32]` -> logits `[B, 28, 28, 1]`.

    With `block=2` the network goes by blocks of 2 x 2 pixels: a position of the grid is a
    block, a layer sees twice as far, and a quarter of the positions are left to compute, to
    sample and to decode. The likelihood is exact as before: r(x|z) is the product of the
    blocks' probabilities given z and the earlier blocks, and a block's is that of its pixels
    one after the other. Up to 8 binary values of a block share one softmax over all their
    combinations (`JointHead`); other blocks go by a small autoregression inside the block
    (`PixelHead`). 28x28 binary images then have features `[B, 14, 14, 32]` and a softmax of 16.

    The decoder's distribution has no mean: `sample` it.

    Args:
      image_shape: (H, W, C).
      latent_dim: Number of latent dimensions d.
      likelihood: Output family, see `get_likelihood`: by default that of the channels.
      layers: Number of gated layers.
      filters: Features F of each stack.
      kernel_size: Width of the kernels, odd.
      first_kernel_size: Width of the first layer's kernel, odd.
      residual: `"bottleneck"` or `"horizontal"`, see `GatedLayer`.
      bottleneck_filters: Features inside a bottleneck; half of F if `None`.
      dropout: Rate of dropout on the gates' outputs while training.
      output_hidden: Width of the hidden layer before the parameters; F if `None`.
      conditioning: `"global"`: z adds the same bias at every pixel. `"spatial"`: z is drawn as
        a map first, and each pixel's gates get their bias from the map there.
      map_filters: Features of that map.
      block: Side of the blocks of pixels that the network goes by, a divisor of H and W.
      prediction: `"linear"`: a pixel's distribution is centred on a linear function of the pixels
        next to it, and the network says what is off, and how much (`LinearPrediction`). For
        colours and grey values: after a few hundred steps it is far ahead. `"none"`: the network
        says all.

    Attributes:
      grid_shape: (H / block, W / block, block * block * C): the image as the network sees it.

    Raises:
      UserError: If a kernel size is even, `block` does not divide the image's height and
        width, or an option has an unknown value.

    Example:
      >>> decoder = GatedPixelCNN((28, 28, 1), latent_dim=16, layers=4, block=2)
      >>> decoder.grid_shape
      (14, 14, 4)
    """

    short_name = "pixelcnn"
    is_autoregressive = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int = 16,
        likelihood=None,
        layers: int = 6,
        filters: int = 32,
        kernel_size: int = 5,
        first_kernel_size: int = 7,
        residual: str = "bottleneck",
        bottleneck_filters: int | None = None,
        dropout: float = 0.0,
        output_hidden: int | None = None,
        conditioning: str = "global",
        map_filters: int = 16,
        block: int = 1,
        prediction: str = "none",
        **kwargs,
    ):
        # The distribution carries z as it came, not cut to the layers' precision.
        super().__init__(image_shape, latent_dim, autocast=False, **kwargs)
        self.kernel_size = check_count(kernel_size, "kernel_size", 1)
        self.first_kernel_size = check_count(first_kernel_size, "first_kernel_size", 1)
        for size in (self.kernel_size, self.first_kernel_size):
            if size % 2 == 0 or size < 3:
                raise UserError(f"A PixelCNN's kernel sizes are odd and at least 3, not {size}.")
        if residual not in RESIDUALS:
            raise UserError(f"residual must be one of {', '.join(RESIDUALS)}, not {residual!r}.")
        self.block = check_block(block, self.image_shape)
        height, width, channels = self.image_shape
        pixels = self.block * self.block
        self.grid_shape = (height // self.block, width // self.block, pixels * channels)
        self.likelihood = get_likelihood(likelihood, channels)
        if not self.likelihood.is_discrete:
            raise UserError(
                f"A PixelCNN draws each value from a table of probabilities, which "
                f"{type(self.likelihood).__name__} pixels have not: take the decoder mlp or conv, "
                "or another likelihood."
            )
        self.prediction = check_prediction(prediction, self.likelihood)
        self.num_layers = check_count(layers, "layers", 1, MOST_LAYERS)
        self.filters = check_count(filters, "filters", 1)
        self.residual = residual
        self.bottleneck_filters = check_optional(bottleneck_filters, "bottleneck_filters")
        self.dropout = check_number(
            dropout, "dropout", "a share in [0, 1)", lambda share: 0 <= share < 1
        )
        self.output_hidden = check_optional(output_hidden, "output_hidden")
        self.conditioning = conditioning
        self.map_filters = check_count(map_filters, "map_filters", 1)
        self._build_network()
        self.steps = IncrementalDecoder(self)
        self.built = True

    def _build_network(self):
        policy = {"dtype": self.dtype_policy}
        inner = self.bottleneck_filters or max(1, self.filters // 2)
        self.gated = [
            GatedLayer(
                self.filters,
                self.first_kernel_size if i == 0 else self.kernel_size,
                first=i == 0,
                residual=self.residual,
                inner=inner,
                dropout=self.dropout,
                last=i == self.num_layers - 1,
                **policy,
            )
            for i in range(self.num_layers)
        ]
        for i, layer in enumerate(self.gated):
            # The first layer also sees a channel of ones, so that it knows the edge.
            layer.build((None, None, None, self.grid_shape[2] + 1 if i == 0 else self.filters))
            layer.built = True
        widths = [2 * layer.gate_width for layer in self.gated for _ in range(2)]
        # Nobody reads the last layer's vertical stack, so it has no gate.
        del widths[-2]
        self.biases = GateBiases(
            self.grid_shape,
            widths,
            self.conditioning,
            self.map_filters,
            doublings(self.block),
            **policy,
        )
        self.biases.build((None, self.latent_dim))
        # In float32 at least: a logit rounded to bfloat16 costs likelihood.
        self.head = make_head(
            self.likelihood,
            channels=self.image_shape[2],
            pixels=self.block * self.block,
            hidden=self.output_hidden or self.filters,
            dtype=wide_dtype(self.compute_dtype),
            predicted=self.prediction == "linear",
        )
        self.head.build((None, None, None, self.filters))
        self.predictor = None
        if self.prediction == "linear":
            self.predictor = LinearPrediction(
                self.block, self.image_shape[2], dtype=wide_dtype(self.compute_dtype)
            )
            self.predictor.build()

    def build(self, input_shape=None):
        """Does nothing: the constructor builds all weights."""
        self.built = True

    def gate_biases(self, z):
        """Return the biases from z, a vertical and a horizontal one for each layer.

        The last vertical one is that of no gate: the horizontal one stands in its place.
        """
        biases = list(self.biases(z))
        return [*biases[:-1], biases[-1], biases[-1]]

    def features(self, image, z, training=False):
        """Return [B, *grid, F]: at a position, a function of z and the positions before it.

        Args:
          image: float [B, H, W, C] in [0, 1].
          z: float [B, d].
          training: Whether dropout is on.
        """
        return self._features(to_blocks(image, self.block), z, training)

    def _features(self, grid, z, training):
        biases = self.gate_biases(z)
        x = ops.cast(grid, self.compute_dtype)
        v = h = ops.concatenate([2.0 * x - 1.0, ops.ones_like(x[..., :1])], axis=-1)
        for i, layer in enumerate(self.gated):
            v, h = layer(v, h, biases[2 * i], biases[2 * i + 1], training=training)
        return h

    def parameters(self, image, z, training=False, context=None):
        """Return the output family's parameters, float32 [B, H, W, P], in one parallel pass.

        Args:
          image: float [B, H, W, C] in [0, 1], the teacher: the parameters of a channel depend
            on the channels and pixels before it only.
          z: float [B, d].
          training: Whether dropout is on.
          context: float [B, H, W, C], what is seen of the positions before one in the image's
            stead, such as an image of which parts are hidden. Within a position, which has
            several pixels or channels, the image is seen.
        """
        grid = to_blocks(image, self.block)
        seen = grid if context is None else to_blocks(context, self.block)
        begun = self._features(seen, z, training)
        if self.predictor is not None:
            begun = self.head.begin(begun, self.predictor(grid))
        parameters = self.head(begun, grid)
        return from_blocks(parameters, self.block)

    def call(self, z, training=False):
        """Return r(x|z): an `AutoregressiveImage` with batch [...] and event [H, W, C].

        Args:
          z: float [..., d].
          training: Whether `log_prob` runs with dropout.
        """
        return AutoregressiveImage(self, z, training=bool(training))

    def get_config(self):
        """Return the initialiser's arguments."""
        return {
            **super().get_config(),
            "likelihood": {"name": self.likelihood.name, **self.likelihood.get_config()},
            "layers": self.num_layers,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "first_kernel_size": self.first_kernel_size,
            "residual": self.residual,
            "bottleneck_filters": self.bottleneck_filters,
            "dropout": self.dropout,
            "output_hidden": self.output_hidden,
            "conditioning": self.conditioning,
            "map_filters": self.map_filters,
            "block": self.block,
            "prediction": self.prediction,
        }


def check_block(block, image_shape):
    """Return the side of a block, or raises a `UserError` where it does not fit the image."""
    height, width = image_shape[:2]
    block = check_count(block, "block", 1)
    if height % block or width % block:
        fitting = [n for n in range(1, min(height, width) + 1) if not (height % n or width % n)]
        raise UserError(
            f"block={block} does not divide images of {height} x {width} pixels: choose one of "
            f"{', '.join(map(str, fitting))}."
        )
    return block
