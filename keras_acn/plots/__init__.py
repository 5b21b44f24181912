"""Every picture of the package, each a function of arrays or tables.

Charts come back as plotnine `ggplot` objects, image sheets as `Picture`, and moving ones
as `Animation`. All three display themselves in a notebook and have `.save(path)`.
No function here needs a run folder or a model: `latents.grid` and `latents.traversal`
take any callable from codes to images.
"""

from keras_acn.plots import curves, dreams, images, latents, movie
from keras_acn.plots.curves import gradient_curves, loss_curves, loss_terms, sweep_curves
from keras_acn.plots.dreams import daydream_gif, daydream_grid, strip
from keras_acn.plots.images import (
    comparison,
    grid,
    members_picture,
    neighbors_picture,
    rows,
    samples,
)
from keras_acn.plots.latents import image_scatter, scatter, traversal
from keras_acn.plots.movie import Animation, training_movie
from keras_acn.plots.picture import Picture

__all__ = [
    "Animation",
    "Picture",
    "comparison",
    "curves",
    "daydream_gif",
    "daydream_grid",
    "dreams",
    "gradient_curves",
    "grid",
    "image_scatter",
    "images",
    "latents",
    "loss_curves",
    "loss_terms",
    "members_picture",
    "movie",
    "neighbors_picture",
    "rows",
    "samples",
    "scatter",
    "strip",
    "sweep_curves",
    "training_movie",
    "traversal",
]
