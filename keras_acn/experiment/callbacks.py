"""The callbacks that a run's config asks for."""

import keras

from keras_acn.experiment import tensorboard
from keras_acn.experiment.snapshots import SNAPSHOTS, Snapshots, chosen_images

TENSORBOARD = "tensorboard"
# Images that are reconstructed after every epoch.
SHOWN = 10


def own_callbacks(run, writes=True):
    """Returns the Keras callbacks of a `Run`: averages, TensorBoard, the movie's frames.

    Args:
      run: The `Run`.
      writes: Whether this worker writes the run's folder.
    """
    callbacks = []
    training, data = run.config.training, run.data
    if training.ema is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights())
    if not writes:
        return callbacks
    every = training.snapshots_every
    if not every and not tensorboard.installed():
        return callbacks
    seed = run.config.seed
    images, labels = chosen_images(data.validation or data.test or data.train, seed)
    if tensorboard.installed():
        logs = run.folder / TENSORBOARD
        callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
        callbacks.append(tensorboard.TensorBoardImages(logs, images[:SHOWN], seed))
    if every:
        folder = run.folder / SNAPSHOTS
        callbacks.append(Snapshots(images, labels, SHOWN, every, folder))
    return callbacks
