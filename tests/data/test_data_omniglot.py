"""Omniglot's shape: 105x105 colour characters, other classes in the test split."""

import numpy as np
import pytest

from keras_acn import data
from keras_acn.data.readers import tfds as tfds_source

tfds = pytest.importorskip("tensorflow_datasets")


class AcnTinyOmniglot(tfds.core.GeneratorBasedBuilder):
    """The features of TensorFlow Datasets' omniglot, and its division into splits."""

    VERSION = tfds.core.Version("1.0.0")
    CLASSES = {"train": range(4), "test": range(4, 7)}
    skip_registration = True

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(105, 105, 3)),
            "alphabet": tfds.features.ClassLabel(num_classes=2),
            "alphabet_char_id": tfds.features.Tensor(shape=(), dtype=np.int64),
            "label": tfds.features.ClassLabel(num_classes=7),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(classes) for name, classes in self.CLASSES.items()}

    def _generate_examples(self, classes):
        rng = np.random.default_rng(0)
        for label in classes:
            for drawer in range(5):
                image = np.full((105, 105, 3), 255, np.uint8)
                image[20:80, 12 * label : 12 * label + 8] = rng.integers(0, 30)
                yield (
                    f"{label}_{drawer}",
                    {"image": image, "alphabet": 0, "alphabet_char_id": label, "label": label},
                )


def test_characters_load_and_classes_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source, "network_answers", lambda: False)
    AcnTinyOmniglot(data_dir=str(tmp_path)).download_and_prepare()
    got = data.load(
        "acn_tiny_omniglot", data_dir=tmp_path, grey=True, resize=28, binarize="threshold"
    )
    assert got.image_shape == (28, 28, 1) and got.num_classes == 7
    assert set(got.train.labels) == set(range(4)) and set(got.test.labels) == {4, 5, 6}
    images, labels = got.train.arrays()
    assert set(np.unique(images)) == {0, 1}
    for label in range(4):
        # Strokes are dark: 8 of 105 columns from 12 times the label on.
        column = round((12 * label + 4) * 28 / 105)
        assert (images[labels == label][:, 8:18, column] == 0).all()
