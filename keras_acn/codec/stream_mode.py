"""Images in their order, each under a prior that knows no other image.

The prior of an associative model is the mixture (1/N) sum_n p(z|c_n) of all its training
codes, with bits-back over n; of another model it is its own.
"""

from keras_acn.codec.bits_back import BitsBack
from keras_acn.codec.lanes import steps_of
from keras_acn.codec.priors import CodesPrior


class StreamMode:
    """Codes a block of images in their order.

    Args:
      networks: `Networks`.
      coder: What `image_coder(networks)` returns.
      index: The `CodeIndex` of an associative model, otherwise `None`.
    """

    def __init__(self, networks, coder, index):
        self.networks = networks
        self.coder = coder
        self.index = index

    def arrange(self, q, progress=None):
        """Returns the order in which the images come out: `None` for their own."""
        return None

    def push(self, levels, q, grid, stack, progress):
        """Pushes a block of images, the last first.

        Args:
          levels: uint8 `[N, H, W, C]`.
          q: Their posteriors `(mean, stddev)`, float64 `[N, d]`.
          grid: `LatentGrid`.
          stack: `Stack`.
          progress: Called with the number of images just done.

        Returns:
          `Costs`.
        """
        job = BitsBack(self.networks, self.coder, grid, stack)
        stop = len(levels)
        for count in reversed(steps_of(stop, self.networks.lanes)):
            part = slice(stop - count, stop)
            job.push(levels[part], tuple(each[part] for each in q), self._prior(job, count))
            stop -= count
            progress(count)
        return job.costs

    def pop(self, levels, grid, stack, progress):
        """Pops a block of images into `levels`, uint8 `[N, H, W, C]`: see `push`."""
        job = BitsBack(self.networks, self.coder, grid, stack)
        start = 0
        for count in steps_of(len(levels), self.networks.lanes):
            levels[start : start + count], _ = job.pop(self._prior(job, count))
            start += count
            progress(count)

    def _prior(self, job, count):
        if self.index is None:
            return job.unconditional(count)
        return CodesPrior(self.index, count)
