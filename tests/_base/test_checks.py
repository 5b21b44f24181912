"""One check of sizes for all parts: an image's shape, numbers of latents, widths."""

import numpy as np
import pytest
import tensorflow as tf
from family import IMAGES, made

import keras_acn
from keras_acn import (
    ACN,
    VHE,
    ConvDecoder,
    ConvEncoder,
    FittedNormal,
    GatedPixelCNN,
    KNNCodebook,
    MLPDecoder,
    MLPEncoder,
    PseudoLabels,
    Snapshots,
    StandardNormal,
    StopOnNonFinite,
    UserError,
    codec,
    data,
)
from keras_acn._base.checks import check_count, check_image_shape, check_number, check_widths
from keras_acn._base.errors import short
from keras_acn.codebook import ExactSearch, FaissSearch, GraphSearch
from keras_acn.decoders.families import DiscretizedLogisticMixture, Gaussian
from keras_acn.models import PiecewiseLinear
from keras_acn.priors.codes_mixture import MixtureOfCodes

PARTS = [MLPEncoder, ConvEncoder, MLPDecoder, ConvDecoder, GatedPixelCNN]
WRONG = [(8, 8), (8, 8, 1, 1), (8, 0, 1), (8, -8, 1), (8, None, 1), (8, 8.5, 1), None, 8, "881", {}]


@pytest.mark.parametrize("shape", WRONG, ids=str)
@pytest.mark.parametrize("cls", PARTS)
def test_a_wrong_image_shape(cls, shape):
    with pytest.raises(UserError, match=r"image_shape must be \(height, width, channels\)") as told:
        cls(shape)
    assert str(shape) in str(told.value) and str(told.value).endswith(".")


@pytest.mark.parametrize("latent_dim", [0, -2, None, 2.5, True, "4", (4,)], ids=str)
@pytest.mark.parametrize("cls", PARTS)
def test_a_wrong_number_of_latents(cls, latent_dim):
    with pytest.raises(UserError, match="latent_dim must be .*at least 1, not"):
        cls((8, 8, 1), latent_dim)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None, np.True_, -(10**5000)], ids=short)
def test_a_wrong_number(value):
    with pytest.raises(UserError, match="^n must be .*at least 1, not .*[.]$"):
        check_count(value, "n", 1)
    assert check_count(np.int64(3), "n", 1, 3) == check_count(3, "n", 3) == 3
    with pytest.raises(UserError, match="^n must be at most 2, not 3[.]$"):
        check_count(3, "n", 1, most=2)


# NumPy before 2 takes its own truths for whole numbers, with no more than a warning.
TRUTHS = [True, np.True_, np.array(True), tf.constant(True)]
NO_NUMBERS = [*TRUTHS, None, "3", b"3", [3.0], float("nan"), -float("inf"), 10**5000, 1j]


@pytest.mark.parametrize("value", TRUTHS, ids=lambda value: type(value).__name__)
def test_a_truth_is_no_whole_number(value):
    with pytest.raises(UserError, match="^n must be a whole number of at least 0, not .*[.]$"):
        check_count(value, "n")


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number(value):
    with pytest.raises(UserError, match="^n must be a number, not .*[.]$"):
        check_number(value, "n", "a number", lambda number: True)


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int8(3), np.array(3), tf.constant(3)])
def test_numbers_of_any_kind(value):
    assert check_number(value, "n", "above two", lambda number: number > 2) == 3.0
    with pytest.raises(UserError, match="^n must be above three, not .*3.*[.]$"):
        check_number(value, "n", "above three", lambda number: number > 3)


def test_whole_numbers_of_any_kind():
    assert check_image_shape(np.array([8, 8, 1])) == (8, 8, 1)
    assert check_image_shape([8, 8, np.int64(1)]) == (8, 8, 1)
    assert check_widths((), "hidden") == () and check_widths([np.int32(4)], "hidden") == (4,)


@pytest.mark.parametrize("name", ["layers", "filters", "kernel_size", "map_filters"])
def test_a_wrong_option_of_the_pixelcnn(name):
    for value in (None, 0, 2.5):
        with pytest.raises(UserError, match=f"{name} must be|kernel sizes are odd"):
            GatedPixelCNN((8, 8, 1), **{name: value})


SHAPE = IMAGES.shape[1:]
TAKES_A_NUMBER = {
    "k": lambda model, n: KNNCodebook(5, n),
    "size": lambda model, n: KNNCodebook(n),
    "latent_dim": lambda model, n: KNNCodebook(latent_dim=n),
    "clusters": lambda model, n: PseudoLabels(n),
    "anneal_epochs": lambda model, n: PseudoLabels(anneal_epochs=n),
    "class_dim": lambda model, n: PseudoLabels(class_dim=n),
    "block": lambda model, n: ExactSearch(n),
    "pool": lambda model, n: GraphSearch(pool=n),
    "random": lambda model, n: GraphSearch(random=n),
    "nlist": lambda model, n: FaissSearch(nlist=n),
    "nearest": lambda model, n: MixtureOfCodes(StandardNormal(2), np.zeros([3, 2]), n),
    "components": lambda model, n: DiscretizedLogisticMixture(n),
    "n of Snapshots": lambda model, n: Snapshots(IMAGES, n=n),
    "every of Snapshots": lambda model, n: Snapshots(IMAGES, every=n),
    "every": lambda model, n: StopOnNonFinite(n),
    "latent_dim of a model": lambda model, n: ACN(SHAPE, n),
    "class_dim of a model": lambda model, n: VHE(SHAPE, 2, class_dim=n),
    "latent_dim of a VHE": lambda model, n: VHE(SHAPE, n),
    "n": lambda model, n: model.sample(n),
    "n of a class": lambda model, n: model.generate_like(IMAGES[:2], n),
    "samples": lambda model, n: model.code_lengths_given(IMAGES, [IMAGES[:2]], n),
    "steps": lambda model, n: model.daydream(IMAGES, n),
}


@pytest.fixture(scope="module")
def model():
    return made("vhe")


@pytest.mark.parametrize("name", TAKES_A_NUMBER)
def test_no_number_is_rounded_or_made_of_a_truth(model, name):
    for value in (2.9, True, -1):
        with pytest.raises(UserError, match=f"{name.split()[0]}.* must be .*at least [01], not"):
            TAKES_A_NUMBER[name](model, value)


TAKES_A_SHARE = {
    "beta": lambda model, x: ACN(SHAPE, 2, beta=x),
    "dropout": lambda model, x: GatedPixelCNN((8, 8, 1), dropout=x),
    "momentum": lambda model, x: FittedNormal(2, momentum=x),
    "smallest": lambda model, x: Gaussian(x),
    "c_weight": lambda model, x: PseudoLabels(c_weight=x),
    "c_weight_start": lambda model, x: PseudoLabels(c_weight_start=x),
    "step": lambda model, x: PiecewiseLinear([x], [1.0]),
    "value": lambda model, x: PiecewiseLinear([0], [x]),
    "share to hold out": lambda model, x: data.from_arrays(IMAGES).split(x),
    "threshold": lambda model, x: data.from_arrays(IMAGES, binarize="threshold", threshold=x),
    "minutes": lambda model, x: codec.pack(IMAGES, minutes=x),
    "memory limit": lambda model, x: keras_acn.memory_limit(x).__enter__(),
}


@pytest.mark.parametrize("value", [np.True_, "x", float("nan"), None], ids=str)
@pytest.mark.parametrize("name", TAKES_A_SHARE)
def test_a_share_is_a_number(name, value):
    with pytest.raises(UserError, match=f"{name}.* must be .*, not .*[.]$"):
        TAKES_A_SHARE[name](model, value)


@pytest.mark.parametrize("value", [np.True_, "x", None, (1, None), (1, "2"), (2, 1), (1, 2, 3)])
def test_sizes_of_sets(value):
    with pytest.raises(UserError, match="set_size"):
        VHE(SHAPE, 2, set_size=value)
