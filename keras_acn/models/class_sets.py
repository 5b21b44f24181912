"""Where a homoencoder's sets D come from, in training and in evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_acn import codebook
from keras_acn._base.errors import UserError
from keras_acn._base.noise import Noise
from keras_acn.data.batches import Batches
from keras_acn.data.image_set import ImageSet
from keras_acn.distribute import exchange

# Streams of a step's noise, after those of the base.
MEMBERS, LOOKUP, CLASS = range(3, 6)


class TrainingSets:
    """The training images and, where the classes are the labels, who is in which.

    Held out of Keras's sight: they are data, not weights.

    Args:
      images: The training images.
      supervised: Whether the classes are the labels.
    """

    def __init__(self, images: ImageSet, supervised: bool):
        self.images = images
        self._look = images.lookup(training=True)
        self._lists = None
        if supervised:
            lists = codebook.class_lists(required_labels(images))
            self._lists = codebook.ClassLists(*(tf.constant(each) for each in lists))

    def draw(self, index: tf.Tensor, noise: Noise, model: Any) -> tuple[tf.Tensor, ...]:
        """Draw D for the rows of this replica: see `VHE.draw_sets`.

        Args:
          index: int32 `[B]`, the rows.
          noise: The noise of the whole batch.
          model: The `VHE`: its pseudo-labels where it is unsupervised, its sizes of sets.
        """
        drawn = codebook.draw_members(
            model.pseudo_labels.lists if self._lists is None else self._lists,
            exchange.gather(tf.cast(index, tf.int32)),
            noise.stream(MEMBERS).seed,
            model.least_members,
            model.most_members,
        )
        seed = noise.stream(LOOKUP).seed
        if self.images.binarize == "dynamic":
            # Drawn for all rows together, so that a row's draw is the same on any replica.
            members = exchange.own(self._look(drawn.index, seed))
        else:
            members = self._look(exchange.own(drawn.index), seed)
        return members, exchange.own(drawn.valid), exchange.own(drawn.class_size)

    def __reduce__(self):
        # Copies and pickles of a model get their data by their own fit.
        return (type(None), ())


class EvaluationSets:
    """Draws the sets of evaluation batches from the images that are evaluated.

    Args:
      model: The `VHE`.
      images: The images.
      labels: int `[N]`, the class of each.
    """

    def __init__(self, model: Any, images: ImageSet, labels: np.ndarray):
        self._look = images.lookup()
        self._model = model
        self._clusters = None if model.supervised else model.pseudo_labels.clusters
        lists = codebook.class_lists(labels, self._clusters)
        with tf.device("CPU:0"):
            # Variables, as an unsupervised model has other clusters after each epoch.
            self._lists = codebook.ClassLists(*(tf.Variable(each) for each in lists))

    def assign(self, labels: np.ndarray) -> None:
        """Set the classes to those of `labels` `[N]`."""
        lists = codebook.class_lists(labels, self._clusters)
        variables: Iterable[Any] = self._lists
        for variable, values in zip(variables, lists, strict=True):
            variable.assign(values)

    def attach(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return a batch with its sets: `members`, `valid` and `class_size`."""
        seed = self._model.evaluation_seed(batch["index"])
        most = self._model.most_members
        drawn = codebook.draw_members(
            codebook.ClassLists(*(tf.convert_to_tensor(each) for each in self._lists)),
            batch["index"],
            tf.random.fold_in(seed, MEMBERS),
            most,
            most,
        )
        members = self._look(drawn.index, seed)
        sets = {"members": members, "valid": drawn.valid, "class_size": drawn.class_size}
        return {**batch, **sets}


@dataclasses.dataclass
class BatchesWithSets(Batches):
    """Batches whose data have their sets D with them.

    Attributes:
      sets: Where these are drawn from.
    """

    sets: EvaluationSets | None = None

    @classmethod
    def of_model(cls, model: Any, batches: Batches, labels: np.ndarray) -> BatchesWithSets:
        """Return batches with the sets that a `VHE` evaluates them with.

        Args:
          model: The `VHE`.
          batches: The `Batches`.
          labels: int `[N]`, the class of each image.
        """
        images = batches.collect()
        sets = EvaluationSets(model, images, labels)
        return cls(batches.dataset.map(sets.attach), images, sets=sets)


class FollowClusters(keras.callbacks.Callback):
    """Puts the images of a validation into the clusters of now, before each evaluation.

    Args:
      homoencoder: The unsupervised `VHE`.
      batches: The validation's `BatchesWithSets`.
    """

    def __init__(self, homoencoder: Any, batches: BatchesWithSets):
        super().__init__()
        self._bring_up_to_date = lambda: homoencoder._before_evaluation(batches)

    def on_test_begin(self, logs=None):
        self._bring_up_to_date()


def required_labels(images: ImageSet) -> np.ndarray:
    """Return the labels of images, or raises a `UserError` where there are none."""
    if images.labels is None:
        raise UserError(
            "A supervised VHE draws D from a datum's class: give labels, as in fit(x, y) and "
            "evaluate(x, y), or build it with supervised=False."
        )
    return images.labels
