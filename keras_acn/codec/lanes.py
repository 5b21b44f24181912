"""How the images of a block are dealt out to lanes.

A lane is one of the sequences of images that are coded side by side, a step of all lanes at a
time. The lanes share one stack, so a lane costs no bits of its own: only where each begins.
"""

import numpy as np

from keras_acn._base.errors import UserError

# Images of a lane, where the number of lanes is chosen: what a lane's beginning costs is then
# a small part of a lane.
IMAGES_PER_LANE = 64
MAX_LANES = 256
# Floats of the biases of an autoregressive decoder's gates, which are there all the time:
# 512 MiB in float64.
MAX_BIAS_FLOATS = 2**26
# Refused, whoever asked for it, a damaged file included: 8 GiB of biases, and about 2 GiB of
# codes that are considered for the images of a step.
MOST_BIAS_FLOATS, MOST_CANDIDATES = 2**30, 2**26


def default_lanes(model, count):
    """Returns the number of lanes for blocks of `count` images: a power of two, 1 to 256."""
    most = MAX_LANES
    if getattr(model.decoder, "is_autoregressive", False):
        most = max(1, min(most, MAX_BIAS_FLOATS // _biases_per_image(model)))
    wanted = max(1.0, min(count / IMAGES_PER_LANE, most))
    return 2 ** min(round(np.log2(wanted)), int(np.log2(most)))


def check_lanes(model, lanes, candidates):
    """Raises a `UserError` where so many lanes would take more memory than there is.

    Args:
      model: An `ACN` or a `VAE`.
      lanes: Images side by side.
      candidates: Codes of the training data that are considered for an image.
    """
    if getattr(model.decoder, "is_autoregressive", False):
        most = max(1, MOST_BIAS_FLOATS // _biases_per_image(model))
        if lanes > most:
            raise UserError(
                f"{lanes} lanes of this model take too much memory: at most {most} fit."
            )
    if lanes * candidates > MOST_CANDIDATES and lanes > 1:
        raise UserError(
            f"{lanes} lanes with {candidates} codes considered for each image take too much "
            "memory: lower the lanes or nearest."
        )


def _biases_per_image(model):
    height, width = model.image_shape[:2]
    return height * width * sum(model.decoder.biases.widths)


def steps_of(count, lanes):
    """Returns how many images each step has: the first lanes are longer by one."""
    full, rest = divmod(count, lanes)
    return [lanes] * full + ([rest] if rest else [])


def segments(count, lanes):
    """Returns the rows of each step where lanes are consecutive segments: a list of int `[n]`.

    Row `starts[l] + t` is the image of lane l at step t.
    """
    lane = np.arange(min(lanes, count))
    # One more image for each of the first lanes.
    starts = lane * (count // lanes) + np.minimum(lane, count % lanes)
    return [starts[:n] + t for t, n in enumerate(steps_of(count, lanes))]
