"""What the numbers of an image mean: the same at every way in; and seeds, checked at each."""

import gzip
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_acn import VAE, UserError, data
from keras_acn._base.checks import check_seed
from keras_acn.codec.inputs import Treated, open_input
from keras_acn.data.checks import to_unit, white_of
from keras_acn.evaluation import evaluate_model, few_shot_accuracy
from keras_acn.evaluation.inputs import images_and_labels, some_rows

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (40, 4, 5, 1)).astype(np.uint8)
DARK = BITS[:20]  # as 8-bit pictures: their largest value is 1
EIGHT = np.concatenate([DARK, RNG.integers(0, 256, (20, 4, 5, 1)).astype(np.uint8)])
MLP = {"name": "mlp", "hidden": [8]}


def small_vae():
    keras.utils.set_random_seed(0)
    model = VAE((4, 5, 1), 2, encoder=MLP, decoder={"name": "bernoulli_mlp", "hidden": [8]})
    model.compile("adam")
    return model


def write_idx(folder, **parts):
    for part, images in parts.items():
        content = struct.pack(">BBBBIII", 0, 0, 8, 3, *images.shape[:3]) + images.tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))


def test_zeros_and_ones_cost_the_same_at_every_way_in():
    model, found = small_vae(), []
    for images in (BITS, BITS.astype(bool), BITS.astype(np.float32), data.from_arrays(BITS)):
        keras_figure = model.evaluate(images, return_dict=True, verbose=0)["reconstruction_nats"]
        given = images if isinstance(images, data.ImageSet) else np.asarray(images)
        report = evaluate_model(model, given, given, iwae_samples=0, probes=False)
        table = report.code_lengths.mean("reconstruction_nats")
        own = model.image_nats(images)["reconstruction_nats"].mean()
        found.append((keras_figure, table, own))
    # Another sample of z in each of the three columns, the same one in a column's rows.
    np.testing.assert_allclose(found, np.tile(found[0], (4, 1)), rtol=1e-6)
    np.testing.assert_allclose(found[0], np.mean(found[0]), rtol=0.02)


def test_zeros_and_ones_in_few_shot_episodes():
    class Seen:
        """A stand-in for a VHE that notes the largest pixel it is shown."""

        class_dim, most = 2, 0.0

        def code_lengths_given(self, images, sets, samples, seed, batch_size):
            self.most = max(self.most, float(images.max()), *(float(s.max()) for s in sets))
            return np.zeros((len(images), len(sets)))

    for images in (BITS, BITS.astype(np.float32), BITS * 255):
        model = Seen()
        few_shot_accuracy(model, images, np.arange(40) % 4, ways=2, episodes=2)
        assert model.most == 1.0


@pytest.mark.parametrize("limit", [None, 15])
def test_dark_pictures_among_others_are_not_white(limit):
    for part in (EIGHT, (EIGHT, np.arange(40)), data.from_arrays(EIGHT)):
        images = images_and_labels(part, limit, 3, "test")[0]
        np.testing.assert_array_equal(images, EIGHT[some_rows(40, limit, 3)] / np.float32(255))
    assert white_of([DARK]) == 1 and white_of([DARK, EIGHT]) == 255
    np.testing.assert_array_equal(to_unit(DARK), DARK)
    np.testing.assert_array_equal(to_unit(DARK, 255), DARK / np.float32(255))


def test_a_file_is_looked_at_as_a_whole(tmp_path):
    """Not block by block, nor part by part, nor after a limit; for training and codec alike."""
    bright = EIGHT[20:]
    (tmp_path / "idx").mkdir()
    write_idx(tmp_path / "idx", train=EIGHT, t10k=DARK)
    np.savez(tmp_path / "a.npz", x_train=EIGHT, x_test=DARK)
    for source in (f"idx:{tmp_path / 'idx'}", f"npz:{tmp_path / 'a.npz'}"):
        got = data.load(source, limit=10)
        assert got.train.levels == got.test.levels == 256
        np.testing.assert_array_equal(got.test.arrays()[0], DARK[:10] / np.float32(255))
        test = Treated(open_input(source), binarize="threshold", threshold=0.002)
        np.testing.assert_array_equal(next(test.blocks(20)).ravel(), DARK.ravel())
        test = Treated(open_input(source), binarize="threshold", threshold=0.1, limit=9)
        assert not next(test.blocks(20)).any()
        assert Treated(open_input(source), limit=9).scale == 255
    np.save(tmp_path / "b.npy", BITS)
    assert data.load(f"npy:{tmp_path / 'b.npy'}").train.levels == 2
    assert Treated(open_input(f"{tmp_path / 'b.npy'}")).scale == 1
    folder = tmp_path / "png"
    folder.mkdir()
    for number, image in enumerate(DARK):
        Image.fromarray(image[..., 0]).save(folder / f"{number:03}.png")
    # A picture file says itself that it has 8 bits.
    assert data.load(f"images:{folder}").train.arrays()[0].max() == np.float32(1 / 255)
    assert len(bright) == 20


def test_a_part_of_a_set_keeps_what_white_is():
    whole = data.from_arrays(EIGHT)
    np.testing.assert_array_equal(whole.take(slice(20)).arrays()[0], DARK / np.float32(255))
    assert whole.split(0.5)[0].levels == 256


def test_a_stream_of_bytes_runs_to_255():
    stream = data.index_dataset(tf.data.Dataset.from_tensor_slices(BITS))
    images = np.stack([each["image"] for each in stream.as_numpy_iterator()])
    np.testing.assert_allclose(images, BITS / 255)


BAD_SEEDS = [-1, 2**31, 1.5, "1", None, True, np.float32(1)]


@pytest.mark.parametrize("seed", BAD_SEEDS)
@pytest.mark.parametrize(
    "take",
    [
        check_seed,
        lambda seed: data.load("digits", seed=seed),
        lambda seed: data.ImageSet(BITS, binarize="static", seed=seed),
        lambda seed: data.ImageSet(BITS, binarize="static", seed=(0, seed)),
        lambda seed: data.from_arrays(BITS, seed=seed),
        lambda seed: data.from_arrays(BITS).dataset(4, seed=seed),
        lambda seed: Treated(open_input("digits"), binarize="static", seed=seed),
    ],
)
def test_seeds_are_whole_numbers_below_2_to_the_31(take, seed):
    with pytest.raises(UserError, match="^The seed must be ") as caught:
        take(seed)
    assert "\n" not in str(caught.value)
    assert check_seed(np.int64(2**31 - 1)) == 2**31 - 1


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_the_rows_of_an_evaluation_take_a_seed(seed):
    with pytest.raises(UserError, match="^The seed must be "):
        images_and_labels(BITS, 3, seed, "test")
    # The test part is drawn with the seed plus one.
    assert len(images_and_labels(BITS, 3, 2**31, "test")[0]) == 3
