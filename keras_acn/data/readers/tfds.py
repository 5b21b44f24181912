"""Any TensorFlow Datasets name, from a prepared copy or by download."""

from __future__ import annotations

import functools
import os
import socket
import threading
import urllib.parse
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_acn._base.errors import UserError, first_line, unknown_name
from keras_acn.data.checks import check_images, white_of
from keras_acn.data.readers.base import Parts, Source, reblocked
from keras_acn.data.transform import transform_images

_BATCH = 256
_PROBE_HOST = "storage.googleapis.com"


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


def names() -> list[str]:
    """Return the names of all data sets that TensorFlow Datasets has code for."""
    return _tfds().list_builders(with_community_datasets=False)


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
            f'The TensorFlow dataset "{name}" cannot be set up: {first_line(error)}.'
        ) from error


def network_answers(timeout: float = 4.0) -> bool:
    """Return whether a connection to the data sets' main host (or the proxy) can be made.

    Asked before a download, which would go on trying for minutes.

    Args:
      timeout: Seconds, the name look-up included.
    """
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    host, port = _PROBE_HOST, 443
    if proxy:
        parsed = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        host, port = parsed.hostname or host, parsed.port or 80
    answers = []

    def connect():
        try:
            socket.create_connection((host, port), timeout=timeout).close()
            answers.append(True)
        except OSError:
            pass

    # A look-up of a name takes no timeout of its own, hence the thread.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answers)


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
            f'The TensorFlow dataset "{name}" cannot be downloaded ({first_line(error)}): {others}.'
        ) from error


class TfdsSource(Source):
    """Images `[start, stop)` of a split, in the order in which it is stored.

    Args:
      builder: The prepared data set's builder.
      name: What the user calls the data set.
      split: Name of the split.
      start, stop: Images of the split.
      look: Options of `transform_images`.
    """

    has_labels_ahead = False

    def __init__(
        self,
        builder: Any,
        name: str,
        split: str,
        start: int,
        stop: int,
        look: dict[str, Any] | None = None,
    ):
        self._builder, self._dataset, self._split = builder, name, split
        self._start, self._stop, self._look = start, stop, look or {}
        self._subject = f'The "{split}" split of {name}'
        self.name = f"t{self._subject[1:]}"
        features = builder.info.features
        image, label = features["image"], features["label"] if "label" in features else None
        self._image_shape = tuple(image.shape)
        self.dtype = np.dtype("f4" if np.issubdtype(image.np_dtype, np.floating) else "u1")
        self._labelled = (
            label is not None and label.shape == () and np.issubdtype(label.np_dtype, np.integer)
        )
        if label is not None and self._labelled and getattr(label, "num_classes", None):
            self.class_names = tuple(label.names)

    def _changed(self, **changes):
        given = {"start": self._start, "stop": self._stop, "look": self._look}
        new = TfdsSource(self._builder, self._dataset, self._split, **{**given, **changes})
        new.part, new.peers, new._origin = self.part, self.peers, self._origin or self
        return new

    def pick(self, rows: Iterable[int]) -> Source:
        rows = np.asarray(rows, np.int64)
        if not len(rows) or rows[-1] - rows[0] != len(rows) - 1:
            return super().pick(rows)
        first = self._start + int(rows[0])
        return self._changed(start=first, stop=first + len(rows))

    def transformed(self, crop=None, resize=None, grey=False) -> Source:
        return self._changed(look={"crop": crop, "resize": resize, "grey": grey})

    def check(self) -> None:
        """Nothing to do: the images are checked as they are read."""

    def __len__(self):
        return self._stop - self._start

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # mypy takes it for read-only
        known = len(self._image_shape) == 3 and None not in self._image_shape
        if known and not any(self._look.values()):
            return (len(self), *self._image_shape)
        return (len(self), *next(self._images([])).shape[1:])

    def white(self):
        grey = self._look.get("grey") and self._image_shape[-1] != 1
        if self.dtype == np.uint8 and (self._look.get("resize") or grey):
            return 255  # Pixels that are mixed from several are brought to 8 bits first.
        return super().white()

    @functools.cached_property
    def _white(self):
        sources = (self, *self.peers)
        return white_of(batch["image"] for s in sources for batch in s._examples(["image"]))

    def _examples(self, wanted):
        """Yield batches of NumPy arrays, of one image where sizes may differ."""
        tfds = _tfds()
        dataset = self._builder.as_dataset(
            split=tfds.core.ReadInstruction(
                self._split, from_=self._start, to=self._stop, unit="abs"
            ),
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(dict.fromkeys(wanted, True)),
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        one_by_one = "image" in wanted and None in self._image_shape
        try:
            yield from tfds.as_numpy(dataset.batch(1 if one_by_one else _BATCH))
        except Exception as error:
            # A damaged record raises errors of TensorFlow's and of TFDS's own.
            raise UserError(
                f"{self._subject} cannot be read ({first_line(error)}): prepare it again."
            ) from error

    def _images(self, labels):
        """Yield transformed images; what labels come with them are added to the list."""
        levels = shape = None
        if self.dtype == np.uint8 and any(self._look.values()):
            levels = super().white() + 1
        for batch in self._examples(["image", "label"] if self._labelled else ["image"]):
            images = check_images(batch["image"], f"The images of {self.name}")
            images = transform_images(images, levels, **self._look)[0]
            shape = shape or images.shape[1:]
            if images.shape[1:] != shape:
                raise UserError(
                    f"The images of {self.name} differ in size ({list(shape)} and "
                    f"{list(images.shape[1:])}): give resize=SIZE."
                )
            labels += list(batch.get("label", []))
            yield images

    def blocks(self, size):
        labels, count = [], 0
        for block in reblocked(self._images(labels), size):
            count += len(block)
            yield block
        if count != len(self):
            raise UserError(f"{self._subject} ends early: prepare it again.")
        self._seen_labels = labels

    _seen_labels = None

    def _labels(self):
        labels = self._seen_labels
        if labels is None and self._labelled:
            labels = [each for batch in self._examples(["label"]) for each in batch["label"]]
        # Some publish test images whose labels are all withheld, as -1.
        return labels if labels and max(labels) >= 0 else None


def open_tfds(name: str, data_dir: str | None = None) -> Parts:
    """Open a data set of TensorFlow Datasets, which is downloaded if it must be.

    The parts are its `train` and `test` splits and, besides them, `validation`; where there
    is no `test`, `validation` is the test part (as for `imagenet_resized`).

    Args:
      name: Such as `"mnist"`, `"imagenet_resized/32x32"` or `"mnist:3.0.1"`.
      data_dir: Folder of prepared copies, or `None` for the usual one.

    Raises:
      UnknownDataset: If there is no such data set.
      UserError: If it is not there and there is no network, if the download fails, or if
        it does not hold images.
    """
    tfds = _tfds()
    builder = _builder(tfds, name, data_dir)
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

    def part(split):
        return TfdsSource(builder, name, split, 0, splits[split]) if split in splits else None

    if "test" in splits:
        return Parts(part("train"), part("validation"), part("test"))
    return Parts(part("train"), test=part("validation"))
