"""Any TensorFlow Datasets name, from a prepared copy or by download."""

import os

import numpy as np

from keras_acn._base.errors import UserError, unknown_name
from keras_acn.data.checks import check_images, check_labels
from keras_acn.data.network import network_answers
from keras_acn.data.parts import Part, Parts, infer_levels
from keras_acn.data.transform import transform_images

_BATCH = 256


class UnknownDataset(Exception):
    """There is neither code nor a prepared copy under this name."""


def _tfds():
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            "TensorFlow Datasets is not installed: install tensorflow-datasets, or use digits, "
            "idx:DIR, npz:FILE, npy:FILE or images:DIR."
        ) from error
    return tfds


def names():
    """Returns the names of all data sets that TensorFlow Datasets has code for."""
    return _tfds().list_builders(with_community_datasets=False)


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")


def _builder(tfds, name, data_dir):
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise UnknownDataset(name) from error
    except Exception as error:
        # Unknown configurations and versions, missing packages, unreadable folders.
        base, _, config = name.partition("/")
        if config and base in names():
            configs = [c.name for c in tfds.builder_cls(base).BUILDER_CONFIGS]
            if configs and config.split(":")[0] not in configs:
                raise unknown_name(f"configuration of {base}", config, configs) from error
        raise UserError(
            f'The TensorFlow dataset "{name}" cannot be set up: {_first_line(error)}.'
        ) from error


def _prepare(tfds, builder, name):
    if builder.is_prepared():
        return
    others = (
        "use digits, idx:DIR, npz:FILE, npy:FILE or images:DIR, or point --data-dir at the "
        "folder of a prepared copy"
    )
    if not network_answers():
        raise UserError(
            f'The TensorFlow dataset "{name}" is not in "{os.path.dirname(builder.data_dir)}" '
            f"and there is no network to download it: {others}."
        )
    try:
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except Exception as error:
        # Hosts that are gone, checksums, full disks, files to be fetched by hand.
        raise UserError(
            f'The TensorFlow dataset "{name}" cannot be downloaded ({_first_line(error)}): '
            f"{others}."
        ) from error


def _examples(tfds, builder, split, start, stop, where):
    """Yields batches `{"image", "label"}` of NumPy arrays, of one image where sizes may differ."""
    features = builder.info.features
    wanted = {"image": True}
    label = features["label"] if "label" in features else None
    if label is not None and label.shape == () and np.issubdtype(label.np_dtype, np.integer):
        wanted["label"] = True
    dataset = builder.as_dataset(
        split=tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs"),
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(wanted),
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    one_size = None not in features["image"].shape
    try:
        yield from tfds.as_numpy(dataset.batch(_BATCH if one_size else 1))
    except Exception as error:
        # A damaged record raises errors of TensorFlow's and of TFDS's own.
        raise UserError(
            f"{where} cannot be read ({_first_line(error)}): prepare it again."
        ) from error


def _read(tfds, builder, name, split, start, stop, request):
    """Reads images `[start, stop)` of a split. Returns `(Part, levels)`."""
    where = f'The "{split}" split of {name}'
    images, labels, levels, at = None, [], None, 0
    for batch in _examples(tfds, builder, split, start, stop, where):
        raw = check_images(batch["image"], f"{where}: its images")
        if images is None:
            # One image alone may be black: it tells nothing about the levels.
            levels = infer_levels(raw) if len(raw) > 1 or raw.dtype != np.uint8 else 256
        raw, new_levels = transform_images(raw, levels, **request.look)
        if images is None:
            images = np.empty((stop - start, *raw.shape[1:]), raw.dtype)
        if raw.shape[1:] != images.shape[1:]:
            raise UserError(
                f"{where}: its images differ in size ({list(images.shape[1:])} and "
                f"{list(raw.shape[1:])}): give resize=SIZE."
            )
        images[at : at + len(raw)] = raw
        labels += list(batch.get("label", []))
        at += len(raw)
    if labels and max(labels) < 0:
        labels = []  # Some publish test images whose labels are all withheld, as -1.
    if at != stop - start:
        raise UserError(f"{where} ends early: prepare it again.")
    return Part(images, check_labels(labels or None, at, f"{where}: its labels")), new_levels


def read_tfds(name, request):
    """Reads a data set of TensorFlow Datasets into memory.

    The parts are its `train` and `test` splits and, besides them, `validation`; where there
    is no `test`, `validation` is the test part (as for `imagenet_resized`); where there is
    neither, the last images of `train` are.

    Args:
      name: Such as `"mnist"`, `"imagenet_resized/32x32"` or `"mnist:3.0.1"`.
      request: `Request`.

    Returns:
      `(Parts, whether it has a test part of its own)`.

    Raises:
      UnknownDataset: If there is no such data set.
      UserError: If it is not there and there is no network, if the download fails, or if
        it does not hold images.
    """
    tfds = _tfds()
    builder = _builder(tfds, name, request.data_dir)
    if builder.info.features is not None and "image" not in builder.info.features:
        raise UserError(
            f'The TensorFlow dataset "{name}" has no "image" (it has '
            f"{', '.join(builder.info.features)}): choose one of images."
        )
    _prepare(tfds, builder, name)
    splits = {k: s.num_examples for k, s in builder.info.splits.items() if s.num_examples}
    if "train" not in splits:
        raise UserError(
            f'The TensorFlow dataset "{name}" has no "train" split (it has '
            f"{', '.join(splits) or 'none'}): choose another."
        )
    test_split = next((s for s in ("test", "validation") if s in splits), None)

    def part(split, start=0, stop=None):
        stop = splits[split] if stop is None else stop
        if request.limit is not None:
            stop = min(stop, start + request.limit)
        return _read(tfds, builder, name, split, start, stop, request)

    cut, test = splits["train"], None
    if test_split is None:
        amount = request.test_amount(cut)
        held = max(1, round(cut * amount)) if isinstance(amount, float) else amount
        if held >= cut:
            raise UserError(f"test={amount} leaves none of the {cut} images to train on.")
        cut -= held
        test = part("train", cut)[0] if held else None
    else:
        test = part(test_split)[0]
    train, levels = part("train", 0, cut)
    validation = None
    if test_split == "test" and "validation" in splits:
        validation = part("validation")[0]
    classes = None
    if train.labels is not None:
        classes = getattr(builder.info.features["label"], "num_classes", None)
    return Parts(train, test, validation, levels, classes), test_split is not None
