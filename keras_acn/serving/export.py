"""A trained model into a version folder that TensorFlow Serving serves."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_acn._base.atomic import NewFolder
from keras_acn._base.checks import check_flag
from keras_acn._base.errors import UserError, not_writable, short
from keras_acn._base.quiet import tensorflow_errors_only
from keras_acn._base.shell import expanded
from keras_acn.models import LatentModel
from keras_acn.models.finite import require_finite
from keras_acn.serving import card as model_card
from keras_acn.serving import warmup
from keras_acn.serving.images import ImageDecoder
from keras_acn.serving.signatures import signatures_of, trace
from keras_acn.serving.weights import StoredWeights


@dataclasses.dataclass(frozen=True)
class Export:
    """What `export_model` wrote.

    Attributes:
      path: The version's folder.
      version: Its number.
      name: The model's name.
      signatures: `{name: (inputs, outputs)}`, each `{name: tf.TensorSpec}`.
      weight_bytes: What the weights take in it.
      full_weight_bytes: What they would take in full precision and with the codebook.
      total_bytes: What the whole folder takes.
    """

    path: pathlib.Path
    version: int
    name: str
    signatures: dict
    weight_bytes: int
    full_weight_bytes: int
    total_bytes: int


def export_model(
    model,
    folder,
    version=None,
    quantize=None,
    codebook=True,
    name=None,
    config=None,
    metrics=None,
    examples=None,
):
    """Write a SavedModel that TensorFlow Serving loads, at `folder/VERSION/`.

    It needs nothing of this package, nor Keras: only standard TensorFlow operations. It
    is written beside and renamed into place, so that a server that polls the folder sees
    all of it or nothing.

    Beside the graph and the weights, `assets.extra/` holds the requests that the server
    warms up with, one a signature; the same requests with their answers, to check a
    deployment by; a model card; and the config where one is given.

    Args:
      model: A trained model.
      folder: The folder that the server is pointed at; made where it is missing.
      version: A number, by default the next free one.
      quantize: `"float16"` stores kernels and codes in half precision, which halves the
        size. Computing stays in the model's own precision.
      codebook: Whether the codebook comes along. Without it the export is smaller, and has
        neither `neighbors` nor `nats`, which search it.
      name: The model's name for the server, the folder's by default.
      config: The `keras_acn.experiment.Config` that the model was trained with: its data
        section says what is done to PNG and JPEG files.
      metrics: The figures of the model, as a run's `metrics.json` holds them.
      examples: Images for the warm-up requests, of which up to four are used; by default
        black and white noise.

    Returns:
      An `Export`.

    Raises:
      UserError: If the version exists, the model has not been trained, a part of it runs
        Python inside the graph, or an option does not fit.
      NotFinite: If a weight is no finite number.
    """
    if not isinstance(model, LatentModel):
        raise UserError(
            f"export_model() takes a model of this package, not {short(model, to_text=repr)}."
        )
    codebook = check_flag(codebook, "codebook")
    for what, value, fits, wanted in (
        ("name", name, isinstance(name, str), "a text"),
        ("config", config, hasattr(config, "data"), "the Config of a training"),
        ("metrics", metrics, isinstance(metrics, Mapping), "a mapping"),
    ):
        if value is not None and not fits:
            raise UserError(f"{what} must be {wanted}, not {short(value, to_text=repr)}.")
    folder = pathlib.Path(expanded(folder))
    try:
        os.fspath(folder).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{short(folder, to_text=repr)} is no UTF-8, which TensorFlow needs: choose another "
            "folder."
        ) from None
    if name is not None and (not name.isprintable() or "/" in name or name in ("", ".", "..")):
        raise UserError(
            f"A server asks for a model by its name in a path, so it cannot be "
            f"{short(name, to_text=repr)}: give one without a slash."
        )
    name = name or os.path.basename(os.path.abspath(folder))
    own = model.codebook
    if own is not None:
        if codebook:
            own.require_codes()
    elif not codebook:
        raise UserError(f"A {type(model).__name__} has no codebook to leave out.")
    require_finite(model)
    decoder = None
    if ImageDecoder.can_decode(model.image_shape):
        decoder = ImageDecoder(model.image_shape, config and config.data)
    weights = StoredWeights(model, quantize)
    table = signatures_of(model, decoder, codebook)

    with new_version(folder, version) as new:
        path = new.path
        concrete = trace(table, weights.scope)
        archive = tf.Module()
        archive.weights = weights.used_by(concrete.values())
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        # TensorFlow would tell of the hidden folder that it writes to.
        with tensorflow_errors_only():
            tf.saved_model.save(archive, str(path), signatures=concrete, options=options)
        check_servable(path)

        requests = warmup.requests(model, table, decoder, examples)
        extra = path / "assets.extra"
        extra.mkdir()
        first = [(each, {k: v[:1] for k, v in inputs.items()}) for each, inputs in requests.items()]
        warmup.write(extra / warmup.FILE, name, first)
        answers = {each: _answers(concrete[each], inputs) for each, inputs in requests.items()}
        warmup.write_recorded(extra / warmup.RECORDED, requests, answers)
        if config is not None:
            (extra / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")

        full = weights.full_bytes(archive.weights)
        if own is not None and not codebook and own.built:
            full += own.codes.numpy().nbytes
        stored = sum(int(np.prod(v.shape)) * v.dtype.size for v in archive.weights)
        export = Export(
            path=path,
            version=version,
            name=name,
            signatures={
                each.name: (each.inputs, _specs(concrete[each.name].structured_outputs))
                for each in table
            },
            weight_bytes=stored,
            full_weight_bytes=full,
            total_bytes=0,
        )
        card = model_card.text(model, export, table, decoder, quantize, codebook, config, metrics)
        (extra / model_card.FILE).write_text(card, encoding="utf-8")
        total = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return dataclasses.replace(export, path=new.path, version=int(new.path.name), total_bytes=total)


def versions(folder: str | os.PathLike) -> list[int]:
    """Return the versions in a folder, ascending: what a polling server would see."""
    folder = pathlib.Path(folder)
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


@contextlib.contextmanager
def new_version(folder: str | os.PathLike, version: int | None = None) -> Iterator[NewFolder]:
    """Yield the `NewFolder` of a version, which a server sees once the `with` block has ended.

    Before that it has a hidden name; names that are no numbers are none of a server's business.

    Args:
      folder: The model's folder; made where it is missing.
      version: A number of at least 1, by default the next free one.

    Raises:
      UserError: If the version exists, or the folder cannot be written to.
    """
    folder = pathlib.Path(expanded(folder))
    if version is not None and (
        isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**63
    ):
        raise UserError(f"A version is a whole number of at least 1, not {version!r}.")

    def name():
        there = versions(folder)
        # A server reads 007 as version 7.
        if version in there:
            raise UserError(
                f"{folder} has a version {version} already: leave the version out for "
                f"{there[-1] + 1}, the next free one."
            )
        following = max(there, default=0) + 1
        if version is None and following >= 2**63:
            raise UserError(
                f"{folder} has a version {there[-1]}, and servers know none above 2**63 - 1: give "
                "the version."
            )
        return str(version or following)

    new = NewFolder(folder, name)
    with contextlib.ExitStack() as stack:
        try:
            if folder.is_dir():
                name()
            stack.enter_context(new)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"{folder} is no folder: choose another one to export to.") from error
        except OSError as error:
            raise not_writable(folder, error, "choose another one to export to") from error
        yield new


def _specs(tensors):
    return {name: tf.TensorSpec(each.shape, each.dtype) for name, each in tensors.items()}


def _answers(function, inputs):
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    return {key: value.numpy() for key, value in function(*tensors.values()).items()}


# Each of these names a Python function by a token of the process that traced it.
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


def ops_of(path):
    """Return the names of all ops in a SavedModel, those inside its functions included."""
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    found = set()
    for meta in model.meta_graphs:
        graph = meta.graph_def
        found |= {node.op for node in graph.node}
        found |= {node.op for function in graph.library.function for node in function.node_def}
        found -= {function.signature.name for function in graph.library.function}
    return found


def check_servable(path):
    """Raise `UserError` if the SavedModel at `path` calls Python, as no server can."""
    calls = sorted(ops_of(path) & set(PYTHON_OPS))
    if calls:
        raise UserError(
            f"A part of the model runs Python inside the graph ({', '.join(calls)}), which a "
            "server cannot: write it with TensorFlow or keras.ops, or use a part that is, such as "
            'KNNCodebook(search="exact").'
        )
