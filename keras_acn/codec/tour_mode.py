"""Images as a set: each under the prior conditioned on the code of the image before.

The order is the greedy tour over the images' codes, cut into one segment for each lane. The
code that a prior is conditioned on is that of an image which the receiver has just decoded
in the same lane, so the receiver needs no codes and no order. The first image of a lane is
coded as in `stream` mode.
"""

from keras_acn._base.errors import UserError
from keras_acn.codebook.tour import greedy_tour
from keras_acn.codec.bits_back import BitsBack
from keras_acn.codec.lanes import segments
from keras_acn.codec.priors import CodesPrior

# Codes in the mixture that the first image of a lane is coded with.
FIRST_CODES = 4096


class TourMode:
    """Codes a block of images in the order of a tour.

    Args:
      networks: `Networks` of an associative model.
      coder: What `image_coder(networks)` returns.
      index: A `CodeIndex`, for the first image of each lane.

    """

    def __init__(self, networks, coder, index):
        self.networks = networks
        self.coder = coder
        self.index = index

    @staticmethod
    def check(networks):
        """Raises a `UserError` where the prior of the model is not conditioned on a code."""
        if not networks.is_associative:
            raise UserError(
                "The prior of this model does not depend on other images, so their order is "
                "worth nothing to it: use the stream mode."
            )

    def arrange(self, q, progress=None):
        """Returns the order in which the images come out: int64 `[N]` rows."""
        return greedy_tour(q[0], start=0 if len(q[0]) else None, progress=progress)

    def push(self, levels, q, grid, stack, progress):
        """Pushes a block of images, already in their order: see `StreamMode.push`."""
        job = BitsBack(self.networks, self.coder, grid, stack)
        steps = segments(len(levels), self.networks.lanes)
        for t, rows in reversed(list(enumerate(steps))):
            prior = job.given(q[0][rows - 1]) if t else CodesPrior(self.index, len(rows))
            job.push(levels[rows], tuple(each[rows] for each in q), prior)
            progress(len(rows))
        job.costs.end_of_lanes()
        return job.costs

    def pop(self, levels, grid, stack, progress):
        """Pops a block of images into `levels`, uint8 `[N, H, W, C]`: see `push`."""
        job = BitsBack(self.networks, self.coder, grid, stack)
        codes = None
        for t, rows in enumerate(segments(len(levels), self.networks.lanes)):
            count = len(rows)
            prior = job.given(codes[:count]) if t else CodesPrior(self.index, count)
            levels[rows], (codes, _) = job.pop(prior)
            progress(count)
