"""What a homoencoder does with a handful of images: more of them, and which class is it."""

import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError
from keras_acn.models.class_sets import CLASS
from keras_acn.models.generation import batched


class FewShot:
    """The methods of a homoencoder on sets of images of a class it may never have seen."""

    def encode_class(self, images):
        """Returns q(c|D): a `tfd.Distribution`, batch `[]`, event `[class_dim]`.

        Args:
          images: The images of D, `[M, H, W, C]`, M at least 1.
        """
        return self.class_posterior(tf.convert_to_tensor(self._images(images))[None])[0]

    def generate_like(self, images, n=16, seed=0, sample=None, batch_size=256):
        """Returns n new members of the class of a handful of images, `[n, H, W, C]`.

        For each, c ~ q(c|D), z ~ p(z|c), x ~ r(x|c,z).

        Args:
          images: The images of D, `[M, H, W, C]`, M at least 1.
          n: How many to draw.
          seed: Seed of the drawing.
          sample: As for `reconstruct`.
          batch_size: Images per step.
        """
        if int(n) < 1:
            raise UserError(f"generate_like(images, n) needs n of at least 1, not {n}.")
        q_c = self.encode_class(images)
        c = q_c.sample(n, seed=tf.constant([seed, CLASS], tf.int32)).numpy()  # [n, class_dim]
        draw = self._compiled(
            ("sample", sample), lambda context, key: self._sample_batch(context, key, sample)
        )
        return batched(draw, c, batch_size, seed=seed)

    def code_lengths_given(self, images, sets, samples=16, seed=0, batch_size=64):
        """Returns -log p(x|D) of each image for each of several sets D, in nats.

        With c_s ~ q(c|D) and z_s ~ q(z|c_s,x), the estimate

            -log p(x|D) <= -log (1/S) sum_s r(x|c_s,z_s) p(z_s|c_s) / q(z_s|c_s,x)

        which holds in expectation, and is the tighter the larger S. All the sets share
        the noise of an image, so that their differences are less noisy than themselves.

        Args:
          images: N images.
          sets: Sequence of W sets, each `[M, H, W, C]`.
          samples: S.
          seed: Seed of the samples.
          batch_size: Images per step; the network sees W times as many.

        Returns:
          float64 `[N, W]`.
        """
        if int(samples) < 1 or not len(sets):
            raise UserError("Code lengths need at least 1 sample and at least 1 set of images.")
        images = self._images(images)
        posteriors = [self.encode_class(each) for each in sets]
        mean = tf.stack([q.mean() for q in posteriors])  # [W, class_dim]
        stddev = tf.stack([q.stddev() for q in posteriors])
        weigh = self._compiled("code_lengths", self._log_weight_batch)
        total = np.full([len(images), len(sets)], -np.inf)
        for draw in range(int(samples)):
            key = int(np.random.SeedSequence([seed, draw]).generate_state(1)[0]) // 2
            log_weight = batched(
                lambda x, batch_key: weigh(x, mean, stddev, batch_key),
                images,
                batch_size,
                seed=key,
            )
            total = np.logaddexp(total, log_weight.astype(np.float64))
        return np.log(samples) - total

    def classify(self, images, examples, labels, samples=16, seed=0, batch_size=64):
        """Returns the class whose examples make each image cheapest to code, `[N]`.

        Few-shot classification as in Hewitt et al. 2018 (arXiv 1807.08919): the class whose D has
        the smallest -log p(x|D), by `code_lengths_given`.

        Args:
          images: N images.
          examples: The images of all classes' sets, `[E, H, W, C]`.
          labels: The class of each example, `[E]`.
          samples, seed, batch_size: As for `code_lengths_given`.

        Returns:
          The labels that are chosen, of the dtype of `labels`.

        Raises:
          UserError: If examples and labels differ in number.
        """
        examples, labels = self._images(examples), np.asarray(labels)
        if labels.shape != (len(examples),):
            raise UserError(
                f"There are {len(examples)} examples and labels of shape {labels.shape}: give one "
                "label an example."
            )
        classes = np.unique(labels)
        sets = [examples[labels == each] for each in classes]
        nats = self.code_lengths_given(images, sets, samples, seed, batch_size)
        return classes[np.argmin(nats, axis=1)]

    def _log_weight_batch(self, images, mean, stddev, seed):
        """Returns log of r p / q at one sample, `[B, W]`."""
        batch, ways = tf.shape(images)[0], tf.shape(mean)[0]

        def noise(stream, dim):
            key = tf.random.fold_in(seed, stream)
            return tf.random.stateless_normal([batch, 1, dim], key)

        c = mean + stddev * noise(CLASS, self.class_dim)  # [B, W, class_dim]
        c = tf.reshape(c, [-1, self.class_dim])
        x = tf.repeat(images, ways, axis=0)  # [B * W, H, W, C]
        q_z = self.encoder(x, c)
        of_z = tf.repeat(noise(0, self.latent_dim)[:, 0], ways, axis=0)
        z = q_z.mean() + q_z.stddev() * of_z
        log_weight = self.decoder(tf.concat([c, z], axis=1)).log_prob(x)
        log_weight += self.prior(c).log_prob(z) - q_z.log_prob(z)
        return tf.reshape(log_weight, [batch, ways])
