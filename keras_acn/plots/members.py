"""New members of classes beside the few images that each class was known by."""

from keras_acn._base.errors import UserError
from keras_acn.plots.checks import as_images, same_count
from keras_acn.plots.picture import sheet


def members_picture(given, drawn, *, title=None, scale=None):
    """Draws, for each class, the images a homoencoder was given and new ones that it drew.

    Args:
      given: A sequence of W sets of images, each [M, H, W, C]; M may differ.
      drawn: A sequence of as many sets, each [n, H, W, C], such as
        `model.generate_like(images)` returns for each set.
      title: A line above.
      scale: Times that each pixel is repeated; `None` makes small images legible.

    Returns:
      A `Picture` of a row for each class: the given images, a gap, the drawn ones.

    Raises:
      UserError: If there are no sets, or not one of drawn images for each of given ones.
    """
    left = [as_images(each, "given images") for each in given]
    right = [as_images(each, "drawn images") for each in drawn]
    if not left:
        raise UserError("There are no sets of images to draw: give at least one.")
    same_count("sets of drawn images", len(right), "sets of given ones", len(left))
    if len({each.shape[1:] for each in [*left, *right]}) > 1:
        raise UserError("The given and the drawn images must all have one shape [H, W, C].")
    most = max(map(len, left))
    rows = [
        [*one, *[None] * (most - len(one) + 1), *other]
        for one, other in zip(left, right, strict=True)
    ]
    words = ["given", *[""] * most, "drawn"]
    return sheet(rows, column_labels=words, title=title, scale=scale)
