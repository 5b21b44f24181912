"""`keras_acn.testing`: parts that keep all promises pass, and each broken one is told why."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras import ops

from keras_acn import MLPEncoder, StandardNormal, UserError
from keras_acn.codebook import ExactSearch, NeighborSearch
from keras_acn.decoders import Decoder
from keras_acn.encoders import PosteriorEncoder
from keras_acn.priors import Prior
from keras_acn.testing import check_config, check_distribution, check_part, check_search

tfd = tfp.distributions
register = keras.saving.register_keras_serializable("keras_acn_tests")


@register
class Own(PosteriorEncoder):
    """A user's encoder that does all as it should; the broken ones below change one thing."""

    def __init__(self, image_shape, latent_dim=2, variance="learned", width=8, **kwargs):
        super().__init__(image_shape, latent_dim, variance, **kwargs)
        self.width = width
        self.flatten = keras.layers.Flatten(dtype=self.dtype_policy)
        self.dense = self.make_dense()
        self.dense.build((None, int(np.prod(self.image_shape))))
        self.build_heads(width)

    def make_dense(self):
        return keras.layers.Dense(self.width, "tanh", dtype=self.dtype_policy)

    def features(self, image, context=None, training=False):
        return self.dense(self.flatten(image))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@register
class Forgetful(Own):
    def get_config(self):
        config = super().get_config()
        del config["width"]
        return config


class Unregistered(Own):
    pass


@register
class Doubling(Own):
    def get_config(self):
        return {**super().get_config(), "width": 2 * self.width}


@register
class Narrow(Own):
    def make_dense(self):
        return keras.layers.Dense(self.width, "tanh", dtype="float32")


@register
class Deaf(Own):
    def __init__(self, image_shape, latent_dim=2, variance="learned", width=8, **kwargs):
        kwargs = {"name": kwargs.get("name")}
        super().__init__(image_shape, latent_dim, variance, width, **kwargs)


@register
class Late(Own):
    def features(self, image, context=None, training=False):
        if not hasattr(self, "more"):
            self.more = keras.layers.Dense(self.width)
        return self.more(super().features(image))


@register
class Stopped(Own):
    def features(self, image, context=None, training=False):
        return ops.stop_gradient(super().features(image))


@register
class Centred(Own):
    def features(self, image, context=None, training=False):
        x = super().features(image)
        return x - ops.mean(x, axis=0)


@register
class Point(Own):
    def call(self, image, context=None, training=False):
        return self.parameters(image)[0]


@register
class Half(Own):
    def call(self, image, context=None, training=False):
        mean, stddev = (tf.cast(x, tf.float16) for x in self.parameters(image))
        return tfd.Independent(tfd.Normal(mean, stddev), 1)


@register
class Apart(Own):
    def call(self, image, context=None, training=False):
        return tfd.Normal(*self.parameters(image))


@register
class ByHand(Own):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.shift = np.random.default_rng().normal()

    def features(self, image, context=None, training=False):
        return super().features(image) + self.shift


@register
class Fixed(Own):
    def features(self, image, context=None, training=False):
        size = len(image)  # not known in a graph
        return ops.reshape(super().features(image), (size, -1))


BROKEN = {
    Forgetful: r"leaves width out of get_config\(\): a saved model forgets it",
    Unregistered: "register_keras_serializable",
    Doubling: "another config once made from its config",
    Narrow: "in float32 under mixed_bfloat16: make it with dtype=self.dtype_policy",
    Deaf: "drops dtype='mixed_bfloat16': pass ",
    Late: r"makes weights in its first call: build every layer in __init__\(\)",
    Stopped: "passes no gradient to .*kernel: call every layer",
    Centred: "must not depend on the other rows",
    Point: r"is no tfd.Distribution: return one from the part's call\(\)",
    Half: "is of float16: make it of float32",
    Apart: r"has batch and event shape \(3, 2\) and \(\): it must be \(3,\) and \(2,\)",
    ByHand: "keep all state in weights",
    Fixed: "fails in a graph for batches of any size",
}


def test_a_users_encoder_passes():
    part = Own((6, 6, 1))
    before = part.get_weights()
    check_part(part)
    assert all(map(np.array_equal, before, part.get_weights()))


@pytest.mark.fast(every=4)
@pytest.mark.parametrize("cls", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_encoder_is_told(cls):
    with pytest.raises(AssertionError, match=f"(?s){BROKEN[cls]}") as caught:
        check_part(lambda: cls((6, 6, 1)), fit=False, policies=["mixed_bfloat16"])
    assert str(caught.value).endswith(".")


@register
class Dull(Decoder):
    """It leaves z out."""

    def __init__(self, image_shape, latent_dim=2, **kwargs):
        super().__init__(image_shape, latent_dim, **kwargs)
        self.level = self.add_weight(name="level", shape=self.image_shape)
        self.built = True

    def call(self, z, training=False):
        mean = tf.zeros([tf.shape(z)[0], 1, 1, 1]) + tf.cast(self.level, tf.float32)
        return tfd.Independent(tfd.Normal(mean, 1.0), 3)


def test_a_decoder_that_ignores_its_latents():
    with pytest.raises(AssertionError, match="passes no gradient to z"):
        check_part(Dull((4, 4, 1)), fit=False)


@register
class Exploding(Prior):
    def call(self, code, training=False):
        code = ops.cast(code, "float32")
        stddev = ops.exp(1e4 * ops.ones_like(code))
        return tfd.Independent(tfd.Normal(code, stddev), 1)

    def build(self, input_shape=None):
        self.built = True


def test_a_prior_without_a_finite_density():
    prior = Exploding(2)
    prior.build()
    with pytest.raises(AssertionError, match="no finite log_prob: bound its parameters"):
        check_part(prior, fit=False)


class Whole(tfd.Distribution):
    """A distribution that cannot be sliced."""

    def __init__(self, scale):
        parameters = dict(locals())
        self.scale = scale
        super().__init__(tf.float32, tfd.NOT_REPARAMETERIZED, False, True, parameters)

    def _batch_shape(self):
        return self.scale.shape

    def _event_shape(self):
        return tf.TensorShape([])

    def _sample_n(self, n, seed=None):
        return tf.ones([n, *self.scale.shape])

    def _log_prob(self, value):
        return -value / self.scale


def test_a_distribution_that_cannot_be_sliced():
    with pytest.raises(AssertionError, match=r"cannot be sliced by \[0\].*_parameter_properties"):
        check_distribution(Whole(tf.constant([1.0, 2.0, 3.0])), (3,), ())


class Search(NeighborSearch):
    """Brute force, with one thing wrong in each subclass."""

    supports_xla = False

    def __call__(self, codes, query, k, exclude=None, used=None):
        distance = tf.norm(query[:, None] - codes, axis=-1)
        if used is not None:
            distance = tf.where(used, np.inf, distance)
        if exclude is not None:
            own = tf.one_hot(exclude, codes.shape[0], on_value=True, off_value=False)
            distance = tf.where(own, np.inf, distance)
        return self.best(distance, k)

    def best(self, distance, k):
        value, index = tf.math.top_k(-distance, k)
        return -value, tf.where(tf.math.is_finite(value), index, -1)


class Own_(Search):
    def __call__(self, codes, query, k, exclude=None, used=None):
        return super().__call__(codes, query, k, None, used)


class Squared(Search):
    def best(self, distance, k):
        return super().best(tf.square(distance), k)


class Second(Search):
    def best(self, distance, k):
        value, index = super().best(distance, k + 1)
        return value[:, 1:], index[:, 1:]


class Twice(Search):
    def best(self, distance, k):
        value, index = super().best(distance, k)
        first = tf.ones([1, k], tf.int32)
        return value[:, :1] * tf.cast(first, tf.float32), index[:, :1] * first


def test_search_strategies():
    check_search(Search())
    check_search(ExactSearch())
    for cls, wrong in {
        Own_: "returns rows it may not: leave out exclude and used",
        Squared: "nearest first, Euclidean",
        Second: "misses nearer rows: set is_exact = False",
        Twice: "returns a row twice",
    }.items():
        with pytest.raises(AssertionError, match=wrong):
            check_search(cls())
    with pytest.raises(AssertionError, match="register_keras_serializable"):
        check_part(Search(), fit=False)


@register
class Kept(Search):
    pass


def test_a_users_search_strategy_passes():
    check_part(Kept())


def test_what_is_no_part():
    with pytest.raises(
        UserError, match="PosteriorEncoder, Prior, Decoder, NeighborSearch, not Dense"
    ):
        check_part(keras.layers.Dense(2))
    check_config(StandardNormal(2))
    check_config(MLPEncoder((4, 4, 1)))
