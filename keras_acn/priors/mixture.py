"""The associative prior: a mixture per latent dimension, conditioned on a code."""

from __future__ import annotations

import keras
import tensorflow_probability as tfp
from keras import ops

from keras_acn._base.checks import check_count, check_flag, check_widths
from keras_acn._base.keras_names import check_activation
from keras_acn._base.precision import widened
from keras_acn.priors.base import Prior

tfd = tfp.distributions

# exp() of these stays far from overflow, and no component can collapse onto one code.
MIN_LOG_STDDEV, MAX_LOG_STDDEV = -6.0, 6.0


@keras.saving.register_keras_serializable("keras_acn")
class MixturePrior(Prior):
    """c -> p(z|c) = prod_d sum_m pi_m^d N(z^d | mu_m^d, sigma_m^d).

    One mixture of M Gaussians per latent dimension, its parameters emitted by an MLP
    that reads the code c of a similar datum: equation 3 and section 3 of Graves et al.
    2018 (arXiv 1804.02476). There the MLP has three hidden layers of 512 tanh units,
    with skip connections from the input to every hidden layer and from every hidden
    layer to the output. `components=1, hidden=(512,), activation="relu",
    skip_connections=False` is the single Gaussian of the blog's ACN.

    Example of shapes, d=16 and M=8: `[B, 16]` -> three times `[B, 512]` -> `[B, 384]`
    -> weights, means and standard deviations, each `[B, 16, 8]`.

    Args:
      latent_dim: Number of latent dimensions d.
      components: Components M of each mixture. With one, p(z|c) is a Gaussian and the
        KL divergence from a Gaussian posterior has a closed form.
      hidden: Widths of the hidden layers.
      activation: Their activation.
      skip_connections: Whether the input feeds every hidden layer and every hidden
        layer feeds the output.
      code_dim: Dimension of the code c; `None` for that of z.

    Raises:
      UserError: If a size is no positive whole number.

    Example:
      >>> prior = MixturePrior(latent_dim=4, components=8, hidden=[32, 32])
      >>> p = prior(ops.zeros((3, 4)))
      >>> print(p.batch_shape, p.event_shape)
      (3,) (4,)
    """

    short_name = "mixture"

    def __init__(
        self,
        latent_dim: int = 16,
        components: int = 8,
        hidden: tuple[int, ...] = (512, 512, 512),
        activation: str = "tanh",
        skip_connections: bool = True,
        code_dim: int | None = None,
        **kwargs,
    ):
        super().__init__(latent_dim, **kwargs)
        self.components = check_count(components, "components", 1)
        self.hidden = check_widths(hidden, "hidden")
        self.activation = check_activation(activation)
        self.skip_connections = check_flag(skip_connections, "skip_connections")
        self.code_dim = None if code_dim is None else check_count(code_dim, "code_dim", 1)

        policy = {"dtype": self.dtype_policy}
        self.hidden_layers = [
            keras.layers.Dense(n, activation=activation, **policy) for n in self.hidden
        ]
        code_width = self.code_dim or self.latent_dim
        width = total = code_width
        for i, layer in enumerate(self.hidden_layers):
            skip = code_width if self.skip_connections and i > 0 else 0
            layer.build((None, width + skip))
            width = layer.units
            total = width if i == 0 else total + width
        per_dim = 2 if self.components == 1 else 3 * self.components
        outputs = self.latent_dim * per_dim
        self.output_layer = keras.layers.Dense(outputs, name="parameters", **policy)
        self.output_layer.build((None, total if self.skip_connections else width))
        self.built = True

    def parameters(self, code):
        """Return `(logits, mean, stddev)`, each float32 `[B, d, M]`, of p(z|code)."""
        x = code
        outputs = []
        for i, layer in enumerate(self.hidden_layers):
            skip = self.skip_connections and i > 0
            x = layer(ops.concatenate([x, ops.cast(code, x.dtype)], axis=-1) if skip else x)
            outputs.append(x)
        if self.skip_connections and outputs:
            x = ops.concatenate(outputs, axis=-1)
        raw = widened(self.output_layer(x))
        if self.components == 1:
            mean, log_stddev = ops.split(ops.reshape(raw, (-1, self.latent_dim, 2)), 2, axis=-1)
            logits = ops.zeros_like(mean)
        else:
            raw = ops.reshape(raw, (-1, self.latent_dim, 3 * self.components))
            logits, mean, log_stddev = ops.split(raw, 3, axis=-1)
        stddev = ops.exp(ops.clip(log_stddev, MIN_LOG_STDDEV, MAX_LOG_STDDEV))
        return logits, mean, stddev

    def call(self, code, training=False):
        """Return p(z|code): a `tfd.Distribution` with batch `[B]` and event `[d]`.

        Args:
          code: float `[B, code_dim]`.
          training: Unused; for the signature that Keras layers share.
        """
        return self.distribution(*self.parameters(code))

    def distribution(self, logits, mean, stddev):
        """Return the distribution with the given parameters, each `[..., d, M]`."""
        if self.components == 1:
            marginal = tfd.Normal(mean[..., 0], stddev[..., 0])
        else:
            marginal = tfd.MixtureSameFamily(
                tfd.Categorical(logits=logits), tfd.Normal(mean, stddev)
            )
        return tfd.Independent(marginal, reinterpreted_batch_ndims=1)

    def get_config(self):
        return {
            **super().get_config(),
            "components": self.components,
            "hidden": self.hidden,
            "activation": self.activation,
            "skip_connections": self.skip_connections,
            "code_dim": self.code_dim,
        }
