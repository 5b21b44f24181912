"""A set of images in memory, and the batches it yields."""

from keras_acn._base import noise
from keras_acn._base.errors import UserError
from keras_acn.data.binarize import by_draw, by_threshold, check_binarize, draw_batch, to_unit
from keras_acn.data.checks import check_count, check_seed
from keras_acn.data.parts import infer_levels


class ImageSet:
    """Images of one part of a data set, held in memory, with their labels if any.

    A row's number is the image's `index` in every batch, whatever the order, the batch
    size and the prefetching.

    Attributes:
      images: uint8 or float32 `[N, H, W, C]`, before binarization.
      labels: int32 `[N]` or `None`.
      binarize: `"none"`, `"threshold"`, `"static"` or `"dynamic"`.
      threshold: Pixels above it turn to 1 where `binarize` is `"threshold"`.
      levels: How many values a pixel of a batch can take, k / (levels - 1): 2 if binarized,
        256 for 8-bit images, `None` for floats.
      seed: Seed of the fixed draw (an int or a tuple of ints).
    """

    def __init__(self, images, labels=None, *, binarize="none", threshold=0.5, levels=None, seed=0):
        """Holds arrays that are known to be good; `from_arrays` checks them first.

        Args:
          images: uint8 or float32 `[N, H, W, C]`.
          labels: int32 `[N]` or `None`.
          binarize: One of `BINARIZATIONS`.
          threshold: In [0, 1), for `"threshold"`.
          levels: For uint8 images: the largest value means 1 and is `levels - 1`.
            By default 2 where no value exceeds 1, else 256.
          seed: Seed of `"static"`, and of how `"dynamic"` looks in evaluation.

        Raises:
          UserError: If `binarize` or `threshold` is not as described.
        """
        check_binarize(binarize, threshold)
        self.images = images
        self.labels = labels
        self.binarize = binarize
        self.threshold = threshold
        self.seed = seed
        self._raw_levels = levels if levels is not None else infer_levels(images)
        self._fixed_images = None
        self._tensors = {}

    def __len__(self):
        return len(self.images)

    def __repr__(self):
        shape = "x".join(map(str, self.image_shape))
        return f"ImageSet({len(self)} images of {shape}, binarize={self.binarize!r})"

    @property
    def image_shape(self):
        """`(H, W, C)`."""
        return tuple(int(n) for n in self.images.shape[1:])

    @property
    def levels(self):
        """How many values a pixel of a batch can take, or `None` for floats."""
        return self._raw_levels if self.binarize == "none" else 2

    def _raw(self):
        """Returns `(images, scale)` before binarization."""
        return self.images, 1 if self._raw_levels is None else self._raw_levels - 1

    def _fixed(self):
        """Returns `(images, scale)` as evaluation sees them."""
        if self.binarize == "none":
            return self._raw()
        if self._fixed_images is None:
            if self.binarize == "threshold":
                self._fixed_images = by_threshold(*self._raw(), self.threshold)
            else:
                self._fixed_images = by_draw(*self._raw(), self.seed)
        return self._fixed_images, 1

    def arrays(self):
        """Returns `(images, labels)` as evaluation sees them, in the order of the index.

        Returns:
          float32 `[N, H, W, C]` in [0, 1], binarized if so (`"dynamic"`: one fixed draw),
          and int32 `[N]` or `None`.
        """
        return to_unit(*self._fixed()), self.labels

    def steps_per_epoch(self, batch_size, drop_remainder=False):
        """Returns how many batches an epoch has.

        Raises:
          UserError: If the batch size is not positive, or no batch would be full where
            `drop_remainder` asks for full ones.
        """
        batch_size = check_count(batch_size, "The batch size", least=1)
        if not drop_remainder:
            return -(-len(self) // batch_size)
        if batch_size > len(self):
            raise UserError(
                f"The batch size {batch_size} is larger than the {len(self)} images and "
                f"incomplete batches are dropped: give at most {len(self)}."
            )
        return len(self) // batch_size

    def _tensor(self, kind, array):
        """Returns `array` as a tensor of the host, the same for every dataset made."""
        import tensorflow as tf

        if kind not in self._tensors:
            with tf.device("CPU:0"):
                self._tensors[kind] = tf.constant(array)
        return self._tensors[kind]

    def lookup(self, training=False):
        """Returns a function that looks images up by their row, inside a graph.

        Args:
          training: Whether `"dynamic"` images are drawn anew, as in training.

        Returns:
          `look(index, seed) -> float32 [..., H, W, C]` in [0, 1], binarized if so, for
          int32 rows `[...]`; the stateless seed, int32 `[2]`, is that of the drawing.
        """
        import tensorflow as tf

        draws = self.binarize == "dynamic" and training
        array, scale = self._raw() if draws else self._fixed()
        images = self._tensor("raw" if draws else "fixed", array)

        def look(index, seed):
            image = tf.cast(tf.gather(images, index), tf.float32)
            if scale != 1:
                image = image / float(scale)
            if draws:
                uniform = noise.uniform(tf.shape(image), seed)
                image = tf.cast(uniform < image, tf.float32)
            return image

        return look

    def dataset(
        self,
        batch_size,
        *,
        shuffle=False,
        seed=0,
        start_epoch=0,
        start_step=0,
        epochs=None,
        drop_remainder=False,
        training=None,
    ):
        """Returns the batches as a `tf.data.Dataset`.

        The batch at (epoch, step) is a pure function of `seed`, epoch and step, so a
        dataset that starts anywhere yields exactly what an uninterrupted one yields there.
        The order within an epoch is a pseudo-random permutation that needs no memory
        (`tf.random.experimental.index_shuffle`). Each epoch ends with its own last,
        smaller batch, unless `drop_remainder`.

        Args:
          batch_size: B.
          shuffle: Whether each epoch has its own order.
          seed: Seed of the order and of the dynamic draws.
          start_epoch: The first epoch, from 0.
          start_step: The first batch within that epoch, from 0.
          epochs: How many epochs, counted from `start_epoch`, follow one another;
            `None` for one.
          drop_remainder: Whether to leave out each epoch's last batch if it is smaller.
          training: Whether `"dynamic"` images are drawn anew (or fixed, as in `arrays()`).
            By default as `shuffle`.

        Returns:
          Batches `{"image": float32 [B, H, W, C] in [0, 1], "index": int32 [B]}`, and
          `"label": int32 [B]` where there are labels. Its cardinality is known.

        Raises:
          UserError: If an argument is out of range.
        """
        import tensorflow as tf

        seed = check_seed(seed)
        steps = self.steps_per_epoch(batch_size, drop_remainder)
        start_epoch = check_count(start_epoch, "start_epoch")
        start_step = check_count(start_step, "start_step")
        epochs = 1 if epochs is None else check_count(epochs, "epochs", least=1)
        if start_step >= steps:
            raise UserError(
                f"start_step={start_step} is past the last of the {steps} batches of an epoch: "
                f"give at most {steps - 1}."
            )
        draws = self.binarize == "dynamic" and (shuffle if training is None else training)
        array, scale = self._raw() if draws else self._fixed()
        images = self._tensor("raw" if draws else "fixed", array)
        labels = None if self.labels is None else self._tensor("labels", self.labels)
        count, batch_size = len(self), int(batch_size)
        static_size = batch_size if drop_remainder or count % batch_size == 0 else None

        def batch(number):
            epoch, step = number // steps, number % steps
            first = step * batch_size
            index = tf.range(first, tf.minimum(first + batch_size, count))  # [B]
            if shuffle:
                key = tf.stack([tf.constant(seed, tf.int64), epoch])
                index = tf.random.experimental.index_shuffle(index, key, count - 1)
            image = tf.cast(tf.gather(images, index), tf.float32)
            if scale != 1:
                image = image / float(scale)
            if draws:
                image = draw_batch(image, seed, epoch, step)
            out = {
                "image": tf.ensure_shape(image, (static_size, *self.image_shape)),
                "index": tf.ensure_shape(tf.cast(index, tf.int32), (static_size,)),
            }
            if labels is not None:
                out["label"] = tf.ensure_shape(tf.gather(labels, index), (static_size,))
            return out

        with tf.device("CPU:0"):
            numbers = tf.data.Dataset.range(
                start_epoch * steps + start_step, (start_epoch + epochs) * steps
            )
            batches = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            batches = batches.prefetch(tf.data.AUTOTUNE)
        return batches
