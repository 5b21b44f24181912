"""Images to a file that needs nothing else, and what others make of them."""

import bz2
import gzip
import io
import json
import lzma

import numpy as np
import pytest
from codec_models import as_set, noise

from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.cli import main
from keras_acn.codec import packing, rivals
from keras_acn.codec.rivals import Rival
from keras_acn.data.readers.base import ArraySource
from keras_acn.models import sizes


def striped(count, levels=2, side=8):
    """Images of one stripe each, where a model has much to learn."""
    images = np.zeros((count, side, side), np.uint8)
    images[np.arange(count), np.arange(count) % side] = levels - 1
    return images


@pytest.fixture(scope="module")
def packed():
    return codec.pack(striped(400), minutes=0.02, seed=3)


def test_the_file_alone_gives_the_images_back(packed):
    assert as_set(codec.decompress(bytes(packed))) == as_set(striped(400))
    report = packed.report
    assert report.verified and report.mode == "set"
    assert report.model_bytes + report.data_bytes == len(packed)
    text = packed.to_text()
    assert "bytes of model" in text and "model included" in text
    # Which decoder it is depends on how fast this machine is just now.
    assert packed.model.startswith("VAE with a ") and packed.steps > 0


def test_it_tells_who_is_smaller(packed):
    # A few stripes are no case for a model.
    best = packed.rivals[0]
    assert best.size < len(packed)
    assert f"{best.name} would have been smaller by {len(packed) - best.size:,} bytes" in (
        packed.to_text()
    )
    told = json.loads(json.dumps(packed.to_dict()))
    assert told["rivals"][0]["size"] == best.size and told["model_bytes"] > 0
    other = rivals.table([Rival("xz", "bytes", 300)], own=200)
    assert "None of these" in other and "1.50 times" in other
    assert rivals.table([], own=200).count("\n") == 0


def test_rivals_are_what_the_compressors_write():
    images = noise(30, levels=2)
    found = {rival.name: rival for rival in rivals.rivals(images, 2, ordered=True)}
    contents = images.tobytes(), np.packbits(images.reshape(30, -1), axis=1).tobytes()
    assert found["gzip"].size == min(len(gzip.compress(each, 9)) for each in contents)
    assert found["bz2"].size == min(len(bz2.compress(each)) for each in contents)
    extreme = 9 | lzma.PRESET_EXTREME
    assert found["xz"].size == min(len(lzma.compress(each, preset=extreme)) for each in contents)
    assert "sorted" not in "".join(rival.form for rival in found.values())
    # Where the order may go, nobody gets larger, and copies in a row are worth something.
    copies = np.repeat(noise(40, levels=256), 4, axis=0)[np.random.default_rng(0).permutation(160)]
    ordered = {rival.name: rival.size for rival in rivals.rivals(copies, 256, ordered=True)}
    for rival in rivals.rivals(copies, 256):
        assert rival.size <= ordered[rival.name]
    assert "sorted" in {r.name: r.form for r in rivals.rivals(copies, 256)}["gzip"]


@pytest.mark.parametrize(("shape", "levels"), [((5, 6, 1), 2), ((5, 6, 3), 256)])
def test_a_picture_holds_all_images(shape, levels, monkeypatch):
    from PIL import Image

    images, drawn = noise(7, shape, levels), []
    save = Image.Image.save

    def kept(self, out, **options):
        save(self, out, **options)
        drawn.append(np.asarray(Image.open(io.BytesIO(out.getvalue())).convert(self.mode)))

    monkeypatch.setattr(Image.Image, "save", kept)
    monkeypatch.setattr(rivals, "MOST_SIDE", 12)  # 2 x 2 images a picture
    rivals._painted(images, levels, {"format": "PNG"})
    assert len(drawn) == 2
    tiles = []
    for picture in drawn:
        picture = picture.reshape(*picture.shape[:2], -1).astype(np.uint8)
        for top in range(0, picture.shape[0], 5):
            for left in range(0, picture.shape[1], 6):
                tiles.append(picture[top : top + 5, left : left + 6])
    for image, tile in zip(images, tiles, strict=False):
        np.testing.assert_array_equal(tile, image)


def test_kinds_of_images():
    grey = noise(5, levels=256)
    for images, levels in (
        (noise(5), 2),
        (noise(5)[..., 0] * np.uint8(255), 2),
        (noise(5).astype(bool), 2),
        (noise(5).astype(np.float32), 2),
        (grey, 256),
        (grey / np.float32(255), 256),
        (np.zeros((0, 6, 5), np.uint8), 2),
    ):
        found, array = packing.read_levels(ArraySource(images))
        assert found == levels and array.shape == (len(images), 6, 5, 1)
        assert array.max(initial=0) <= levels - 1
    with pytest.raises(UserError, match="multiple of 1/255"):
        packing.read_levels(ArraySource(np.random.default_rng(0).random((5, 6, 5))))


@pytest.mark.slow
def test_the_decoder_goes_by_the_budget(monkeypatch):
    made = []
    monkeypatch.setattr(sizes, "LEAST_STEPS", 10**9)
    model, steps = packing.train(striped(64)[..., None], 2, 2.0, 0, lambda *a: made.append(a))
    assert not model.decoder.is_autoregressive and steps > 0
    assert made[-1] == (1000, 1000)


def test_more_images_get_a_larger_model():
    shape, counts = (8, 8, 1), []
    for values in (1e5, 1e7):
        wanted = values / packing.VALUES_PER_WEIGHT[2]
        _, model = sizes.largest(
            lambda size: packing._model(shape, 2, size, autoregressive=False, seed=0), wanted
        )
        counts.append(sizes.count_weights(model))
        assert counts[-1] <= values / 150 or len(counts) == 1
    assert counts[1] > 5 * counts[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"minutes": 0}, "more than 0"),
        ({"minutes": float("nan")}, "more than 0"),
        ({"mode": "tour"}, '"set" or "stream"'),
        ({"mode": "stream", "keep_order": True}, "leave keep_order out"),
        ({"limit": 0}, "no images"),
        ({"file": "no/such/folder/x.acn"}, "choose another place"),
        ({"file": "."}, "is a folder"),
    ],
)
def test_bad_input_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        codec.pack(striped(10), **options)


@pytest.mark.slow
def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["digits", "x.acn", "--minutes", "0.05", "--limit", "150", "--keep-order", "--json"]
    assert main(["pack", *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file_bytes"] == (tmp_path / "x.acn").stat().st_size
    assert told["model_bytes"] + told["data_bytes"] == told["file_bytes"]
    assert {"gzip", "xz", "bz2", "PNG"} <= {rival["name"] for rival in told["rivals"]}
    assert main(["decompress", "x.acn", "y.npy"]) == 0
    source = codec.open_input("digits")
    expected = next(source.pick(range(150)).blocks(150))
    np.testing.assert_array_equal(np.load("y.npy"), expected)
    capsys.readouterr()
    assert main(["pack", "digits", "x.zip"]) == 2
    assert "name it so" in capsys.readouterr().err
    assert main(["pack", "digits", "x.acn", "--minutes", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
