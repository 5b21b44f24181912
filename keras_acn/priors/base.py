"""What every prior declares: a code in, a distribution over latents out."""

from __future__ import annotations

import keras

from keras_acn._base.checks import check_count


class Prior(keras.Model):
    """Base of the priors: c -> p(z|c), a distribution over the latents given a code.

    A subclass gives `call(code, training=False)`, which takes float `[B, code_dim]` and
    returns a `tfd.Distribution` with batch `[B]` and event `[d]`, whose `log_prob` is in nats.

    Attributes:
      is_conditional: Whether the distribution depends on the code. One that does not reads
        of the code only how many there are.
      code_dim: Dimension of the code, or `None` for that of z.
      is_joint: Whether it is a `JointMixture`, whose components are of the whole latent.
      needs_encoder: Whether it goes through the model's encoder, which the model gives to its
        `attach(encoder)`, and which it has as `encoder`, `None` before.

    Args:
      latent_dim: Number of latent dimensions d.

    Raises:
      UserError: If it is no positive whole number.

    Example: a prior of one's own, N(c, I).

      >>> from keras import ops
      >>> from tensorflow_probability import distributions as tfd
      >>> @keras.saving.register_keras_serializable("mine")
      ... class NearPrior(Prior):
      ...     def __init__(self, latent_dim=16, **kwargs):
      ...         super().__init__(latent_dim, **kwargs)
      ...         self.built = True
      ...
      ...     def call(self, code, training=False):
      ...         code = ops.cast(code, "float32")
      ...         return tfd.Independent(tfd.Normal(code, ops.ones_like(code)), 1)
      >>> p = NearPrior(latent_dim=4)(ops.zeros((3, 4)))
      >>> print(p.batch_shape, p.event_shape)
      (3,) (4,)
    """

    declared = ("is_conditional", "code_dim", "is_joint", "needs_encoder")
    is_conditional = True
    code_dim: int | None = None
    is_joint = False
    needs_encoder = False

    def __init__(self, latent_dim: int = 16, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = check_count(latent_dim, "latent_dim", 1)

    def call(self, code, training=False):
        """Return p(z|code): a `tfd.Distribution` with batch `[B]` and event `[d]`.

        Args:
          code: float `[B, code_dim]`.
          training: Whether layers such as dropout behave as in training.
        """
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim}
