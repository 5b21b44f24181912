"""TensorFlow Datasets: a small one prepared on the spot, and no network."""

import numpy as np
import pytest

from keras_acn import data
from keras_acn._base.errors import UserError
from keras_acn.data.readers import tfds as tfds_source

tfds = pytest.importorskip("tensorflow_datasets")

network_answers = tfds_source.network_answers
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)


class _Tiny(tfds.core.GeneratorBasedBuilder):
    """Colour images whose label is the first pixel's red mod 4."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE, SPLITS, LABELS = (6, 5, 3), {"train": 20}, True
    skip_registration = True

    def _info(self):
        features = {"image": tfds.features.Image(shape=self.SHAPE)}
        if self.LABELS:
            features["label"] = tfds.features.ClassLabel(num_classes=4)
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(count) for name, count in self.SPLITS.items()}

    def _generate_examples(self, count):
        for row, image in enumerate(self.pictures()[:count]):
            yield (
                row,
                {"image": image, **({"label": int(image.flat[0]) % 4} if self.LABELS else {})},
            )

    @staticmethod
    def pictures():
        return IMAGES


class AcnTinyPlain(_Tiny):
    pass


class AcnTinyParts(_Tiny):
    SPLITS, LABELS = {"train": 12, "validation": 5, "test": 3}, False


class AcnTinyValidated(_Tiny):
    SPLITS = {"train": 12, "validation": 5}


class AcnTinyTestOnly(_Tiny):
    SPLITS = {"test": 5}


class AcnTinySizes(_Tiny):
    SHAPE = (None, None, 3)

    @staticmethod
    def pictures():
        return [np.full((4 + n % 3, 6, 3), n * 10 % 256, np.uint8) for n in range(20)]


class AcnTinyBits(_Tiny):
    SHAPE = (6, 5, 1)

    @staticmethod
    def pictures():
        return IMAGES[..., :1] % 2


class AcnTinyWords(_Tiny):
    def _info(self):
        features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _generate_examples(self, count):
        yield 0, {"text": "word"}


BUILDERS = {
    "acn_tiny_plain": AcnTinyPlain,
    "acn_tiny_parts": AcnTinyParts,
    "acn_tiny_validated": AcnTinyValidated,
    "acn_tiny_test_only": AcnTinyTestOnly,
    "acn_tiny_sizes": AcnTinySizes,
    "acn_tiny_bits": AcnTinyBits,
    "acn_tiny_words": AcnTinyWords,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder of prepared copies."""
    folder = tmp_path_factory.mktemp("prepared")
    for builder in BUILDERS.values():
        builder(data_dir=str(folder)).download_and_prepare()
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(tfds_source, "network_answers", lambda: False)


def multiset(*image_sets):
    return sorted(i.tobytes() for s in image_sets for i in s.images)


def test_a_prepared_copy(prepared):
    got = data.load("acn_tiny_plain", data_dir=prepared)
    assert (len(got.train), len(got.test), got.num_classes) == (18, 2, 4)
    assert multiset(got.train, got.test) == sorted(i.tobytes() for i in IMAGES)
    for part in (got.train, got.test):
        np.testing.assert_array_equal(part.labels, part.images[:, 0, 0, 0] % 4)
        assert part.labels.dtype == np.int32
    again = data.load("acn_tiny_plain:1.0.0", data_dir=prepared, test=0, validation=4)
    assert again.test is None and len(again.train) == 16 and len(again.validation) == 4
    assert multiset(again.train, again.validation) == multiset(got.train, got.test)


def test_published_parts(prepared):
    got = data.load("acn_tiny_parts", data_dir=prepared)
    assert (len(got.train), len(got.validation), len(got.test)) == (12, 5, 3)
    assert multiset(got.test) == sorted(i.tobytes() for i in IMAGES[:3])
    assert got.train.labels is None and got.num_classes is None
    got = data.load("acn_tiny_validated", data_dir=prepared, limit=4)
    assert (len(got.train), got.validation, len(got.test)) == (4, None, 4)
    with pytest.raises(UserError, match="test part of its own"):
        data.load("acn_tiny_parts", data_dir=prepared, test=2)


def test_transforms(prepared):
    got = data.load("acn_tiny_sizes", data_dir=prepared, crop=4, resize=3, grey=True, test=0)
    assert got.image_shape == (3, 3, 1) and got.train.levels == 256
    assert sorted(got.train.images[:, 0, 0, 0]) == [n * 10 for n in range(20)]


def test_black_and_white_is_noticed(prepared):
    got = data.load("acn_tiny_bits", data_dir=prepared, test=0)
    assert got.train.levels == 2
    assert set(np.unique(got.train.arrays()[0])) == {0.0, 1.0}


@pytest.mark.parametrize(
    "name,options,words",
    [
        ("mnist", {}, "no network .*digits, idx:DIR, npz:FILE, npy:FILE or images:DIR.*data-dir"),
        ("imagenet_resized/32x32", {}, "no network"),
        ("imagenet_resized/23x23", {}, 'Unknown configuration.*Did you mean "'),
        ("mnsit", {}, 'Did you mean "mnist"'),
        ("digts", {}, 'Did you mean "digits"'),
        ("mnist:9.9.9", {}, "cannot be set up"),
        ("not a name!", {}, "There is no file or folder"),
        ("acn_tiny_test_only", {}, 'no "train" split'),
        ("acn_tiny_words", {}, 'has no "image"'),
        ("acn_tiny_sizes", {}, "differ in size .*resize"),
        ("acn_tiny_plain", {"test": 20}, "leaves none"),
        ("acn_tiny_plain", {"crop": 9}, "larger than an image"),
    ],
)
def test_what_cannot_be_had_is_told_in_a_sentence(prepared, name, options, words):
    with pytest.raises(UserError, match=words) as caught:
        data.load(name, data_dir=prepared, **options)
    assert "\n" not in str(caught.value)


def test_a_damaged_copy(tmp_path):
    AcnTinyPlain(data_dir=str(tmp_path)).download_and_prepare()
    (record,) = tmp_path.glob("acn_tiny_plain/1.0.0/*tfrecord*")
    content = record.read_bytes()
    record.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot be read|ends early"):
        data.load("acn_tiny_plain", data_dir=tmp_path)


def test_a_failed_download(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise OSError("the host is gone\nsecond line")

    monkeypatch.setattr(tfds_source, "network_answers", lambda: True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UserError, match=r"cannot be downloaded \(the host is gone\)"):
        data.load("mnist", data_dir=tmp_path)


def test_the_probe(monkeypatch):
    class Connection:
        def close(self):
            pass

    asked = []

    def connect(address, timeout):
        asked.append(address)
        if address[0] == "closed.example":
            raise OSError
        return Connection()

    monkeypatch.setattr(tfds_source.socket, "create_connection", connect)
    monkeypatch.setenv("https_proxy", "http://user@open.example:3128")
    assert network_answers()
    monkeypatch.setenv("https_proxy", "closed.example:80")
    assert not network_answers()
    assert asked == [("open.example", 3128), ("closed.example", 80)]
