"""One line an epoch, for output that is not a terminal."""

import time

import click
import keras


class EpochLines(keras.callbacks.Callback):
    """Prints the costs and the time of each epoch on a line.

    Args:
      epochs: Number of the last epoch.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.monotonic() - self._began
        width = len(str(self.epochs))
        line = (
            f"epoch {epoch + 1:>{width}}/{self.epochs}  total {logs['total_nats']:.2f} nats "
            f"(reconstruction {logs['reconstruction_nats']:.2f}, KL {logs['kl_nats']:.2f})"
        )
        if "val_total_nats" in logs:
            line += f"  held out {logs['val_total_nats']:.2f}"
        click.echo(f"{line}  {seconds:.1f} s")
