"""Where a homoencoder's sets D come from, in training and in evaluation."""

import numpy as np
import tensorflow as tf

from keras_acn import codebook
from keras_acn import data as data_lib
from keras_acn._base.errors import UserError
from keras_acn.distribute import exchange

# Streams of stateless random numbers within one step, after those of the base.
MEMBERS, LOOKUP, CLASS = range(3, 6)


class ClassSets:
    """The methods that draw D for each datum of a batch, and keep the images to draw from."""

    def draw_sets(self, batch, seed, training):
        """Returns the set D of each datum.

        Args:
          batch: As `fit` takes them; in evaluation it carries its sets already.
          seed: int32 `[2]`, a stateless seed.
          training: Whether this is a training step.

        Returns:
          `(members, valid, class_size)`: float32 `[B, S, H, W, C]`, bool `[B, S]`, int32 `[B]`.

        Raises:
          UserError: If there are no images to draw from.
        """
        if "members" in batch:
            return batch["members"], batch["valid"], batch["class_size"]
        sets = getattr(self, "_training_sets", None)
        if sets is None or not training:
            raise UserError("A VHE draws D from a data set: call fit or evaluate on one.")
        drawn = codebook.draw_members(
            self.pseudo_labels.lists if sets.lists is None else sets.lists,
            exchange.gather(tf.cast(batch["index"], tf.int32)),
            tf.random.fold_in(seed, MEMBERS),
            self.least_members,
            self.most_members,
        )
        lookup_seed = tf.random.fold_in(seed, LOOKUP)
        if sets.images.binarize == "dynamic":
            # Drawn for all rows together, so that a row's draw is the same on any replica.
            members = exchange.own(sets.look(drawn.index, lookup_seed))
        else:
            members = sets.look(exchange.own(drawn.index), lookup_seed)
        return members, exchange.own(drawn.valid), exchange.own(drawn.class_size)

    # -- training ----------------------------------------------------------------------

    def _needs_size(self):
        return self.pseudo_labels is not None and self.pseudo_labels.size is None

    def _own_callbacks(self):
        return [] if self.pseudo_labels is None else [self.pseudo_labels]

    def _keep_training_data(self, data):
        images = _image_set_of(data)
        if self.pseudo_labels is not None:
            self.pseudo_labels.resize(len(images))
            self.pseudo_labels.set_true_labels(images.labels)
        before = getattr(self, "_training_sets", None)
        if before is None or before.images is not images:
            self._training_sets = _TrainingSets(images, self.supervised)
            # The compiled step holds the images it was traced with.
            self.train_function = None

    def continue_pass(self):
        if self.pseudo_labels is not None:
            self.pseudo_labels.continue_pass()

    def settle(self, images):
        self.recode(images)

    def recode(self, images, batch_size=256):
        """Writes the codes of all training data by the weights of now, and clusters them.

        In training a code is as old as its datum's last visit, and the clusters as the
        epoch. D is drawn from the clusters as they were. Nothing to do for a supervised
        model.

        Args:
          images: The training images, in the order of their index.
          batch_size: Images per step.

        Raises:
          UserError: If their number is not that of the pseudo-labels.
        """
        if self.pseudo_labels is None:
            return
        images = self._image_set(images)
        self.pseudo_labels.resize(len(images))
        sets = _EvaluationSets(self, images, self.pseudo_labels.labels.numpy())

        def codes(batch):
            c = self.class_posterior(batch["members"], batch["valid"]).mean()
            return tf.concat([c, self.encoder(batch["image"], c).mean()], axis=1)

        codes = self._compiled("recode", codes)
        batches = sets.attach(images.dataset(batch_size))
        self.pseudo_labels.codes.assign(np.concatenate([codes(batch) for batch in batches]))
        self.pseudo_labels.cluster()

    # -- evaluation --------------------------------------------------------------------

    def _evaluation_dataset(self, x, batch_size=None):
        dataset = self._batches(x, batch_size)
        if hasattr(dataset, "class_sets"):
            return dataset
        images = _image_set_of(dataset)
        labels = np.zeros(len(images), np.int32)
        if self.supervised:
            labels = _required_labels(images)
        return _EvaluationSets(self, images, labels).attach(dataset)

    def _before_evaluation(self, dataset):
        if not self.supervised:
            sets = dataset.class_sets
            sets.assign(self.pseudo_labels.nearest(self.codes(sets.images)))


class _TrainingSets:
    """The training images and, where the classes are the labels, who is in which.

    Held out of Keras's sight: they are data, not weights.
    """

    def __init__(self, images, supervised):
        self.images = images
        self.look = images.lookup(training=True)
        self.lists = None
        if supervised:
            lists = codebook.class_lists(_required_labels(images))
            self.lists = codebook.ClassLists(*(tf.constant(each) for each in lists))

    def __reduce__(self):
        # Copies and pickles of a model get their data by their own fit.
        return (type(None), ())


class _EvaluationSets:
    """Draws the sets of evaluation batches from the images that are evaluated."""

    def __init__(self, model, images, labels):
        self.images = images
        self._look = images.lookup()
        self._model = model
        self._clusters = None if model.supervised else model.pseudo_labels.clusters
        lists = codebook.class_lists(labels, self._clusters)
        with tf.device("CPU:0"):
            # Variables, as an unsupervised model has other clusters after each epoch.
            self._lists = codebook.ClassLists(*(tf.Variable(each) for each in lists))

    def assign(self, labels):
        """Sets the classes to those of `labels` `[N]`."""
        lists = codebook.class_lists(labels, self._clusters)
        for variable, values in zip(self._lists, lists, strict=True):
            variable.assign(values)

    def attach(self, dataset):
        """Returns the dataset with the sets in its batches."""

        def with_sets(batch):
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

        dataset = dataset.map(with_sets)
        dataset.class_sets = self
        return dataset


def _required_labels(images):
    if images.labels is None:
        raise UserError(
            "A supervised VHE draws D from a datum's class: give labels, as in fit(x, y) and "
            "evaluate(x, y), or build it with supervised=False."
        )
    return images.labels


def _image_set_of(data):
    """Returns the `ImageSet` that a dataset was made from, or one collected from it."""
    if isinstance(data, data_lib.ImageSet):
        return data
    if hasattr(data, "image_set"):
        return data.image_set
    if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserError(
            "A VHE looks up other members of a class, which a dataset without an end does not "
            "allow: give arrays or an ImageSet."
        )
    rows, images, labels = [], [], []
    for batch in data:
        rows.append(batch["index"].numpy())
        images.append(batch["image"].numpy())
        if "label" in batch:
            labels.append(batch["label"].numpy())
    if not rows:
        raise UserError("The dataset is empty: give at least one image.")
    rows, first = np.unique(np.concatenate(rows), return_index=True)
    if rows[0] != 0 or rows[-1] != len(rows) - 1:
        raise UserError(
            f"The dataset's indices leave gaps between 0 and {rows[-1]}, so a VHE cannot look "
            "images up: number all of them by keras_acn.data.index_dataset(dataset)."
        )
    labels = np.concatenate(labels)[first] if labels else None
    return data_lib.from_arrays(np.concatenate(images)[first], labels)
