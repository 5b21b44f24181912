"""Images decoded from a grid over two latents."""

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.plots.checks import as_array, as_images, positive_int, same_count
from keras_acn.plots.picture import sheet


def grid(decode, latent_dim, dims=(0, 1), n=20, span=2.0, *, title=None, scale=None):
    """Draws images decoded from an even grid of two latents, the others at zero.

    Args:
      decode: Any callable from codes, float32 [B, latent_dim], to images [B, H, W, C], such
        as `lambda z: model.decode(z).mean()`.
      latent_dim: Length of a code.
      dims: The two latents: the first runs to the right, the second upwards.
      n: Images a side.
      span: Half the range, in the units of z, or a pair (low, high).
      title: A line above.
      scale: Times that each pixel is repeated; `None` finds one that fits.

    Returns:
      A `Picture` of n rows of n images, with the values of the latents beside them.

    Raises:
      UserError: If `dims` or `span` make no sense or `decode` returns no images.
    """
    base = np.zeros(positive_int(latent_dim, "latent_dim"), np.float32)
    return traversal(decode, base, dims, n, span, title=title, scale=scale)


def traversal(decode, base, dims=(0, 1), n=10, span=2.0, *, title=None, scale=None):
    """Draws images decoded around a code, two of its latents moved over a grid.

    Args:
      decode: Any callable from codes, float32 [B, d], to images [B, H, W, C].
      base: The code that gives the other latents, [d].
      dims: The two latents: the first runs to the right, the second upwards.
      n: Images a side.
      span: How far each moves from its value in `base` either way, in the units of z; or a
        pair (low, high) of the values themselves.
      title: A line above.
      scale: Times that each pixel is repeated; `None` finds one that fits.

    Returns:
      A `Picture` of n rows of n images.

    Raises:
      UserError: If `dims` or `span` make no sense or `decode` returns no images.
    """
    base = as_array(base, "base code").astype(np.float32)
    if base.ndim != 1:
        raise UserError(f"The base code must have shape [d], not {list(base.shape)}.")
    across, up = _two_dims(dims, len(base))
    n = positive_int(n, "n")
    xs = np.linspace(*_ends(span, base[across]), n)
    ys = np.linspace(*_ends(span, base[up]), n)[::-1]  # the top row has the highest value
    z = np.tile(base, (n * n, 1))  # [n * n, d]
    z[:, across] = np.tile(xs, n)
    z[:, up] = np.repeat(ys, n)
    pixels = _decoded(decode, z)
    return sheet(
        [list(row) for row in pixels.reshape(n, n, *pixels.shape[1:])],
        # Side by side, as one surface; tiny images could not be told apart so.
        gap=0 if min(pixels.shape[1:3]) >= 16 else 2,
        scale=scale,
        title=title,
        column_labels=_values(xs),
        row_labels=_values(ys),
        footer=f"across: z[{across}], up: z[{up}]",
    )


def _values(values):
    return [f"{v + 0.0:.1f}" for v in np.round(values, 1)]


def _two_dims(dims, latent_dim):
    dims = tuple(dims) if isinstance(dims, (tuple, list, np.ndarray)) else (dims,)
    known = all(isinstance(d, (int, np.integer)) and 0 <= d < latent_dim for d in dims)
    if len(dims) != 2 or not known or dims[0] == dims[1]:
        raise UserError(
            f"`dims` must be two different latents from 0 to {latent_dim - 1}, not {dims}."
        )
    return dims


def _ends(span, center):
    try:
        ends = np.asarray(span, np.float64)
    except (TypeError, ValueError):
        ends = np.full(3, np.nan)
    if ends.shape == () and np.isfinite(ends) and ends > 0:
        return center - ends, center + ends
    if ends.shape == (2,) and np.isfinite(ends).all() and ends[0] < ends[1]:
        return ends
    raise UserError(f"`span` must be a number above zero or a pair (low, high), not {span!r}.")


def _decoded(decode, z):
    if not callable(decode):
        raise UserError("`decode` must be a function from codes [B, d] to images [B, H, W, C].")
    images = decode(z)
    try:
        images = as_array(images, "decoded images")
    except UserError as error:
        raise UserError(
            "`decode` must return images [B, H, W, C], not "
            f"{type(images).__name__}: try `lambda z: model.decode(z).mean()`."
        ) from error
    pixels = as_images(images, "decoded images")
    same_count("decoded images", len(pixels), "codes", len(z))
    return pixels
