"""What a trained model does with images: encode, reconstruct, daydream, sample."""

import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError


class Generation:
    """The methods that all latent-variable models share, on images and latents.

    Images are taken as `[N, H, W, C]` or `[N, H, W]`, floats in [0, 1] or uint8.
    """

    def encode(self, images):
        """Returns q(z|x): a `tfd.Distribution`, batch `[N]`, event `[latent_dim]`."""
        return self.encoder(tf.convert_to_tensor(self._images(images)))

    def decode(self, z):
        """Returns r(x|z): a `tfd.Distribution`, batch `[N]`, event `[H, W, C]`.

        Args:
          z: float `[N, latent_dim]`.
        """
        return self.decoder(tf.convert_to_tensor(z, tf.float32))

    def codes(self, images, batch_size=256):
        """Returns the codes c(x), the posterior means, as float32 `[N, latent_dim]`."""
        images = self._images(images)
        encode = self._compiled("codes", self._codes_batch)
        return batched(encode, images, batch_size)

    def reconstruct(self, images, sample=None, seed=0, batch_size=256):
        """Returns images decoded from the codes of `images`, float32 `[N, H, W, C]`.

        Args:
          images: The images.
          sample: Whether an image is drawn from r(x|z) or its mean taken. `None` takes
            the mean where the decoder has one, and draws where it has not, as an
            autoregressive one.
          seed: Seed of the drawing.
          batch_size: Images per step.
        """
        images = self._images(images)
        reconstruct = self._compiled(
            ("reconstruct", sample),
            lambda x, key: self._reconstruct_batch(x, key, sample),
        )
        return batched(reconstruct, images, batch_size, seed=seed)

    def daydream(self, images, steps=30, sample=True, seed=0):
        """Follows associations: encode, prior, decode, and again from the new image.

        Encode an image and take its code c, draw z from p(z|c), decode z and draw an
        image, encode that, and so on: section 3 of Graves et al. 2018.

        Args:
          images: The images to begin from, B of them.
          steps: Number of steps.
          sample: Whether latents and images are drawn, as in the paper; otherwise the
            prior's mean is decoded and the mean image encoded, as in the blog post.
            Decoders without a mean always draw.
          seed: Seed of the drawing.

        Returns:
          float32 `[steps + 1, B, H, W, C]`; the first are the images themselves.
        """
        images = self._images(images)
        if int(steps) < 0:
            raise UserError(f"The number of daydream steps must not be negative, as {steps} is.")
        step = self._compiled(
            ("daydream", bool(sample)),
            lambda x, key: self._daydream_batch(x, key, bool(sample)),
        )
        frames = [images]
        for i in range(int(steps)):
            frames.append(step(frames[-1], tf.constant([seed, i], tf.int32)).numpy())
        return np.stack(frames)

    def sample(self, n, seed=0, sample=None, batch_size=256):
        """Returns n images drawn from the model, float32 `[n, H, W, C]`.

        Args:
          n: How many.
          seed: Seed of the drawing.
          sample: As for `reconstruct`.
          batch_size: Images per step.
        """
        if int(n) < 1:
            raise UserError(f"sample(n) needs n of at least 1, not {n}.")
        draw = self._compiled(
            ("sample", sample),
            lambda context, key: self._sample_batch(context, key, sample),
        )
        return batched(draw, self._contexts(n, seed), batch_size, seed=seed)

    # -- in the graph ------------------------------------------------------------------

    def _contexts(self, n, seed):
        """Returns the codes `[n, d]` that the priors of n samples are conditioned on."""
        return np.zeros([n, self.latent_dim], np.float32)

    def _codes_batch(self, images):
        return self.encoder(images).mean()

    def _sample_batch(self, context, seed, sample):
        z = self.prior(context).sample(seed=tf.random.fold_in(seed, 0))
        return self._decode_batch(z, seed, sample)

    def _decode_batch(self, z, seed, sample):
        image = self.decoder(z)
        has_mean = not getattr(self.decoder, "is_autoregressive", False)
        if sample or not has_mean:
            return image.sample(seed=tf.random.fold_in(seed, 1))
        return image.mean()

    def _reconstruct_batch(self, images, seed, sample):
        return self._decode_batch(self._codes_batch(images), seed, sample)

    def _daydream_batch(self, images, seed, sample):
        p = self.prior(self.encoder(images).mean())
        z = p.sample(seed=tf.random.fold_in(seed, 0)) if sample else p.mean()
        return self._decode_batch(z, seed, sample or None)

    def _compiled(self, key, function):
        """Returns `function` as a graph, the same one each time."""
        functions = self.__dict__.setdefault("_generation_functions", _Functions())
        if key not in functions.by_key:
            functions.by_key[key] = tf.function(function, reduce_retracing=True, autograph=False)
        return functions.by_key[key]

    def _images(self, images):
        images = self._image_set(images).arrays()[0]
        return np.asarray(images, np.float32)


class _Functions:
    """Holds compiled functions out of Keras's sight, and out of copies and pickles."""

    def __init__(self):
        self.by_key = {}

    def __reduce__(self):
        return (_Functions, ())


def batched(function, values, batch_size, seed=None):
    """Applies `function` to `[N, ...]` values in batches.

    Args:
      function: Takes a batch of the values and, where there is a seed, an int32 `[2]`
        stateless seed; returns a tensor or a tuple of them.
      values: NumPy `[N, ...]`, N at least 1.
      batch_size: Values a call.
      seed: Seed that every batch gets a stateless seed from.

    Returns:
      What `function` returns, as NumPy arrays over all N.
    """
    pieces = []
    for i in range(0, len(values), batch_size):
        arguments = [tf.convert_to_tensor(values[i : i + batch_size])]
        if seed is not None:
            arguments.append(tf.constant([seed, i], tf.int32))
        pieces.append(function(*arguments))
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *pieces)
