"""The gated PixelCNN decoder: z -> r(x|z), one pixel after the other."""

import keras
from keras import ops

from keras_acn._base.errors import UserError
from keras_acn.decoders.families import get_likelihood
from keras_acn.decoders.pixelcnn.biases import GateBiases
from keras_acn.decoders.pixelcnn.distribution import AutoregressiveImage
from keras_acn.decoders.pixelcnn.head import PixelHead
from keras_acn.decoders.pixelcnn.incremental import IncrementalDecoder
from keras_acn.decoders.pixelcnn.layers import GatedLayer

RESIDUALS = ("bottleneck", "horizontal")


@keras.saving.register_keras_serializable("keras_acn")
class GatedPixelCNN(keras.Model):
    """z -> r(x|z) = prod_i r(x_i | x_<i, z), pixels in raster order, channels within a pixel.

    The gated PixelCNN of van den Oord et al. 2016 (arXiv 1606.05328), with z as a bias in
    every gate, and by default the residual blocks of PixelVAE (arXiv 1611.05013), the
    nearest public recipe to the decoder of Graves et al. 2018 (there 12 layers, 5x5, the
    first one 7x7).

    Example of shapes, 28x28 binary images and 32 filters: image `[B, 28, 28, 1]` -> six
    times vertical and horizontal features `[B, 28, 28, 32]` -> logits `[B, 28, 28, 1]`.

    The decoder's distribution has no mean: `sample` it.

    Args:
      image_shape: (H, W, C).
      latent_dim: Number of latent dimensions d.
      likelihood: Output family, see `get_likelihood`.
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

    Raises:
      UserError: If a kernel size is even, or an option has an unknown value.
    """

    short_name = "pixelcnn"
    is_autoregressive = True

    def __init__(
        self,
        image_shape,
        latent_dim=16,
        likelihood="bernoulli",
        layers=6,
        filters=32,
        kernel_size=5,
        first_kernel_size=7,
        residual="bottleneck",
        bottleneck_filters=None,
        dropout=0.0,
        output_hidden=None,
        conditioning="global",
        map_filters=16,
        **kwargs,
    ):
        # The distribution carries z as it came, not cut to the layers' precision.
        super().__init__(autocast=False, **kwargs)
        for size in (kernel_size, first_kernel_size):
            if size % 2 == 0 or size < 3:
                raise UserError(f"A PixelCNN's kernel sizes are odd and at least 3, not {size}.")
        if residual not in RESIDUALS:
            raise UserError(f"residual must be one of {', '.join(RESIDUALS)}, not {residual!r}.")
        if layers < 1:
            raise UserError(f"A PixelCNN needs at least 1 layer, not {layers}.")
        self.image_shape = tuple(int(n) for n in image_shape)
        self.latent_dim = int(latent_dim)
        self.likelihood = get_likelihood(likelihood)
        self.num_layers = int(layers)
        self.filters = int(filters)
        self.kernel_size = int(kernel_size)
        self.first_kernel_size = int(first_kernel_size)
        self.residual = residual
        self.bottleneck_filters = bottleneck_filters
        self.dropout = float(dropout)
        self.output_hidden = output_hidden
        self.conditioning = conditioning
        self.map_filters = int(map_filters)
        self._build_network()
        self.steps = IncrementalDecoder(self)
        self.built = True

    def _build_network(self):
        policy = {"dtype": self.dtype_policy}
        channels = self.image_shape[2]
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
            layer.build((None, None, None, channels + 1 if i == 0 else self.filters))
            layer.built = True
        widths = [2 * layer.gate_width for layer in self.gated for _ in range(2)]
        # Nobody reads the last layer's vertical stack, so it has no gate.
        del widths[-2]
        self.biases = GateBiases(
            self.image_shape, widths, self.conditioning, self.map_filters, **policy
        )
        self.biases.build((None, self.latent_dim))
        # In float32 at least: a logit rounded to bfloat16 costs likelihood.
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        self.head = PixelHead(
            self.likelihood, channels, self.output_hidden or self.filters, dtype=wide
        )
        self.head.build((None, None, None, self.filters))

    def build(self, input_shape=None):
        """Does nothing: the constructor builds all weights."""
        self.built = True

    def gate_biases(self, z):
        """Returns the biases from z, a vertical and a horizontal one for each layer.

        The last vertical one is that of no gate: the horizontal one stands in its place.
        """
        biases = list(self.biases(z))
        return [*biases[:-1], biases[-1], biases[-1]]

    def features(self, image, z, training=False):
        """Returns [B, H, W, F]: at a pixel, a function of z and the pixels before it.

        Args:
          image: float [B, H, W, C] in [0, 1].
          z: float [B, d].
          training: Whether dropout is on.
        """
        biases = self.gate_biases(z)
        x = ops.cast(image, self.compute_dtype)
        v = h = ops.concatenate([2.0 * x - 1.0, ops.ones_like(x[..., :1])], axis=-1)
        for i, layer in enumerate(self.gated):
            v, h = layer(v, h, biases[2 * i], biases[2 * i + 1], training=training)
        return h

    def parameters(self, image, z, training=False):
        """Returns the output family's parameters, float32 [B, H, W, P], in one parallel pass.

        Args:
          image: float [B, H, W, C] in [0, 1], the teacher: the parameters of a channel depend
            on the channels and pixels before it only.
          z: float [B, d].
          training: Whether dropout is on.
        """
        return self.head(self.features(image, z, training), image)

    def call(self, z, training=False):
        """Returns r(x|z): an `AutoregressiveImage` with batch [...] and event [H, W, C].

        Args:
          z: float [..., d].
          training: Whether `log_prob` runs with dropout.
        """
        return AutoregressiveImage(self, z, training=bool(training))

    def get_config(self):
        """Returns the initialiser's arguments."""
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
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
        }
