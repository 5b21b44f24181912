"""Parts of a batch on threads: the same numbers on any number of them, and BLAS as it was."""

import threading
import types

import numpy as np
import pytest
from codec_models import noise, small_model

from keras_acn.codec import threads
from keras_acn.codec.blocks import BlockCodec
from keras_acn.codec.priors import best_rows


@pytest.fixture
def blas(monkeypatch):
    """A BLAS of four threads."""
    library = types.SimpleNamespace(num_threads=4)

    def limit(limits):
        before, library.num_threads = library.num_threads, limits

        def restore():
            library.num_threads = before

        return types.SimpleNamespace(restore_original_limits=restore)

    controller = types.SimpleNamespace(lib_controllers=[library], limit=limit)
    monkeypatch.setattr(threads, "_blas", lambda: controller)
    return library


@pytest.mark.parametrize("count", [1, 2, 4])
def test_results_come_in_the_order_of_the_parts(blas, count):
    blas.num_threads = count
    with threads.side_by_side() as each:
        assert each(lambda x: x * x, range(20)) == [x * x for x in range(20)]
        assert each(len, []) == []


def test_parts_are_done_at_the_same_time(blas):
    together = threading.Barrier(4)
    with threads.side_by_side() as each:
        each(lambda part: together.wait(timeout=30), range(4))


def test_blas_has_its_threads_again_when_the_last_one_leaves(blas):
    with threads.side_by_side():
        assert blas.num_threads == 1
        with threads.side_by_side() as each:
            # It counts how many there were, and not what the outer one left.
            together = threading.Barrier(4)
            each(lambda part: together.wait(timeout=30), range(4))
        assert blas.num_threads == 1
    assert blas.num_threads == 4
    with pytest.raises(ZeroDivisionError), threads.side_by_side() as each:
        each(lambda part: 1 // part, [1, 1, 0, 1])
    assert blas.num_threads == 4


def test_a_pixelcnn_codes_the_same_bits_on_any_number_of_threads(blas):
    codec = BlockCodec(small_model("blocks", shape=(6, 4, 1), kind="VAE"), "stream", lanes=6)
    network, images = codec.networks.pixelcnn, noise(9, (6, 4, 1))
    network._pass = network._row_pass = 2  # several parts, the last of which may not be full
    coded, parameters = [], []
    for count in (1, 4):
        blas.num_threads = count
        parameters.append(network.parameters(np.ones((9, 4)), images))
        coded.append(codec.encode(images).block)
    np.testing.assert_array_equal(*parameters)
    np.testing.assert_array_equal(*(block.words for block in coded))
    for count in (1, 4):
        blas.num_threads = count
        np.testing.assert_array_equal(codec.decode(coded[0]), images)


def test_codes_are_ranked_alike_on_any_number_of_threads(blas):
    rng = np.random.default_rng(0)
    z, weights, offset = rng.normal(size=(100, 3)), rng.normal(size=(6, 700)), rng.normal(size=700)
    score = np.concatenate([np.square(z), z], axis=1) @ weights + offset
    want = np.argsort(-score, axis=1, kind="stable")[:, :9]
    for count in (1, 2, 4):
        blas.num_threads = count
        np.testing.assert_array_equal(best_rows(z, weights, offset, 9), want)
