"""Opening a saved model, and the trained ones that come with the package.

`load_model` is the one door for files, which may be damaged or a stranger's: the archive, the
classes that the config names, and the weights are checked before Keras sees any of it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import os
import pathlib
import re
import threading
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_acn._base import lazy
from keras_acn._base.errors import NotFinite, UserError, first_line, short, unknown_name
from keras_acn._base.reading import over_limit
from keras_acn._base.shell import expanded
from keras_acn._base.shipped import pretrained_folders as pretrained_folders
from keras_acn._base.shipped import require_weights

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# The members of a file and how large they may be, in bytes; the weights as large as the file.
_MOST = {"metadata.json": 10**6, CONFIG: 10**7, WEIGHTS: None}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Weights are stored as they are. Packed again, they do not shrink by more than this.
_MOST_PACKED, _ALWAYS_ALLOWED = 100, 2**26
_DEEPEST = 64
_TOO_LARGE = "its config describes larger networks than it has weights of"
# Names in a file of weights. A group that others hold twice over is walked twice.
_MOST_NAMES = 20_000
# How Keras writes plain values, and the rooms and kinds of its own classes that a model may have.
_PLAIN = (
    *("__tuple__", "__numpy__", "__tensor__", "__keras_tensor__", "__ellipsis__"),
    *("__slice__", "__bytes__"),
)
_KERAS = re.compile(r"keras(\.src)?(\.[a-z_0-9]+)*")
_NOT_KERAS = (
    *("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
    # Their vocabulary may be a file of any name, or an address, which they read at once.
    *("StringLookup", "IntegerLookup", "TextVectorization"),
)
# What metrics keep grows with the square of a number in their config.
_MOST_IN_METRICS = 1_000
# These of Keras's activations make functions of what they are given.
_NO_ACTIVATIONS = ("get", "serialize", "deserialize")
# Values are looked at by so many at a time.
_BLOCK = 2**22
_building = threading.local()
# Files are opened one after the other, as what counts weights is one for all threads.
_one_at_a_time = threading.RLock()


def load_model(path, compile=True):
    """Open a model saved with `model.save("NAME.keras")`, its codebook included.

    `keras.saving.load_model` does the same once `keras_acn.models` is imported; this
    imports it, and says in one sentence what is wrong with a file. It names only classes of this
    package, layers and optimizers of Keras, and what you registered with
    `keras.saving.register_keras_serializable`: no other code is imported or run.

    Args:
      path: Path of a `.keras` file.
      compile: Whether the optimizer is restored too.

    Raises:
      UserError: If there is no such file, or it is no model of this package, or its weights are
        not finite.
    """
    from keras_acn.models.base import LatentModel

    path = pathlib.Path(expanded(path))
    if not os.path.isfile(path):
        raise UserError(f"There is no model file {path}: give the path of a .keras file.")
    damaged = f"{path} is damaged, or no model of keras_acn"
    try:
        values = _check_archive(path, LatentModel)
        with no_more_weights_than(values, _Fault(_TOO_LARGE)):
            model = keras.saving.load_model(path, compile=compile, safe_mode=True)
            _check_use(model)
    except _Fault as fault:
        raise UserError(f"{damaged}: {fault}.") from fault.__cause__
    except UserError:
        raise
    except Exception as error:
        # Whatever Keras, HDF5 or a layer says of a file that is none of theirs.
        raise UserError(f"{damaged}: {first_line(error)}.") from error
    if not isinstance(model, LatentModel):
        raise UserError(f"{damaged}: it holds a {type(model).__name__}.")
    return model


def load_pretrained(name):
    """Open a trained model that comes with the package; needs no network.

    Args:
      name: Its name, such as `"acn-mnist"`.

    Returns:
      The model, compiled, so that `evaluate` works as it is.

    Raises:
      UserError: If there is none of that name, with the nearest one, or its weights are too large
        to come with the package, with where they are.
    """
    require_weights(name)
    folders = pretrained_folders()
    if name not in folders:
        raise unknown_name("pretrained model", name, folders)
    model = load_model(folders[name] / "model.keras", compile=False)
    model.compile()
    return model


class _Fault(Exception):
    """What is wrong with a file, in words that end a sentence."""


def _check_archive(path: pathlib.Path, base: type) -> int:
    """Check a file whole; return how many values its weights have."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path.stat().st_size)
            config = archive.read(CONFIG)
            weights = archive.read(WEIGHTS)
            archive.read("metadata.json")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise _Fault(f"it cannot be unpacked ({short(error, 120)})") from error
    try:
        parsed = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"its {CONFIG} is no JSON") from error
    if not isinstance(parsed, dict):
        raise _Fault(f"its {CONFIG} describes no model")
    _check_classes(parsed)
    cls = _registered(parsed.get("registered_name")) or _registered(parsed.get("class_name"))
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise _Fault(f"it holds a {short(parsed.get('class_name'))}")
    return _check_weights(weights)


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    names = [each.filename for each in members]
    for name in _MOST:
        if names.count(name) != 1:
            raise _Fault(f"it must hold one {name}, and holds {names.count(name)}")
    for each in members:
        if each.filename not in _MOST:
            raise _Fault(f'no model has a part called "{short(each.filename)}"')
        if each.flag_bits & 1:
            raise _Fault("it is encrypted")
        if each.compress_type not in _METHODS:
            raise _Fault(f"it is packed by a method, {each.compress_type}, that models are not")
        most = _MOST[each.filename]
        if most is None:
            most = max(_ALWAYS_ALLOWED, _MOST_PACKED * size)
        if each.file_size > most:
            raise _Fault(f"its {each.filename} would unpack to {each.file_size:,} bytes")
        fault = over_limit(each.file_size) if each.file_size > size else None
        if fault is not None:
            raise _Fault(f"its {each.filename} would take {fault}")


def _registered(name: Any) -> Any:
    return keras.saving.get_registered_object(name) if isinstance(name, str) else None


def _check_classes(config: Any) -> None:
    """Refuse a config that is nested without sense, or names classes that nobody registered."""
    layer = [config]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for each in layer:
            if isinstance(each, dict):
                if "class_name" in each:
                    _check_class(each)
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        layer = below
        if not layer:
            return
    raise _Fault(f"its {CONFIG} is nested more than {_DEEPEST} deep")


def _check_class(each: dict) -> None:
    name, module = each["class_name"], each.get("module")
    _check_metric(each)
    if name == "function":
        _check_function(each)
        return
    if name in _PLAIN or _registered(each.get("registered_name")) is not None:
        return
    if isinstance(name, str) and module is None and _registered(name) is not None:
        return
    if isinstance(name, str) and (module is None or isinstance(module, str)):
        of_keras = module is None or _KERAS.fullmatch(module)
        if of_keras and name not in _NOT_KERAS and (_is_of_keras(name) or _is_operation(each)):
            return
    where = f"{short(module)}." if module else ""
    raise _Fault(
        f'it names the class "{where}{short(name)}", which is none of this package: import the '
        "module that registers it (keras.saving.register_keras_serializable) before the file is "
        "opened"
    )


def _check_metric(each: dict) -> None:
    """Refuse a metric with a large number: Keras makes its memory before anybody asks for it."""
    metric = getattr(keras.metrics, str(each["class_name"]), None)
    if not (isinstance(metric, type) and issubclass(metric, keras.metrics.Metric)):
        return
    config = each.get("config")
    for value in config.values() if isinstance(config, dict) else ():
        if isinstance(value, (int, float)) and not abs(value) <= _MOST_IN_METRICS:
            raise _Fault(
                f"it names the metric {short(each['class_name'])} of {short(value)}, and a model "
                f"has none of more than {_MOST_IN_METRICS:,}"
            )


def _check_function(each: dict) -> None:
    """Refuse a function that is neither registered nor an activation of Keras.

    Keras looks for it in the module that the file names, whatever that is, and imports it.
    """
    inner, module = each.get("config"), each.get("module")
    if _registered(inner) is not None:
        return
    of_keras = module in (None, "builtins") or (
        isinstance(module, str) and _KERAS.fullmatch(module) is not None
    )
    known = isinstance(inner, str) and callable(getattr(keras.activations, inner, None))
    known = known and inner not in _NO_ACTIVATIONS
    if not (of_keras and known):
        raise _Fault(f'it names the function "{short(inner)}", which nobody registered')


def _is_of_keras(name: str) -> bool:
    """Whether Keras has a public class of this name of which models are made."""
    if name == "Functional":
        return True  # what keras.Model(inputs, outputs) is called in files
    kinds = (
        keras.Layer,
        keras.Optimizer,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
        keras.dtype_policies.DTypePolicy,
        keras.losses.Loss,
        keras.metrics.Metric,
    )
    rooms = (
        *(keras.layers, keras.optimizers, keras.optimizers.schedules, keras.initializers),
        *(keras.regularizers, keras.constraints, keras.dtype_policies, keras.losses),
        *(keras.metrics, keras),
    )
    found = (getattr(room, name, None) for room in rooms)
    return any(isinstance(each, type) and issubclass(each, kinds) for each in found)


def _is_operation(each: dict) -> bool:
    """Whether it is a step such as `x + 1` of a Functional model; those that call are not."""
    module = str(each.get("module"))
    if not re.fullmatch(r"keras\.src\.ops\.(numpy|nn|linalg|math)", module):
        return False
    found = getattr(lazy.load(module), each["class_name"], None)
    return isinstance(found, type) and issubclass(found, keras.Operation)


def _check_weights(file: bytes) -> int:
    """Refuse an HDF5 file that is damaged, reaches out of itself, or holds what is not finite."""
    import h5py

    total = 0
    try:
        with h5py.File(io.BytesIO(file), "r") as weights:
            for name, dataset in _datasets(weights, "", 0, h5py, itertools.count(1)):
                if dataset.is_virtual or dataset.external:
                    raise _Fault(f"its weight {short(name)} lies in another file")
                total += dataset.nbytes
                if dataset.dtype.kind not in "biufV" or dataset.dtype.names is not None:
                    raise _Fault(f"its weight {short(name)} holds no numbers")
                # They are stored as they are, so that none is larger than the file. A piece of
                # one, which is unpacked whole, may be larger than what it is a piece of.
                piece = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
                if max(total, piece) > len(file):
                    raise _Fault(f"its weight {short(name)} is larger than the file")
                if not _is_finite(dataset):
                    raise _Fault(
                        f"its weight {short(name)} is not finite, as of a training that "
                        "diverged: train again with a smaller learning rate, or clipnorm"
                    )
    except _Fault:
        raise
    except Exception as error:
        raise _Fault(f"its {WEIGHTS} is damaged") from error
    # No weight takes less than a byte.
    return total


def _datasets(
    group: Any, path: str, depth: int, h5py: Any, seen: Iterator[int]
) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        raise _Fault(f"its {WEIGHTS} is nested more than {_DEEPEST} deep")
    for name in group:
        if next(seen) > _MOST_NAMES:
            raise _Fault(f"its {WEIGHTS} has more than {_MOST_NAMES:,} names")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _Fault(f"its weight {short(f'{path}{name}')} lies somewhere else")
        each = group[name]
        if isinstance(each, h5py.Dataset):
            yield f"{path}{name}", each
        else:
            yield from _datasets(each, f"{path}{name}/", depth + 1, h5py, seen)


def _is_finite(dataset: Any) -> bool:
    if dataset.dtype.kind != "f" or not dataset.size:
        # Reading tells whether it is damaged.
        dataset[()]
        return True
    if not dataset.shape:
        return bool(np.isfinite(dataset[()]))
    rows = max(1, _BLOCK // max(1, math.prod(dataset.shape[1:])))
    blocks = range(0, dataset.shape[0], rows)
    return all(np.isfinite(dataset[start : start + rows]).all() for start in blocks)


def _check_use(model: Any) -> None:
    """Refuse a model that was built, and would fail when it is used."""
    from keras_acn.models.finite import PARTS, require_finite

    for name in PARTS:
        if getattr(getattr(model, name, None), "compute_dtype", None) == "float64":
            raise _Fault(f"its {name.replace('_', ' ')} computes in float64, and no model does")
    beta = getattr(model, "beta", 0.0)
    if isinstance(beta, keras.optimizers.schedules.LearningRateSchedule):
        float(np.asarray(beta(0)))
    try:
        # A number that HDF5 holds may be too large for the weight's own type.
        require_finite(model)
    except NotFinite as error:
        raise _Fault(f"{error.terms[0]} is not finite as {model.compute_dtype}") from error


@contextlib.contextmanager
def no_more_weights_than(values: int, fault: Exception) -> Iterator[None]:
    """A context in which layers of this thread may have so many values; else `fault` is raised.

    Else a config could ask for any amount of memory before its weights are seen not to fit.
    """

    def counted(layer, shape=None, *args, **kwargs):
        left = getattr(_building, "left", None)
        if left is not None:
            _building.left = left - math.prod(int(each) for each in shape or ())
            if _building.left < 0:
                raise fault
        return add_weight(layer, shape, *args, **kwargs)

    with _one_at_a_time:
        add_weight = keras.Layer.add_weight
        keras.Layer.add_weight = counted
        before, _building.left = getattr(_building, "left", None), values
        try:
            yield
        finally:
            _building.left = before
            keras.Layer.add_weight = add_weight
