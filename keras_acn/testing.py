"""Checks for parts of your own: put an encoder, a prior, a decoder or a search strategy through
`check_part`, and it says what will go wrong in training, saving or serving, and how to mend it.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_acn._base.errors import UserError
from keras_acn._base.registry import options
from keras_acn.codebook.search.base import NeighborSearch
from keras_acn.decoders.base import Decoder
from keras_acn.encoders.base import PosteriorEncoder
from keras_acn.encoders.mlp import MLPEncoder
from keras_acn.models import ACN, VAE, VHE
from keras_acn.priors.base import Prior

tfd = tfp.distributions

KINDS = (PosteriorEncoder, Prior, Decoder, NeighborSearch)
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16", "float64")
BATCH, NUM_IMAGES = 3, 16
# bfloat16 has 8 bits of mantissa; a few layers deep that is a few percent.
TOLERANCE = {"float32": 1e-5, "float64": 1e-3, "mixed_bfloat16": 0.1, "mixed_float16": 0.1}


def check_part(
    part: keras.Model | NeighborSearch | Callable,
    *,
    wider: Sequence[str] = (),
    policies: Sequence[str] = POLICIES,
    fit: bool = True,
) -> None:
    """Check that a part of your own keeps all that the package expects of one.

    Of an encoder, a prior or a decoder: its config makes it again (`check_config`); all its
    weights exist before its first call; its distribution has the right shapes, can be sliced
    and treats the rows of a batch apart (`check_distribution`); a gradient reaches every
    weight; it follows every dtype policy (`check_precision`). Of a search strategy: its config
    and its answers (`check_search`). Of all: a small model with it trains for an epoch, and
    that model's `.keras` file, its weights file and its clone have the same part.

    The part itself is not changed: what is trained is a copy. A small one takes seconds.

    Args:
      part: An instance of `keras_acn.encoders.PosteriorEncoder`, `keras_acn.priors.Prior`,
        `keras_acn.decoders.Decoder` or `keras_acn.codebook.NeighborSearch`, or a function of
        no arguments that makes one.
      wider: Names of the attributes that hold layers which compute in float32 on purpose
        under a policy of half precision.
      policies: The dtype policies to try.
      fit: Whether to train the small model; its files are checked all the same.

    Raises:
      AssertionError: With one sentence on what is wrong and how to mend it.
      UserError: If `part` is none of these.

    Example:
      >>> from keras_acn import MLPEncoder
      >>> check_part(MLPEncoder((4, 4, 1), latent_dim=2, hidden=[8]))
    """
    if not isinstance(part, KINDS) and callable(part) and not isinstance(part, keras.Layer):
        part = part()
    if not isinstance(part, KINDS):
        names = ", ".join(kind.__name__ for kind in KINDS)
        raise UserError(
            f"check_part takes a {names}, not {type(part).__name__}: make it a subclass."
        )
    check_config(part)
    part = _with_encoder(part)
    if isinstance(part, NeighborSearch):
        check_search(part)
    else:
        _check_weights(part)
        _check_batches(part)
        _check_gradients(part)
        check_precision(part, wider=wider, policies=policies)
    _check_in_a_model(part, fit)


def check_config(part) -> None:
    """Check that `get_config` describes a part, and that a file can bring it back.

    Args:
      part: Anything that Keras can serialise: a part, a codebook.

    Raises:
      AssertionError: If an option is missing in the config, the class is not registered, or
        what the config makes has another config.

    Example:
      >>> from keras_acn import MixturePrior
      >>> check_config(MixturePrior(latent_dim=2, hidden=[8]))
    """
    config = part.get_config()
    left_out = [name for name in options(type(part)) if name not in config]
    if left_out:
        _fail(part, f"leaves {', '.join(left_out)} out of get_config()", "a saved model forgets it")
    with _told(part, "cannot be made from its own config", "let __init__ take what it holds"):
        again = type(part).from_config(dict(config))
    if _config(again) != _config(part):
        mend = "let get_config() return what __init__ was given"
        _fail(part, "has another config once made from its config", mend)
    register = 'decorate the class with @keras.saving.register_keras_serializable("your_package")'
    with _told(part, "cannot be found by its name in a file", register):
        written = json.dumps(keras.saving.serialize_keras_object(part))
        loaded = keras.saving.deserialize_keras_object(json.loads(written))
    if type(loaded) is not type(part) or _config(loaded) != _config(part):
        _fail(part, "comes back from a file as another part", register)


def check_distribution(
    distribution, batch_shape: Sequence[int], event_shape: Sequence[int]
) -> None:
    """Check a distribution's shapes, its samples, and that its batch can be sliced.

    Args:
      distribution: A `tfd.Distribution`.
      batch_shape: The batch shape it must have, of one dimension or more.
      event_shape: The event shape it must have.

    Raises:
      AssertionError: If something is not as it must be.

    Example:
      >>> check_distribution(tfd.Normal(tf.zeros([3]), 1.0), (3,), ())
    """
    if not isinstance(distribution, tfd.Distribution):
        _fail(distribution, "is no tfd.Distribution", "return one from the part's call()")
    shapes = (tuple(distribution.batch_shape), tuple(distribution.event_shape))
    if shapes != (tuple(batch_shape), tuple(event_shape)):
        mend = f"it must be {tuple(batch_shape)} and {tuple(event_shape)} (see tfd.Independent)"
        _fail(distribution, f"has batch and event shape {shapes[0]} and {shapes[1]}", mend)
    if distribution.dtype not in (tf.float32, tf.float64):
        mend = "make it of float32 parameters, which cost no likelihood"
        _fail(distribution, f"is of {distribution.dtype.name}", mend)
    value = distribution.sample(seed=tf.constant([1, 2]))
    nats = distribution.log_prob(value)
    if value.shape != (*batch_shape, *event_shape) or nats.shape != tuple(batch_shape):
        mend = "sum log_prob over the event, and sample whole events"
        _fail(distribution, f"has samples {value.shape} and log_prob {nats.shape}", mend)
    if not np.isfinite(nats).all():
        _fail(distribution, "gives its own sample no finite log_prob", "bound its parameters")
    slices = {
        "[0]": (0, value[0], nats[0]),
        "[1:]": (slice(1, None), value[1:], nats[1:]),
        "[..., None]": ((..., None), tf.expand_dims(value, len(batch_shape)), nats[..., None]),
    }
    for written, (chosen, part_of_value, want) in slices.items():
        mend = "give it the classmethod _parameter_properties, with each parameter's event_ndims"
        with _told(distribution, f"cannot be sliced by {written}", mend):
            got = distribution[chosen].log_prob(part_of_value)
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def check_precision(
    part: keras.Model, *, wider: Sequence[str] = (), policies: Sequence[str] = POLICIES
) -> None:
    """Check that a part computes in the precision of its dtype policy, within and without.

    Under each policy all layers inside have the part's own policy, weights are float32 (float64
    under `"float64"`), the distribution is of float32 at least, and its log-probability is near
    that of the part as it was given.

    Args:
      part: An encoder, a prior or a decoder.
      wider: Names of the attributes that hold layers which compute in float32 on purpose.
      policies: The policies to try.

    Raises:
      AssertionError: If a layer or a weight has another precision, or the result is far off.

    Example:
      >>> from keras_acn import MLPDecoder
      >>> check_precision(MLPDecoder((4, 4, 1), latent_dim=2, hidden=[8]))
    """
    part = _with_encoder(part)
    inputs, value = _inputs(part, BATCH), _value(part, BATCH)
    want = np.asarray(part(*inputs).log_prob(value), np.float64)
    for policy in policies:
        copy = _copy(part, dtype=policy)
        if copy.dtype_policy.name != policy:
            _fail(part, f"drops dtype={policy!r}", "pass **kwargs on to super().__init__()")
        apart = {id(layer) for name in wider for layer in _layers(getattr(copy, name))}
        for layer in _layers(copy):
            if layer.compute_dtype != copy.compute_dtype and id(layer) not in apart:
                mend = "make it with dtype=self.dtype_policy"
                _fail(part, f"computes {layer.name} in {layer.compute_dtype} under {policy}", mend)
        for weight in copy.weights:
            if weight.dtype.startswith(("float", "bfloat")) and weight.dtype != copy.variable_dtype:
                mend = f"it must be {copy.variable_dtype}: leave dtype out of add_weight()"
                _fail(part, f"has {weight.path} in {weight.dtype} under {policy}", mend)
        distribution = copy(*inputs)
        check_distribution(distribution, (BATCH,), _event_shape(part))
        got = np.asarray(distribution.log_prob(tf.cast(value, distribution.dtype)), np.float64)
        limit = TOLERANCE[policy] * (1 + np.abs(want).max())
        if not np.abs(got - want).max() < limit:
            mend = "look for a step that half precision does not bear, and widen it"
            _fail(part, f"has log_prob {got} under {policy}, {want} as it was", mend)


def check_search(strategy: NeighborSearch, size: int = 60, latent_dim: int = 3, k: int = 5) -> None:
    """Check what a search strategy finds, plain and inside a compiled graph.

    Rows must be allowed, each named once, nearest first and with their true distances; where
    fewer than k rows are allowed, the rest is infinity and -1; and an exact strategy must find
    the nearest ones.

    Args:
      strategy: A `NeighborSearch`.
      size: Number of codes.
      latent_dim: Dimension of a code.
      k: Neighbours asked for.

    Raises:
      AssertionError: If an answer is wrong.

    Example:
      >>> from keras_acn.codebook import ExactSearch
      >>> check_search(ExactSearch())
    """
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(size, latent_dim)).astype(np.float32)
    query, own = codes[:BATCH] + np.float32(0.01), np.arange(BATCH, dtype=np.int32)
    some, nearly_all = rng.random(size) < 0.3, np.arange(size) >= k - 1
    true = np.linalg.norm(query[:, None].astype(np.float64) - codes, axis=-1)  # [B, N]
    compiled = tf.function(strategy, jit_compile=strategy.supports_xla)
    for call in (strategy, compiled):
        for exclude, used in ((None, None), (own, None), (own, some), (own, nearly_all)):
            distance, index = (
                np.asarray(each)
                for each in call(
                    tf.constant(codes),
                    tf.constant(query),
                    k,
                    None if exclude is None else tf.constant(exclude),
                    None if used is None else tf.constant(used),
                )
            )
            if distance.shape != (BATCH, k) or index.shape != (BATCH, k):
                _fail(
                    strategy, f"returns {distance.shape} and {index.shape}", "return [B, k] twice"
                )
            allowed = np.ones((BATCH, size), bool)
            if used is not None:
                allowed &= ~used
            if exclude is not None:
                allowed[own, exclude] = False
            for b in range(BATCH):
                rows = index[b][index[b] >= 0]
                if not allowed[b, rows].all():
                    _fail(strategy, "returns rows it may not", "leave out exclude and used")
                if len(set(rows)) != len(rows):
                    _fail(strategy, "returns a row twice", "name each once")
                want = np.full(k, np.inf)
                want[: len(rows)] = np.sort(true[b, rows])
                if (index[b][len(rows) :] != -1).any() or not np.allclose(
                    distance[b], want, atol=1e-4
                ):
                    mend = "nearest first, Euclidean, then infinity and -1 for none"
                    _fail(strategy, f"returns rows {index[b]} at distances {distance[b]}", mend)
                best = np.sort(true[b][allowed[b]])[:k]
                if strategy.is_exact and not np.allclose(want[: len(best)], best, atol=1e-4):
                    _fail(strategy, "misses nearer rows", "set is_exact = False, or search further")


# -- the checks of a part ----------------------------------------------------------------


def _check_weights(part):
    before = [tuple(weight.shape) for weight in part.weights]
    inputs, value = _inputs(part, BATCH), _value(part, BATCH)
    with _told(part, "cannot be called", f"it gets {[each.shape for each in inputs]}"):
        distribution = part(*inputs)
    if not part.built or [tuple(weight.shape) for weight in part.weights] != before:
        mend = "build every layer in __init__(), and set self.built = True"
        _fail(part, "makes weights in its first call", mend)
    copy = _copy(part)
    if [tuple(weight.shape) for weight in copy.weights] != before:
        _fail(part, "has other weights once made from its config", "complete get_config()")
    check_distribution(distribution, (BATCH,), _event_shape(part))
    if not np.allclose(copy(*inputs).log_prob(value), distribution.log_prob(value), rtol=1e-4):
        mend = "keep all state in weights"
        _fail(part, "answers otherwise once made again with the same config and weights", mend)


def _check_batches(part):
    inputs, value = _inputs(part, BATCH), _value(part, BATCH)
    want = np.asarray(part(*inputs).log_prob(value))
    alone = [part(*(each[b : b + 1] for each in inputs)).log_prob(value[b]) for b in range(BATCH)]
    if not np.allclose(np.concatenate(alone), want, rtol=1e-3, atol=1e-3):
        mend = "a row's distribution must not depend on the other rows (no batch normalisation)"
        _fail(part, "answers a batch otherwise than its rows one by one", mend)
    any_size = [tf.TensorSpec([None, *each.shape[1:]], tf.float32) for each in (*inputs, value)]
    with _told(part, "fails in a graph for batches of any size", "use tf.shape(x)[0] for the size"):
        graph = tf.function(lambda *a: part(*a[:-1]).log_prob(a[-1]), input_signature=any_size)
        np.testing.assert_allclose(graph(*inputs, value), want, rtol=1e-3, atol=1e-3)


def _check_gradients(part):
    inputs = [tf.constant(each) for each in _inputs(part, BATCH)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        distribution = part(*inputs, training=True)
        if isinstance(part, PosteriorEncoder):
            loss = tf.reduce_sum(distribution.sample(seed=tf.constant([1, 2])) ** 2)
        else:
            loss = -tf.reduce_sum(distribution.log_prob(_value(part, BATCH)))
    variables = [weight.value for weight in part.trainable_weights]
    of_weights, of_inputs = tape.gradient(loss, [variables, inputs])
    mend = "call every layer that is built, and keep to Keras and TensorFlow operations"
    for weight, gradient in zip(part.trainable_weights, of_weights, strict=True):
        if gradient is None:
            _fail(part, f"passes no gradient to {weight.path}", mend)
        if not np.isfinite(tf.convert_to_tensor(gradient)).all():
            _fail(part, f"has a gradient of {weight.path} that is not finite", "bound its outputs")
    if isinstance(part, Decoder) and of_inputs[0] is None:
        _fail(part, "passes no gradient to z, so that the encoder learns nothing", mend)


def _check_in_a_model(part, fit):
    keras.utils.set_random_seed(0)
    model, images, labels = _small_model(_copy(part, keep_encoder=False), part)
    model.compile(keras.optimizers.Adam(1e-3))
    before = model.get_weights()
    if fit:
        with _told(part, "cannot be trained", "see the error above"):
            history = model.fit(images, labels, epochs=1, batch_size=8, verbose=0).history
        if not np.isfinite(history["loss"]).all():
            _fail(part, f"trains to a loss of {history['loss']}", "bound its outputs")
        trained = _part_of(model, part)
        if trained is not None and trained.trainable_weights:
            if all(map(np.array_equal, before, model.get_weights())):
                _fail(part, "does not learn", "see that its weights are trainable")
    elif isinstance(part, NeighborSearch):
        model.recode(images)
    inputs = images if isinstance(part, NeighborSearch) else _inputs(part, BATCH)

    def answers(model):
        if isinstance(part, NeighborSearch):
            return model.neighbors(inputs)[0]
        return _part_of(model, part)(*inputs).log_prob(_value(part, BATCH))

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        model.save(path / "model.keras")
        with _told(part, "cannot be opened from a model's file", "complete get_config()"):
            loaded = keras.saving.load_model(path / "model.keras")
        with _told(part, "cannot be cloned with its model", "complete get_config()"):
            clone = keras.models.clone_model(model)
        model.save_weights(path / "model.weights.h5")
        with _told(part, "cannot read its weights from a file", "make them all in __init__()"):
            clone.load_weights(path / "model.weights.h5")
        for name, other in (("its model's file", loaded), ("its weights' file", clone)):
            if not np.array_equal(answers(other), answers(model)):
                _fail(
                    part, f"answers otherwise once loaded from {name}", "keep all state in weights"
                )


def _small_model(part, like):
    """Return a small model with the part, images `[N, H, W, C]`, and labels or `None`."""
    shape = getattr(like, "image_shape", (6, 6, 1))
    latent_dim = getattr(like, "latent_dim", 2)
    kind = next(kind for kind in KINDS if isinstance(like, kind))
    given = {
        "encoder": {"name": "mlp", "hidden": [8]},
        "decoder": {"name": "mlp", "hidden": [8]},
    }
    images = _images(NUM_IMAGES, shape)
    labels = np.arange(NUM_IMAGES) % 2
    if kind is PosteriorEncoder:
        given["encoder"] = part
        if part.context_dim:
            return VHE(shape, latent_dim, class_dim=part.context_dim, **given), images, labels
        return VAE(shape, latent_dim, **given), images, None
    if kind is Decoder:
        return VAE(shape, latent_dim, **{**given, "decoder": part}), images, None
    if kind is NeighborSearch:
        given["prior"] = {"name": "mixture", "hidden": [8]}
        codebook = {"k": 2, "search": part, "size": NUM_IMAGES}
        return ACN(shape, latent_dim, codebook=codebook, **given), images, None
    given["prior"] = part
    if not part.is_conditional:
        return VAE(shape, latent_dim, **given), images, None
    if part.code_dim not in (None, latent_dim):
        return VHE(shape, latent_dim, class_dim=part.code_dim, **given), images, labels
    codebook = {"k": 2, "size": NUM_IMAGES}
    return ACN(shape, latent_dim, codebook=codebook, **given), images, None


# -- what a part gets and is compared by --------------------------------------------------


def _part_of(model, part):
    """Return the model's part of the same kind."""
    parts = {PosteriorEncoder: model.encoder, Prior: model.prior, Decoder: model.decoder}
    return next((each for kind, each in parts.items() if isinstance(part, kind)), None)


def _images(count, shape):
    return np.random.default_rng(0).integers(0, 2, (count, *shape)).astype(np.float32)


def _normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _inputs(part, count):
    if isinstance(part, PosteriorEncoder):
        images = _images(count, part.image_shape)
        return [images, _normal(1, count, part.context_dim)] if part.context_dim else [images]
    width = part.latent_dim
    if isinstance(part, Prior):
        width = part.code_dim or width
    return [_normal(2, count, width)]


def _event_shape(part):
    return part.image_shape if isinstance(part, Decoder) else (part.latent_dim,)


def _value(part, count):
    """Return something that the part's distribution can be asked about."""
    shape = _event_shape(part)
    return _images(count, shape) if isinstance(part, Decoder) else _normal(3, count, *shape)


def _with_encoder(part):
    """Return a part as it is; of a prior that goes through a model's encoder, a copy with one."""
    if not isinstance(part, Prior) or not part.needs_encoder or part.encoder is not None:
        return part
    copy = _copy(part)
    copy.attach(MLPEncoder(part.image_shape, part.latent_dim, hidden=(8,), variance="learned"))
    return copy


def _copy(part, keep_encoder=True, **changes):
    """Return a part of the same config and weights, and of the encoder that it goes through."""
    config = {**part.get_config(), **changes}
    with _told(part, f"cannot be made with {changes or 'its own config'}", "pass **kwargs on"):
        copy = type(part).from_config(config)
    if not isinstance(part, NeighborSearch):
        copy.set_weights(part.get_weights())
    if keep_encoder and isinstance(part, Prior) and part.needs_encoder and part.encoder is not None:
        copy.attach(part.encoder)
    return copy


def _layers(layer):
    """Return a layer and all those inside it."""
    return list(layer._flatten_layers())


def _config(part):
    """Return the part's options as a file has them."""
    return json.dumps(keras.saving.serialize_keras_object(part.get_config()), sort_keys=True)


def _fail(part, wrong, mend):
    raise AssertionError(f"{type(part).__name__} {wrong}: {mend}.")


@contextlib.contextmanager
def _told(part, wrong, mend):
    """Tell any error inside as what is wrong with the part."""
    try:
        yield
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise AssertionError(
            f"{type(part).__name__} {wrong} ({type(error).__name__}: {first}): {mend}."
        ) from error
