"""The figures of a run, of a model and of a sweep: what `keras-acn plot` draws, in a notebook.

Every function returns `{name: figure}`, each of which displays itself, and `save` writes them:

    figures.draw("runs/first", ["loss", "samples"])["loss"]
    figures.save(figures.draw(model, data=images), "figures")
"""

from keras_acn._base import lazy as _lazy

_PUBLIC = {
    "draw": "keras_acn.figures.catalogue:draw",
    "compare": "keras_acn.figures.catalogue:compare",
    "daydreams": "keras_acn.figures.catalogue:daydreams",
    "draw_sweep": "keras_acn.figures.sweep:draw_sweep",
    "save": "keras_acn.figures.catalogue:save",
    "FIGURES": "keras_acn.figures.catalogue:FIGURES",
    "SLOW": "keras_acn.figures.catalogue:SLOW",
}

__getattr__, __dir__, __all__ = _lazy.names(__name__, _PUBLIC)
