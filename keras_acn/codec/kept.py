"""What is made of a model once, and kept as long as the model lives.

Making the float64 copies of a model's networks, their graphs and the priors of its codes takes
seconds, and TensorFlow never gives back all the memory of a graph. So they are made for the first
file and serve the next ones. They are held beside the model, never in it: nothing of them is saved,
cloned, pickled or walked by Keras, and they go when the model goes.

Models that come out of files die with each call of `decompress`, so the last one of each kind is
kept here itself.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import keras

from keras_acn.codec.fingerprints import fingerprint

# Of each kind of thing that is kept for a model, such as graphs by the number of lanes.
MOST_OF_A_KIND = 8
# Weights and codes of a model from a file that is kept when nobody else holds it: 64 MiB.
MOST_WEIGHTS = 2**24

_LOCK = threading.Lock()
_KEPT: weakref.WeakKeyDictionary[Any, Kept] = weakref.WeakKeyDictionary()
_LAST: dict[str, tuple[Hashable, Any]] = {}


class Kept:
    """What has been made of a model in its present state. It must not refer to the model.

    Args:
      state: What tells whether the model is still as it was.

    Example:
      >>> kept = Kept(state=None)
      >>> kept.get("squares", 3, lambda: 9), kept.get("squares", 3, lambda: 10)
      (9, 9)
    """

    def __init__(self, state: Hashable):
        self.state = state
        # Whoever else needs the same waits for it, so that it is made once. What is made may ask
        # for more of it.
        self._lock = threading.RLock()
        self._made: dict[str, OrderedDict[Hashable, Any]] = {}

    def get(self, kind: str, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what is kept under a key, or else make it.

        Args:
          kind: What it is; of each kind the last `MOST_OF_A_KIND` are kept.
          key: Which one.
          make: Makes it.
        """
        with self._lock:
            made = self._made.setdefault(kind, OrderedDict())
            if key not in made:
                made[key] = make()
            made.move_to_end(key)
            while len(made) > MOST_OF_A_KIND:
                made.popitem(last=False)
            return made[key]


def kept(model: Any) -> Kept:
    """Return what is kept for a model, which is nothing once its networks have changed.

    The codes of its training data do not count: what is made of them goes by them.

    Args:
      model: An `ACN` or a `VAE`.

    Example:
      >>> import keras_acn
      >>> model = keras_acn.VAE((8, 8, 1), latent_dim=3)
      >>> kept(model) is kept(model)
      True
      >>> model.decoder.set_weights([0 * weight for weight in model.decoder.get_weights()])
      >>> kept(model).get("sum", None, lambda: "made anew")
      'made anew'
    """
    # The fingerprint leaves out options of a user's own parts that it cannot know of.
    parts = model.parts().values()
    configs = (repr(keras.saving.serialize_keras_object(part)) for part in parts)
    state = (fingerprint(model, codes=False), *configs)
    with _LOCK:
        found = _KEPT.get(model)
        if found is None or found.state != state:
            found = _KEPT[model] = Kept(state)
        return found


def from_file(kind: str, key: Hashable, make: Callable[[], Any]) -> Any:
    """Return the model of a file that was the last one of its kind, or else make it.

    Args:
      kind: How the file comes by its model.
      key: Which model it is.
      make: Makes it.
    """
    with _LOCK:
        found = _LAST.get(kind)
    if found is not None and found[0] == key:
        return found[1]
    model = make()
    if sum(math.prod(weight.shape) for weight in model.variables) <= MOST_WEIGHTS:
        with _LOCK:
            _LAST[kind] = (key, model)
    return model
