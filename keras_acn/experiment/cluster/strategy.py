"""A run on several workers: the strategy they train under, and a worker that is lost."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from keras_acn._base.errors import UserError, first_line
from keras_acn._base.shell import command
from keras_acn.experiment import checkpoint
from keras_acn.experiment.cluster.tf_config import Cluster, check_port
from keras_acn.experiment.schema import Config

if TYPE_CHECKING:
    from keras_acn.models import LatentModel

# What TensorFlow says when a peer does not answer, or when an exchange with it was broken off.
_SIGNS = ("collective", "coordination", "heartbeat", "/job:worker", "/job:chief")


class WorkerLost(UserError):
    """Another worker of the run is gone, and the training with it."""


@functools.cache
def join(cluster: Cluster) -> tf.distribute.Strategy:
    """Return the strategy of a `Cluster`, once all its workers have come.

    To be called before TensorFlow has done anything else, as it opens the worker's server.

    Raises:
      UserError: If the worker's port is taken, or the server cannot be started.
    """
    check_port(cluster)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise UserError(
            f"Worker {cluster.rank} of {cluster.size} at {cluster.addresses[cluster.rank]} could "
            f"not join the others ({first_line(error)}): see that all are started, with the same "
            "addresses, and can reach each other."
        ) from error


def check_agreement(
    strategy: tf.distribute.Strategy, config: Config, progress: checkpoint.Progress
) -> None:
    """Check that all workers are about to do the same.

    Args:
      strategy: Their strategy.
      config: The run's `Config`.
      progress: The `Progress` they go on from.

    Raises:
      UserError: If they do not have the same settings, or not the same checkpoint.
    """
    # Each machine may have its own folder of data.
    settings = {k: v for k, v in config.flat().items() if k != "data.data_dir"}
    mine = {"settings": settings, "checkpoints": [progress.epoch, progress.step]}
    digests = np.stack([_digest(values) for values in mine.values()])[None]  # [1, 2, 2]

    def of_one():
        return tf.distribute.get_replica_context().all_gather(tf.constant(digests), axis=0)

    gathered = tf.function(lambda: strategy.run(of_one), autograph=False)()
    everyone = strategy.experimental_local_results(gathered)[0].numpy()
    for i, what in enumerate(mine):
        if (everyone[:, i] != digests[0, i]).any():
            raise UserError(
                f"The workers do not have the same {what}: start all of them with the same "
                "command, and with a run folder that all of them see."
            )


def _digest(values: object) -> np.ndarray:
    """Return int32 `[2]`, the same for the same values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], np.int32)


@contextlib.contextmanager
def noticing_a_loss(cluster: Cluster | None, folder: pathlib.Path) -> Iterator[None]:
    """Turn the loss of another worker into a `WorkerLost`, inside the `with` block."""
    try:
        yield
    except tf.errors.OpError as error:
        text = str(error).lower()
        if cluster is None or not any(sign in text for sign in _SIGNS):
            raise
        raise WorkerLost(
            f"A worker of this run does not answer any more, so worker {cluster.rank} stopped "
            f"training; the last checkpoint is kept: go on with "
            f"{command('train', '--resume', folder)}, with as many workers as you like."
        ) from error


def copy_state(source: LatentModel, model: LatentModel) -> None:
    """Give a compiled model the weights, optimizer and metrics of another one built alike."""
    values = checkpoint.state(source)
    for name, variable in checkpoint.variables_of(model).items():
        variable.assign(values[name])
