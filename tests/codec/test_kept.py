"""Graphs and priors are made once for a model, and die with it."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from codec_models import as_set, noise, small_model

import keras_acn
from keras_acn.codec.blocks import BlockCodec
from keras_acn.codec.kept import MOST_OF_A_KIND, kept

CALLS = {
    "mlp": [{"mode": "tour"}, {"mode": "set", "codes": "both"}],
    "blocks": [{"mode": "set", "embed_model": True, "codes": "training"}],
}


@pytest.fixture
def traced(monkeypatch):
    """Every graph that TensorFlow begins to make, whoever asks for it."""
    begun, begin = [], tf.__internal__.FuncGraph.__init__

    def init(self, *arguments, **options):
        begun.append(arguments)
        begin(self, *arguments, **options)

    monkeypatch.setattr(tf.__internal__.FuncGraph, "__init__", init)
    return begun


def there_and_back(model, images, **options):
    data = keras_acn.compress(images, model, **options)
    again = keras_acn.decompress(data, None if "embed_model" in options else model)
    assert as_set(again) == as_set(images)
    return bytes(data)


@pytest.mark.parametrize("decoder", CALLS)
def test_second_call_makes_no_graph(traced, decoder):
    model, images = small_model(decoder, shape=(4, 2, 1)), noise(5, (4, 2, 1))
    first = [there_and_back(model, images, **options) for options in CALLS[decoder]]
    assert traced
    traced.clear()
    assert [there_and_back(model, images, **options) for options in CALLS[decoder]] == first
    assert not traced


def test_file_that_names_its_model_makes_no_graph_twice(traced):
    images = noise(5, (8, 8, 1))
    model = keras_acn.load_pretrained("acn-digits")
    data = keras_acn.compress(images, model, model_name="acn-digits")
    keras_acn.decompress(data)
    traced.clear()
    assert np.array_equal(keras_acn.decompress(data), images)
    assert not traced


def test_changed_weights_make_another_file():
    model, twin, images = small_model(), small_model(), noise(5)
    files = [there_and_back(model, images)]
    for part in ("encoder", "prior", "decoder"):
        for each in (model, twin):
            weights = getattr(each, part).get_weights()
            getattr(each, part).set_weights([1.5 * weight for weight in weights])
        files.append(there_and_back(model, images))
    # Past the header, which names the model by its weights anyway.
    assert len({data[64:] for data in files}) == 4
    assert keras_acn.compress(images, twin) == files[-1]


def test_changed_codes_make_another_file():
    model, images = small_model(), noise(9)
    before, codes = there_and_back(model, images), model.codebook.codes.numpy()
    model.codebook.codes.assign(codes + 1)
    after = there_and_back(model, images)
    assert before[64:] != after[64:]
    networks = BlockCodec(model, "stream", 1).networks
    model.codebook.codes.assign(codes)
    assert there_and_back(model, images) == before
    # The graphs of the networks served all along.
    assert BlockCodec(model, "stream", 1).networks is networks


def test_what_is_kept_dies_with_the_model():
    model = small_model()
    there_and_back(model, noise(9), mode="set", codes="both")
    there_and_back(model, noise(9), embed_model=True, codes="training")
    codec = BlockCodec(model, "stream", 1)
    gone = [weakref.ref(each) for each in (model, codec.networks, codec.mode.index, kept(model))]
    assert gone[1]() is BlockCodec(model, "set", 1).networks
    del model, codec
    # TensorFlow's own finalizers let go of graphs in the first round.
    gc.collect()
    gc.collect()
    assert [each() for each in gone] == [None] * 4


def test_nothing_is_left_in_the_model():
    model = small_model()
    names, variables = set(vars(model)), [v.path for v in model.variables]
    there_and_back(model, noise(9))
    assert set(vars(model)) == names
    assert [v.path for v in model.variables] == variables


def test_few_numbers_of_lanes_are_kept():
    model = small_model()
    first = weakref.ref(BlockCodec(model, "stream", 1).networks)
    for lanes in range(2, MOST_OF_A_KIND + 2):
        BlockCodec(model, "stream", lanes)
    gc.collect()
    gc.collect()
    assert first() is None


def test_models_and_threads_side_by_side():
    models, images = [small_model(seed=seed) for seed in (1, 2)], noise(9)
    alone = [keras_acn.compress(images, small_model(seed=seed)) for seed in (1, 2)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda i: there_and_back(models[i % 2], images), range(8)))
    assert done == alone * 4
