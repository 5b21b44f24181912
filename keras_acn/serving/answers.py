"""What the signatures compute: batches in, batches out, each row drawing for itself."""

import tensorflow as tf

from keras_acn import models, priors
from keras_acn.models.base import NEIGHBOR, POSTERIOR, LatentModel
from keras_acn.models.class_sets import CLASS
from keras_acn.serving import rows

# The streams of a row's numbers that `model.daydream` and `model.reconstruct` take.
LATENT, IMAGE = 0, 1


def answers_of(model, codebook=True):
    """Returns the `Answers` of a model.

    Args:
      model: The model.
      codebook: Whether its codebook is there to be searched.
    """
    kind = HomoencoderAnswers if isinstance(model, models.VHE) else Answers
    return kind(model, codebook)


class Answers:
    """The answers of a model with one latent: `ACN`, `VAE`, `Autoencoder`.

    Args:
      model: The model.
      codebook: Whether its codebook, if it has one, is there to be searched.
    """

    def __init__(self, model, codebook=True):
        self.model = model
        own = getattr(model, "codebook", None)
        self.codebook = own if codebook else None
        self.left_out = own is not None and not codebook
        self.is_deterministic = getattr(model, "is_deterministic", False)

    def encode(self, image):
        """Returns `mean` and, where there is noise, `stddev` of q(z|x), each `[B, d]`."""
        q = self.model.encoder(image)
        return {"mean": q.mean()} if self.is_deterministic else _moments(q)

    def reconstruct(self, image, seed=None):
        """Returns the `image` that `model.reconstruct` returns, `[B, H, W, C]`."""
        r = self.model.decoder(self.model.encoder(image).mean())
        return {"image": r.mean() if seed is None else rows.sample(r, seed, IMAGE)}

    def neighbors(self, image):
        """Returns `index` `[B, k]`, `distance` `[B, k]` and `code` `[B, k, d]`."""
        distance, index = self.codebook.neighbors(self.model.encoder(image).mean(), in_graph=True)
        code = self.codebook.gather(tf.reshape(index, [-1]))
        shape = [-1, self.codebook.k, self.model.latent_dim]
        return {"index": index, "distance": distance, "code": tf.reshape(code, shape)}

    def nats(self, image, seed=None):
        """Returns `reconstruction`, `kl` and `total` in nats, each `[B]`."""
        cls = type(self.model)
        if self.is_deterministic:
            index = tf.zeros([tf.shape(image)[0]], tf.int32)
            return _costs(*self.model.nats(image, index, None))
        as_known = (
            cls.costs is LatentModel.costs
            and cls.nats is LatentModel.nats
            and cls.conditional_prior
            in (LatentModel.conditional_prior, models.ACN.conditional_prior)
        )
        if not as_known:
            # A model with a loss of its own is asked row by row: slower, but it is the same.
            return _costs(
                *tf.map_fn(
                    lambda row: self._nats_of_row(*row),
                    (image, seed),
                    fn_output_signature=(tf.TensorSpec([], tf.float32),) * 2,
                )
            )
        q = self.model.encoder(image)
        z = rows.sample(q, seed, POSTERIOR)
        context = q.mean()
        if self.codebook is not None:
            nearest = self.codebook.neighbors(context, in_graph=True)[1]
            context = self.codebook.gather(rows.pick(nearest, seed, NEIGHBOR))
        kl = priors.kl_nats(q, self.model.prior(context), z)
        return _costs(-self.model.decoder(z).log_prob(image), kl)

    def daydream_step(self, image, seed):
        """Returns the `image` that one step of `model.daydream` returns, `[B, H, W, C]`."""
        z = self.sample_prior(self.model.encoder(image).mean(), seed)["latent"]
        return {"image": rows.sample(self.model.decoder(z), seed, IMAGE)}

    def decode(self, latent, seed=None):
        """Returns the `mean` of r(x|z), or a `sample` where there is a seed, `[B, H, W, C]`."""
        return _decoded(self.model.decoder(latent), seed)

    def sample_prior(self, code, seed):
        """Returns a `latent` from p(z|c), `[B, d]`."""
        return {"latent": rows.sample(self.model.prior(code), seed, LATENT)}

    def _nats_of_row(self, image, seed):
        batch = {"image": image[None], "index": tf.zeros([1], tf.int32)}
        costs = self.model.costs(batch, rows.stateless(seed))
        return costs["reconstruction_nats"][0], costs["kl_nats"][0]


class HomoencoderAnswers(Answers):
    """The answers of a `VHE`, which has a code c of the class beside its latent z.

    A request knows no other members of an image's class, so D = {x} in all of them.
    """

    def _class_posterior(self, image):
        return self.model.class_posterior(image[:, None])

    def encode(self, image):
        """Returns `mean` and `stddev` of q(z|c,x), `code` and `code_stddev` of q(c|{x})."""
        q_c = self._class_posterior(image)
        q_z = self.model.encoder(image, q_c.mean())
        return {**_moments(q_z), "code": q_c.mean(), "code_stddev": q_c.stddev()}

    def reconstruct(self, image, seed=None):
        """Returns the `image` that `model.reconstruct` returns, `[B, H, W, C]`."""
        c = self._class_posterior(image).mean()
        r = self._decoder(c, self.model.encoder(image, c).mean())
        return {"image": r.mean() if seed is None else rows.sample(r, seed, IMAGE)}

    def nats(self, image, seed):
        """Returns `reconstruction`, `kl` and `total` in nats, each `[B]`, with D = {x}."""
        q_c = self._class_posterior(image)
        c = rows.sample(q_c, seed, CLASS)
        q_z = self.model.encoder(image, c)
        z = rows.sample(q_z, seed, POSTERIOR)
        # p(c) = N(0, I), and the class has one member to share its cost.
        p_c = priors.StandardNormal(self.model.class_dim)(c)
        kl = priors.kl_nats(q_z, self.model.prior(c), z) + priors.kl_nats(q_c, p_c)
        return _costs(-self._decoder(c, z).log_prob(image), kl)

    def daydream_step(self, image, seed):
        """Returns the `image` that one step of `model.daydream` returns, `[B, H, W, C]`."""
        c = rows.sample(self._class_posterior(image), seed, CLASS)
        z = self.sample_prior(c, seed)["latent"]
        return {"image": rows.sample(self._decoder(c, z), seed, IMAGE)}

    def decode(self, code, latent, seed=None):
        """Returns the `mean` of r(x|c,z), or a `sample` where there is a seed."""
        return _decoded(self._decoder(code, latent), seed)

    def _decoder(self, c, z):
        return self.model.decoder(tf.concat([c, z], axis=1))


def _moments(q):
    return {"mean": q.mean(), "stddev": q.stddev()}


def _decoded(r, seed):
    return {"mean": r.mean()} if seed is None else {"sample": rows.sample(r, seed, IMAGE)}


def _costs(reconstruction, kl):
    return {"reconstruction": reconstruction, "kl": kl, "total": reconstruction + kl}
