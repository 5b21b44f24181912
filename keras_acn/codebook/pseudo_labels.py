"""Classes where there are no labels: k-means over the codes of the whole data set."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_acn._base.checks import check_count, check_number
from keras_acn._base.errors import UserError, unknown_name
from keras_acn.codebook.classes import ClassLists, class_lists
from keras_acn.codebook.store import CodeStore, require_finite

WEIGHTINGS = ("fixed", "annealed", "gradient")
# Data that one step of the mini-batch k-means looks at.
KMEANS_BATCH = 2048


@keras.saving.register_keras_serializable("keras_acn")
class PseudoLabels(CodeStore):
    """The codes (c, z) of every datum, and the clusters they fall into.

    The unsupervised variational homoencoder draws a datum's set D from its cluster
    (https://github.com/jalexvig/variational_homoencoders: "Pick codes from N(0, 1) for every
    training example", "Before each epoch: associate each training example with labels
    based on the clustering", "Record the new values of z and c for this x").

    A layer and a callback, see `CodeStore`: codes, labels and cluster centres are
    weights; before each epoch scikit-learn's `MiniBatchKMeans` clusters the codes, by the
    distance

        w |c - c'|^2 + (1 - w) |z - z'|^2

    whose w depends on `weighting`:

    - `"fixed"`: w is `c_weight`; 0.5 is the plain distance between concatenated codes,
      the post's.
    - `"annealed"`: w moves in a straight line from `c_weight_start` to `c_weight` over
      the first `anneal_epochs` epochs.
    - `"gradient"`: w is c's share of the loss gradient in the epoch before,
      `g_c / (g_c + g_z)`, and `c_weight` before there is one. Batches whose gradient is
      not finite do not count.

    Logged at the end of each epoch: `pseudo_classes`, how many clusters have members;
    `pseudo_c_weight`, the w of this epoch; and, where `fit` was given true labels,
    `pseudo_label_ami`, their adjusted mutual information with this epoch's clusters. The
    training itself never sees the true labels.

    Args:
      clusters: Number of clusters.
      weighting: `"fixed"`, `"annealed"` or `"gradient"`.
      c_weight: w, in [0, 1].
      c_weight_start: The w that annealing starts from.
      anneal_epochs: Epochs it takes.
      size: Number of data N. `None`: found when training begins, or weights are loaded.
      class_dim: Dimension of c; `VHE` fills it in.
      latent_dim: Dimension of z; `VHE` fills it in.
      seed: Seed of the initial codes and of the clustering.

    Raises:
      UserError: If an option is out of range.

    Example:
      >>> labels = PseudoLabels(2, size=4, class_dim=1, latent_dim=1)
      >>> c, z = np.float32([[0], [9], [0], [9]]), np.zeros([4, 1], np.float32)
      >>> labels.record(tf.range(4), c, z)
      >>> labels.cluster()
      >>> labels.agreement([0, 1, 0, 1])  # an adjusted mutual information
      1.0
    """

    def __init__(
        self,
        clusters: int = 10,
        *,
        weighting: str = "fixed",
        c_weight: float = 0.5,
        c_weight_start: float = 0.0,
        anneal_epochs: int = 20,
        size: int | None = None,
        class_dim: int | None = None,
        latent_dim: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(size, latent_dim=latent_dim, seed=seed, **kwargs)
        self.clusters = check_count(clusters, "The number of clusters", 1)
        if weighting not in WEIGHTINGS:
            raise unknown_name("weighting of pseudo-labels", weighting, WEIGHTINGS)
        self.weighting = weighting
        self.c_weight = _share(c_weight, "c_weight")
        self.c_weight_start = _share(c_weight_start, "c_weight_start")
        self.anneal_epochs = check_count(anneal_epochs, "anneal_epochs", 1)
        self.class_dim = None if class_dim is None else check_count(class_dim, "class_dim", 1)
        self._true_labels: _Hidden | None = None
        self.build_if_known()

    @property
    def code_dim(self) -> int | None:
        """Dimension of a code: that of c, then that of z."""
        if self.class_dim is None or self.latent_dim is None:
            return None
        return self.class_dim + self.latent_dim

    # -- the layer ---------------------------------------------------------------------

    def build(self, input_shape=None):
        self._require_enough(self.size)
        self.add_codes()

        def whole(name, shape):
            return self.add_weight(
                name=name, shape=shape, initializer="zeros", dtype="int32", trainable=False
            )

        self.labels = whole("labels", (self.size,))
        self._rank = whole("rank", (self.size,))
        self._order = whole("order", (self.size,))
        self._start = whole("start", (self.clusters,))
        self._count = whole("count", (self.clusters,))
        # How often the codes were clustered: the k-means' seed, and the time of annealing.
        self.passes = whole("passes", ())
        self.centers = self.add_weight(
            name="centers",
            shape=(self.clusters, self.code_dim),
            initializer="zeros",
            trainable=False,
        )
        self.weight_of_c = self.add_weight(
            name="weight_of_c", shape=(), initializer="zeros", trainable=False
        )
        # The norms of the loss gradient at c and at z, summed over this pass.
        self.gradients = self.add_weight(
            name="gradients", shape=(2,), initializer="zeros", trainable=False
        )
        self.built = True
        self._set_labels(np.arange(self.size) % self.clusters)

    def _require_enough(self, size):
        if size is not None and self.clusters > size:
            raise UserError(
                f"{size} data cannot fall into {self.clusters} clusters: give more data, or "
                "PseudoLabels(clusters=...) a smaller number."
            )

    def remake(self, codes):
        self._require_enough(None if codes is None else len(codes))
        kept = None
        if self.built and codes is not None and int(self.passes.numpy()):
            weights = (self.passes, self.centers, self.weight_of_c, self.gradients)
            kept = [weight.numpy() for weight in weights]
        super().remake(codes)
        if kept is not None:
            # The clusters stay where they are, and each datum is put into the nearest.
            weights = (self.passes, self.centers, self.weight_of_c, self.gradients)
            for weight, value in zip(weights, kept, strict=True):
                weight.assign(value)
            self._set_labels(self.nearest(codes))

    @property
    def lists(self) -> ClassLists:
        """The `ClassLists` of the clusters, tensors that follow the weights."""
        self.require_codes()
        weights = (self.labels, self._rank, self._order, self._start, self._count)
        return ClassLists(*(tf.convert_to_tensor(weight.value) for weight in weights))

    def record(self, index: tf.Tensor, c: tf.Tensor, z: tf.Tensor) -> None:
        """Write the codes of a batch: `c` `[B, class_dim]` and `z` `[B, latent_dim]`."""
        self.write(index, tf.stop_gradient(tf.concat([c, z], axis=1)))

    def record_gradients(self, c_norm: tf.Tensor, z_norm: tf.Tensor) -> None:
        """Add a batch's gradient norms, scalars, to those of this pass if they are finite."""
        norms = tf.stack([c_norm, z_norm])
        finite = tf.reduce_all(tf.math.is_finite(norms))
        self.gradients.assign_add(tf.where(finite, norms, 0.0))

    def cluster(self) -> None:
        """Cluster the codes as they are, and label every datum by its cluster.

        Raises:
          UserError: If some of the codes are not finite.
        """
        from sklearn.cluster import MiniBatchKMeans
        from threadpoolctl import threadpool_limits

        self.require_codes()
        require_finite(self.codes.value)
        self.weight_of_c.assign(self._next_weight())
        passes = int(self.passes.numpy())
        kmeans = MiniBatchKMeans(
            self.clusters,
            n_init=3,
            batch_size=KMEANS_BATCH,
            random_state=int(np.random.SeedSequence([self.seed, passes]).generate_state(1)[0]),
        )
        codes = self._scaled(self.codes.numpy())
        # On one thread, so that sums have one order and a run can be had again.
        with threadpool_limits(1):
            kmeans.fit(codes)
            labels = kmeans.predict(codes)
        self.centers.assign(kmeans.cluster_centers_.astype(np.float32))
        self._set_labels(labels)
        self.passes.assign_add(1)

    def nearest(self, codes: np.ndarray) -> np.ndarray:
        """Return the cluster that each of `codes` is nearest to.

        Args:
          codes: float32 `[M, code_dim]`.

        Returns:
          int32 `[M]`.

        Raises:
          UserError: If there are no clusters yet, or some of the codes are not finite.
        """
        from sklearn.metrics import pairwise_distances_argmin

        self.require_codes()
        if not int(self.passes.numpy()):
            raise UserError("There are no pseudo-labels yet: call fit first.")
        require_finite(codes)
        found = pairwise_distances_argmin(self._scaled(codes), self.centers.numpy())
        return found.astype(np.int32)

    def agreement(self, true_labels: np.ndarray) -> float:
        """Return the adjusted mutual information of the clusters with labels `[N]`."""
        from sklearn.metrics import adjusted_mutual_info_score

        return float(adjusted_mutual_info_score(true_labels, self.labels.numpy()))

    def _scaled(self, codes):
        """Return codes whose plain distance is the weighted one."""
        weight = float(self.weight_of_c.numpy())
        scale = np.sqrt([weight] * self.class_dim + [1 - weight] * self.latent_dim)
        return np.asarray(codes, np.float32) * scale.astype(np.float32)

    def _next_weight(self):
        if self.weighting == "annealed":
            done = min(1.0, int(self.passes.numpy()) / self.anneal_epochs)
            return self.c_weight_start + done * (self.c_weight - self.c_weight_start)
        if self.weighting == "gradient":
            of_c, of_z = (float(norm) for norm in self.gradients.numpy())
            if of_c + of_z > 0:
                return of_c / (of_c + of_z)
        return self.c_weight

    def _set_labels(self, labels):
        lists = class_lists(np.asarray(labels), self.clusters)
        weights = (self.labels, self._rank, self._order, self._start, self._count)
        for weight, values in zip(weights, lists, strict=True):
            weight.assign(values)

    # -- the callback ------------------------------------------------------------------

    def set_true_labels(self, labels: np.ndarray | None) -> None:
        """Set the labels `[N]` that the clusters are compared with; `None` for none."""
        self._true_labels = None if labels is None else _Hidden(np.asarray(labels))

    def begin_pass(self) -> None:
        """Cluster the codes, before each epoch."""
        self.cluster()
        self.gradients.assign(tf.zeros([2]))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if logs is None:
            return
        logs["pseudo_classes"] = float(np.count_nonzero(self._count.numpy()))
        logs["pseudo_c_weight"] = float(self.weight_of_c.numpy())
        if self._true_labels is not None:
            logs["pseudo_label_ami"] = self.agreement(self._true_labels.values)

    # -- configuration -----------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "clusters": self.clusters,
            "weighting": self.weighting,
            "c_weight": self.c_weight,
            "c_weight_start": self.c_weight_start,
            "anneal_epochs": self.anneal_epochs,
            "class_dim": self.class_dim,
        }


class _Hidden:
    """Holds an array out of Keras's sight."""

    def __init__(self, values):
        self.values = values


def _share(value, what):
    return check_number(value, what, "a share in [0, 1]", lambda share: 0 <= share <= 1)
