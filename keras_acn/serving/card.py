"""The model card: what a served model is, takes and answers, for whoever calls it."""

import keras
import tensorflow as tf

from keras_acn import __version__
from keras_acn.serving.signatures import DEFAULT

FILE = "model_card.md"

_COSTS = ("total_nats", "reconstruction_nats", "kl_nats")
_TENSORS = {
    "image": "an image, [height, width, channels], values in [0, 1]",
    "image_bytes": "a PNG or JPEG file, as bytes",
    "seed": "the row's seed: the same row and seed give the same answer, in any batch",
    "latent": "a latent z",
    "code": "a code c, as `encode` gives it; from `neighbors`, those of the neighbours",
    "code_stddev": "its standard deviation under q(c|{x})",
    "mean": "the mean; from `encode`, the code of an image",
    "stddev": "the standard deviation",
    "sample": "an image drawn",
    "index": "rows of the training part of the data, from 0",
    "distance": "Euclidean distances to their codes",
    "reconstruction": "nats, -log r(x|z) summed over the pixels",
    "kl": "nats, the cost of z, summed over the latent dimensions",
    "total": "nats, the sum of both",
}


def text(model, export, table, decoder, quantize, codebook, config=None, metrics=None):
    """Return the model card, Markdown.

    Args:
      model: The model.
      export: The `Export`; of its path and total nothing is told.
      table: The list of `Signature`s.
      decoder: The `ImageDecoder`, or `None`.
      quantize: As given to `export_model`.
      codebook: Likewise.
      config: Likewise.
      metrics: Likewise.
    """
    sections = [
        f"# {export.name}",
        _what_it_is(model, config, metrics),
        "## Signatures",
        "Every input and output has the batch as its first dimension, of any size from one up. "
        "A request that breaks a rule (a wrong shape, an empty batch, a NaN, values outside "
        "[0, 1], bytes that are no image) gets an error that names the input.",
        *(_signature(each, export.signatures[each.name]) for each in table),
        "## What the names mean",
        _names(export.signatures),
    ]
    if decoder is not None:
        sections += [
            "## Files",
            f"What the `*_png` signatures do to a PNG or JPEG file: {decoder.describe()}. The "
            "orientation that a camera notes in a file is not applied.",
        ]
    sections += ["## Weights", _weights(export, model, quantize, codebook)]
    figures = _figures(metrics)
    if figures:
        sections += ["## Figures", figures]
    sections += [
        "## Limits",
        "Answers equal those of the Python model up to rounding: about 1e-5 of their size on "
        "one machine. An image that is drawn can differ in a pixel whose probability lies that "
        "close to the number drawn"
        + (
            ", and an autoregressive decoder then draws other pixels after it."
            if model.decoder.is_autoregressive
            else "."
        ),
        "## Versions",
        f"keras-acn {__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}. Serving "
        "it takes TensorFlow Serving alone, of this TensorFlow's version or newer.",
    ]
    return "\n\n".join(sections) + "\n"


def _what_it_is(model, config, metrics):
    height, width, channels = model.image_shape
    lines = [
        f"The class is `{type(model).__name__}` of keras-acn, for images of {height} x {width} x "
        f"{channels}, with {model.latent_dim} latent dimensions."
    ]
    if config is not None and config.description:
        lines.append(config.description)
    parts = [("encoder", model.encoder), ("prior", model.prior)]
    parts.append(("decoder", model.decoder))
    lines.append("")
    lines += [f"- {kind}: `{type(part).__name__}`" for kind, part in parts if part is not None]
    book = model.codebook
    if book is not None and book.built:
        lines.append(f"- codebook: {book.size} codes, k = {book.k}")
    if config is not None:
        lines.append(
            f"- trained on `{config.data.source}`, binarization `{config.data.binarize}`, "
            f"{_epochs(config, metrics or {})}, seed {config.seed}; "
            + ("the last of them" if len((metrics or {}).get("legs", [])) > 1 else "all of it")
            + " in `config.yaml`"
        )
    return "\n".join(lines)


def _epochs(config, metrics):
    """Return how long a model was trained, which its config alone does not say."""
    done = metrics.get("epochs", config.training.epochs)
    legs = metrics.get("legs", [done])
    if len(legs) > 1:
        each = " + ".join("unknown" if epochs is None else str(epochs) for epochs in legs)
        known = sum(epochs for epochs in legs if epochs is not None)
        total = f"{known} epochs" if None not in legs else f"at least {known} epochs"
        text = f"{total} in {len(legs)} trainings ({each}), each begun with the weights of the last"
    else:
        text = f"{done} epochs"
    kept = metrics.get("epoch_of_the_model", done)
    return text if kept in (None, done) else f"{text}, of which epoch {kept} was kept"


def _signature(signature, tensors):
    inputs, outputs = tensors
    rows = [
        f"| {kind} | `{name}` | {spec.dtype.name} | {_shape(spec)} |"
        for kind, specs in (("input", inputs), ("output", outputs))
        for name, spec in specs.items()
    ]
    head = ["| | name | type | shape |", "|---|---|---|---|"]
    title = f"### `{signature.name}`"
    if signature.name == DEFAULT:
        return f"{title}\n\n{signature.says}"
    return "\n".join([title, "", signature.says, "", *head, *rows])


def _shape(spec):
    return "[" + ", ".join("B" if n is None else str(n) for n in spec.shape) + "]"


def _names(signatures):
    used = {name for pair in signatures.values() for specs in pair for name in specs}
    return "\n".join(f"- `{name}`: {says}" for name, says in _TENSORS.items() if name in used)


def _weights(export, model, quantize, codebook):
    lines = [
        f"{export.weight_bytes / 1e6:.2f} MB; in full precision"
        + (" and with the codebook" if model.codebook is not None else "")
        + f" {export.full_weight_bytes / 1e6:.2f} MB."
    ]
    if quantize:
        lines.append(
            f"Kernels and codes are stored as {quantize}, and computed with in "
            f"{model.compute_dtype}."
        )
    if not codebook:
        lines.append("The codebook was left out, so there is neither `neighbors` nor `nats`.")
    return " ".join(lines)


def _figures(metrics):
    rows = []
    # A training loss has no bits per dimension. Earlier versions did not note which it is.
    is_code_length = (metrics or {}).get("is_code_length", True)
    for part in ("train", "validation", "test"):
        values = (metrics or {}).get(part)
        if isinstance(values, dict) and "total_nats" in values:
            cells = [_cell(values, name, 2) for name in _COSTS]
            cells += [_cell(values, "bits_per_dim", 4)] * is_code_length
            rows.append(f"| {part} | {' | '.join(cells)} |")
    if not rows:
        return ""
    names = ["nats per image", "total", "reconstruction", "KL", *["bits/dim"] * is_code_length]
    head = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    note = [] if is_code_length else ["", "These nats are a training loss, and no code length."]
    return "\n".join(["At the end of training:", "", *head, *rows, *note])


def _cell(values, name, digits):
    """Return a cost as text; of one that is no finite number, or was not noted, a dash."""
    value = values.get(name)
    return "-" if value is None else f"{value:.{digits}f}"
