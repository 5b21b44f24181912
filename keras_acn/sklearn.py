"""The models as scikit-learn transformers: rows of features in, codes out.

`ACNTransformer` and `VAETransformer` go where a `PCA` goes: into a `Pipeline`, a `GridSearchCV`,
a `ColumnTransformer`. The Keras model that they train is their attribute `model_`.

Inside this package `import sklearn` is scikit-learn itself, as everywhere: imports are absolute.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from keras_acn._base.batches import in_batches
from keras_acn._base.checks import SEEDS, check_count, check_image_shape, check_number, check_seed
from keras_acn._base.errors import DataWarning, UserError, short
from keras_acn._base.keras_names import check_optimizer
from keras_acn._base.noise import RowNoise
from keras_acn._base.registry import options
from keras_acn.codebook import ExactSearch, KNNCodebook
from keras_acn.decoders import registry as decoders
from keras_acn.models import ACN, VAE, LatentModel

# Rows of a batch of whatever is computed after training. The last batch is filled up to it, so
# that the answer for a row is the same to the bit whatever rows come with it.
ROWS = 256
# What rounding may put outside of the range of pixels, as a share of it.
ROUNDING = 1e-6


class LatentTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What the transformers of this module share; `ACNTransformer` says what the arguments are."""

    def __init__(
        self,
        latent_dim=16,
        *,
        image_shape=None,
        encoder=None,
        prior=None,
        decoder=None,
        likelihood="auto",
        pixel_range="auto",
        beta=1.0,
        epochs=20,
        batch_size=32,
        optimizer="adam",
        learning_rate=None,
        random_state=None,
        verbose=0,
    ):
        self.latent_dim = latent_dim
        self.image_shape = image_shape
        self.encoder = encoder
        self.prior = prior
        self.decoder = decoder
        self.likelihood = likelihood
        self.pixel_range = pixel_range
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.verbose = verbose

    # -- what scikit-learn's users call ------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> LatentTransformer:
        """Train a new model on the rows of `X`.

        Args:
          X: `[N, n_features]`, numbers. A row is one image, flattened as `reshape` does.
          y: Ignored.

        Raises:
          UserError: If the rows do not fold into `image_shape`, their values leave `pixel_range`,
            or there are too few of them.
        """
        X = self._rows(X, reset=True)
        self._require_enough(len(X))
        shape = (1, X.shape[1], 1) if self.image_shape is None else self.image_shape
        self.image_shape_ = check_image_shape(shape)
        if np.prod(self.image_shape_) != X.shape[1]:
            raise UserError(
                f"A row of {X.shape[1]} features does not fold into an image of shape "
                f"{self.image_shape_}, which has {np.prod(self.image_shape_)} values: give the "
                "image_shape of your images, or None for features that are no image."
            )
        self.pixel_range_, self._clips = self._range(X)
        images = self._images(X)
        self.model_ = self._make(images)
        optimizer = copy.deepcopy(self.optimizer)
        if self.learning_rate is not None:
            optimizer = keras.optimizers.get(check_optimizer(optimizer))
            optimizer.learning_rate = check_number(
                self.learning_rate, "learning_rate", "a number above zero", lambda rate: rate > 0
            )
        self.model_.compile(optimizer)
        history = self.model_.fit(
            images,
            batch_size=check_count(self.batch_size, "batch_size", 1),
            epochs=check_count(self.epochs, "epochs", 1),
            verbose=self.verbose,
        )
        self.history_ = {name: list(map(float, each)) for name, each in history.history.items()}
        self.codes_ = self._codes(images)
        self._n_features_out = self.codes_.shape[1]
        self._remember(images)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the codes of the rows of `X`, float32 `[N, latent_dim]`: the posterior's means."""
        return self._codes(self._new_images(X))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the rows that codes stand for, float32 `[N, n_features]`, in the units of `fit`.

        That is the mean of r(x|z); a decoder without a mean, as a PixelCNN, draws by a fixed seed.

        Args:
          X: Codes, `[N, latent_dim]`.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self._n_features_out:
            raise UserError(
                f"Codes have {self._n_features_out} dimensions here, not {codes.shape[1]}: give "
                "what transform returned."
            )
        model = self.model_
        decode = model.graph("decode rows", lambda z, seed: model.decode_batch(z, RowNoise(seed)))
        images = in_batches(decode, codes, _seeds(codes), size=ROWS, fill=True)
        low, high = self.pixel_range_
        return (images.reshape(len(images), -1) * (high - low) + low).astype(np.float32)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the nats that each row costs, float64 `[N]`: greater is better.

        The cost is the negative ELBO, at one sample of the latents that is a function of the row:
        the same row has the same score, whatever rows come with it. A row that the model was
        trained on is not its own neighbour.
        """
        images = self._new_images(X)
        model = self.model_

        def costs(image, seed, own):
            batch = {"image": image, "index": own, "exclude": own}
            cost = model.costs(batch, RowNoise(seed))
            return cost["reconstruction_nats"] + cost["kl_nats"]

        cost = model.graph("cost of rows", costs)
        rows = self._rows_of(images)
        nats = in_batches(cost, images, _seeds(images), rows, size=ROWS, fill=True)
        return -nats.astype(np.float64)

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the nats per row, the mean of `score_samples`: greater is better.

        So `GridSearchCV` finds the smallest code length. Compare only models of one `likelihood`
        and `pixel_range`, as only their nats are about the same values.
        """
        return float(np.mean(self.score_samples(X)))

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the training rows whose codes are nearest to those of `X`.

        Args:
          X: Rows, `[N, n_features]`; `None` for the training rows, of which none is its own
            neighbour.
          n_neighbors: How many; by default the K of an ACN's codebook, and 5 for a VAE.
          return_distance: Whether the distances come too.

        Returns:
          `(distance, index)`, float32 and int64 `[N, n_neighbors]`, nearest first, or `index`.
        """
        check_is_fitted(self)
        k = self._default_neighbors() if n_neighbors is None else n_neighbors
        k, count = check_count(k, "n_neighbors", 1), len(self.codes_)
        codes = self.codes_ if X is None else self._codes(self._new_images(X))
        own = np.arange(count) if X is None else np.full(len(codes), -1)
        if k > count - (X is None):
            raise UserError(
                f"There are {count - (X is None)} training rows to find, so n_neighbors={k} is "
                "too many."
            )
        distance, index = in_batches(
            lambda query, exclude: self._search(query, k, exclude),
            codes,
            own.astype(np.int32),
            size=ROWS,
        )
        index = index.astype(np.int64)
        return (distance, index) if return_distance else index

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Codes are float32, whatever goes in.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # -- rows to images and back -------------------------------------------------------

    def _rows(self, X, reset=False):
        """Return rows as a checked array `[N, n_features]`."""
        shape = getattr(X, "shape", ())
        if len(shape) > 2:
            raise UserError(
                f"scikit-learn has rows of flat features, and X has the shape {list(shape)}: give "
                f"X.reshape(len(X), -1), and image_shape={_as_image_shape(shape)}."
            )
        return validate_data(self, X, reset=reset)

    def _new_images(self, X):
        check_is_fitted(self)
        return self._images(self._rows(X))

    def _range(self, X):
        """Return `(low, high)` of the pixels, and whether it was learned from the rows."""
        least, most = float(X.min()), float(X.max())
        given = self.pixel_range
        if isinstance(given, str):
            if given != "auto":
                raise UserError(f'pixel_range must be "auto" or (low, high), not {given!r}.')
            is_whole = X.dtype.kind in "bui"
            if 0 <= least and most <= 1:
                return (0.0, 1.0), False
            if is_whole and 0 <= least and most <= 255:
                return (0.0, 255.0), False
            return (least, most if most > least else least + 1.0), True
        try:
            low, high = map(float, given)
        except (TypeError, ValueError):
            low = high = 0.0
        if not low < high or not np.isfinite(high - low):
            raise UserError(
                f"pixel_range must be (low, high), two numbers such as (0, 16), not {given!r}."
            )
        return (low, high), False

    def _images(self, X):
        """Return rows as images, float32 `[N, H, W, C]` in [0, 1]."""
        low, high = self.pixel_range_
        dtype = np.result_type(X.dtype, np.float32)
        unit = np.subtract(X, low, dtype=dtype) / dtype.type(high - low)
        outside = (unit < -ROUNDING) | (unit > 1 + ROUNDING)
        if outside.any():
            found = f"from {X.min():g} to {X.max():g}, and pixel_range is ({low:g}, {high:g})"
            if not self._clips:
                raise UserError(
                    f"The values go {found}: give rows of the same units as in fit, or the "
                    "pixel_range that holds them all."
                )
            warnings.warn(
                f"The values go {found}, as learned in fit: {int(outside.sum())} of {unit.size} "
                "are cut off at its ends. Give pixel_range=(low, high) to hold them all.",
                DataWarning,
                stacklevel=4,
            )
        unit = np.clip(unit, 0, 1).astype(np.float32)
        return unit.reshape(len(unit), *self.image_shape_)

    # -- the model ---------------------------------------------------------------------

    def _make(self, images: np.ndarray) -> LatentModel:
        """Return the model to be trained, of parts that are copies of those that were given."""
        raise NotImplementedError

    def _options(self, images):
        """Return the options of the model that all transformers have."""
        state = self.random_state
        if isinstance(state, (int, np.integer)):
            seed = check_seed(state, "random_state")
        else:
            try:
                seed = int(check_random_state(state).randint(SEEDS - 1))
            except ValueError:
                raise UserError(
                    "random_state must be a whole number, a numpy.random.RandomState or None, not "
                    f"{short(state, to_text=repr)}."
                ) from None
        network = "mlp" if self.image_shape is None else "conv"
        encoder = copy.deepcopy(self.encoder)
        if self.image_shape is None:
            encoder = _named(encoder, network)
        return {
            "image_shape": self.image_shape_,
            "latent_dim": check_count(self.latent_dim, "latent_dim", 1),
            "encoder": encoder,
            "prior": copy.deepcopy(self.prior),
            "decoder": self._decoder(_named(copy.deepcopy(self.decoder), network), images),
            "beta": copy.deepcopy(self.beta),
            "seed": seed,
        }

    def _decoder(self, decoder, images):
        """Return the config of a decoder with the likelihood that was asked for, or fits."""
        is_open = isinstance(decoder, dict) and "class_name" not in decoder
        if is_open and "likelihood" not in decoder and not _is_bernoulli(decoder["name"]):
            if "likelihood" in options(decoders.find(decoder["name"])):
                fitting = self.likelihood
                if isinstance(fitting, str) and fitting == "auto":
                    is_binary = np.all((images == 0) | (images == 1))
                    fitting = "bernoulli" if is_binary else "discretized_logistic_mixture"
                return {**decoder, "likelihood": copy.deepcopy(fitting)}
        if not isinstance(self.likelihood, str) or self.likelihood != "auto":
            raise UserError(
                "This decoder has a likelihood of its own: leave out either that or the "
                "transformer's likelihood."
            )
        return decoder

    def _codes(self, images):
        encode = self.model_.graph("codes of rows", self.model_.codes_batch)
        return np.asarray(in_batches(encode, images, size=ROWS, fill=True), np.float32)

    # -- what depends on the training rows ---------------------------------------------

    def _require_enough(self, count):
        """Raise a `UserError` if so few rows cannot be trained on."""

    def _remember(self, images):
        """Keep what is needed of the training rows."""

    def _rows_of(self, images):
        """Return which training row an image is, int32 `[N]`, -1 for none."""
        return np.full(len(images), -1, np.int32)

    def _default_neighbors(self):
        return 5

    def _search(self, query, k, exclude):
        return ExactSearch()(tf.constant(self.codes_), query, k, exclude)


class ACNTransformer(LatentTransformer):
    """An `ACN` as a scikit-learn transformer: it learns codes of images, given as flat rows.

    What rows may hold: `"auto"` takes 0/1 values, whole numbers from 0 to 255 and numbers in
    [0, 1] as they are; of any other numbers, such as standardized ones, the least and the
    greatest of the training rows become 0 and 1. A transformer's rows have the units of `fit`,
    and `inverse_transform` returns such.

    Args:
      latent_dim: Number of latent dimensions d, the features that come out.
      image_shape: `(H, W, C)` that a row of H * W * C features is folded into. `None` for
        features that are no image: networks are dense then, by default.
      encoder: Name, config or instance, as for `ACN`; by default convolutional where there is an
        `image_shape`, and dense elsewhere. Of an instance a copy is trained.
      prior: Likewise; `MixturePrior` by default.
      decoder: Likewise.
      likelihood: Output family of the decoder, see `keras_acn.decoders.get_likelihood`. `"auto"`
        is `"bernoulli"` where all training values are 0 or 1, and elsewhere
        `"discretized_logistic_mixture"`, for which the range has 256 levels.
      pixel_range: `(low, high)`, the numbers that mean black and white, or `"auto"`. Give it
        where you know it: folds of a cross-validation may otherwise learn different ones.
      beta: Weight of the KL term.
      n_neighbors: K, among how many nearest neighbours the prior's condition is picked; by
        default the codebook's own, 5.
      codebook: Config or instance, as for `ACN`.
      epochs: Passes over the training rows.
      batch_size: Rows of a step.
      optimizer: Name, config or instance of a Keras optimizer.
      learning_rate: Its learning rate; the optimizer's own by default.
      random_state: An int makes a fit repeatable, weights included; or a NumPy `RandomState`, or
        `None` for another fit each time.
      verbose: As for `keras.Model.fit`.

    Attributes:
      model_: The trained `ACN`.
      codes_: The codes of the training rows, float32 `[N, latent_dim]`.
      history_: The metrics of each epoch, a dict of lists.
      image_shape_, pixel_range_: What was used for the two.
      n_features_in_, feature_names_in_: As in scikit-learn.

    Example:
      >>> from keras_acn.sklearn import ACNTransformer
      >>> X = np.random.default_rng(0).integers(0, 2, (40, 16)).astype("uint8")
      >>> small = {"encoder": "mlp", "decoder": "mlp", "epochs": 1, "random_state": 0}
      >>> acn = ACNTransformer(2, image_shape=(4, 4, 1), **small)
      >>> acn.fit_transform(X).shape, acn.score(X) < 0
      ((40, 2), True)
      >>> acn.kneighbors(X[:1], n_neighbors=1, return_distance=False)
      array([[0]])
      >>> print(acn.inverse_transform(acn.transform(X)).shape)
      (40, 16)
    """

    def __init__(
        self,
        latent_dim=16,
        *,
        image_shape=None,
        encoder=None,
        prior=None,
        decoder=None,
        likelihood="auto",
        pixel_range="auto",
        beta=1.0,
        n_neighbors=None,
        codebook=None,
        epochs=20,
        batch_size=32,
        optimizer="adam",
        learning_rate=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            latent_dim,
            image_shape=image_shape,
            encoder=encoder,
            prior=prior,
            decoder=decoder,
            likelihood=likelihood,
            pixel_range=pixel_range,
            beta=beta,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_neighbors = n_neighbors
        self.codebook = codebook

    def _make(self, images):
        return ACN(**self._options(images), codebook=self._codebook())

    def _codebook(self):
        codebook = copy.deepcopy(self.codebook)
        if self.n_neighbors is None:
            return codebook
        k = check_count(self.n_neighbors, "n_neighbors", 1)
        if isinstance(codebook, KNNCodebook):
            return KNNCodebook.from_config({**codebook.get_config(), "k": k})
        return {**_named(codebook, "KNNCodebook"), "k": k}

    def _require_enough(self, count):
        if count < 2:
            raise UserError(
                "With n_samples=1 there is no neighbour: an ACN needs at least 2 rows, and more "
                "of them than n_neighbors."
            )

    def _remember(self, images):
        # The codebook as the trained model fills it; a row's own code is then found by its pixels.
        self.model_.codebook.codes.assign(self.codes_)
        self._row_of_digest = {digest: row for row, digest in enumerate(_digests(images))}

    def _rows_of(self, images):
        find = self._row_of_digest.get
        return np.array([find(digest, -1) for digest in _digests(images)], np.int32)

    def _default_neighbors(self):
        return self.model_.codebook.k

    def _search(self, query, k, exclude):
        return self.model_.codebook.neighbors(query, k, exclude=exclude)


class VAETransformer(LatentTransformer):
    """A `VAE` as a scikit-learn transformer: it learns codes of images, given as flat rows.

    Args:
      latent_dim: Number of latent dimensions d, the features that come out.
      image_shape: As for `ACNTransformer`, and so are the other arguments.
      encoder: Name, config or instance, as for `VAE`, of a learned variance by default.
      prior: Likewise; `StandardNormal` by default.
      decoder: Likewise.
      likelihood: Output family of the decoder, `"auto"` for what fits the values.
      pixel_range: `(low, high)`, the numbers that mean black and white, or `"auto"`.
      beta: Weight of the KL term; other than one, a beta-VAE.
      epochs: Passes over the training rows.
      batch_size: Rows of a step.
      optimizer: Name, config or instance of a Keras optimizer.
      learning_rate: Its learning rate; the optimizer's own by default.
      random_state: An int makes a fit repeatable, weights included.
      verbose: As for `keras.Model.fit`.

    Attributes:
      model_: The trained `VAE`.
      codes_: The codes of the training rows, float32 `[N, latent_dim]`.
      history_: The metrics of each epoch, a dict of lists.

    Example:
      >>> from keras_acn.sklearn import VAETransformer
      >>> X = np.random.default_rng(0).random((40, 6))
      >>> vae = VAETransformer(2, encoder={"hidden": [8]}, epochs=1, random_state=0).fit(X)
      >>> vae.transform(X).shape, [str(name) for name in vae.get_feature_names_out()]
      ((40, 2), ['vaetransformer0', 'vaetransformer1'])
    """

    def _make(self, images):
        return VAE(**self._options(images))


def _named(part, name):
    """Return `None` or a config without a name as a config with one, a name as a config."""
    if part is None or isinstance(part, dict) and "class_name" not in part:
        return {"name": name, **(part or {})}
    return {"name": part} if isinstance(part, str) else part


def _is_bernoulli(name):
    """Whether a decoder's name says its likelihood."""
    return name.lower().startswith("bernoulli")


def _as_image_shape(shape):
    """Return `(H, W, C)` as the user may have meant it by the shape of an array of images."""
    return (*map(int, shape[1:]), 1)[:3]


def _digests(images):
    """Return a number of 64 bits for each image, by its pixels."""
    return [
        int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "little")
        for image in images
    ]


def _seeds(rows):
    """Return an int32 seed for each row, by its numbers."""
    return np.array([digest % SEEDS for digest in _digests(rows)], np.int32)
