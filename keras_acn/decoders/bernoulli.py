"""`BernoulliMLP` and `BernoulliConv`: names of the feed-forward decoders with Bernoulli pixels."""

from __future__ import annotations

import inspect
from typing import Any

from keras_acn.decoders.families import Bernoulli
from keras_acn.decoders.feedforward import ConvDecoder, FeedForwardDecoder, MLPDecoder


class _Name(type(FeedForwardDecoder)):  # type: ignore[misc]  # mypy knows no classes made so
    """Makes a class another name of its base, whose likelihood is Bernoulli unless it is given."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        base = cls.__mro__[1]
        if not isinstance(base, _Name):
            given = inspect.signature(base.__init__).bind_partial(None, *args, **kwargs).arguments
            if given.get("likelihood") is None:
                kwargs["likelihood"] = cls.default_likelihood
            return base(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        base = cls.__mro__[1]
        if isinstance(base, _Name):
            return super().__instancecheck__(instance)
        return isinstance(instance, base) and instance.likelihood == Bernoulli()


class BernoulliMLP(MLPDecoder, metaclass=_Name):
    """An `MLPDecoder` with Bernoulli pixels, of any number of channels.

    Example:
      >>> decoder = BernoulliMLP((8, 8, 3), latent_dim=4)
      >>> type(decoder).__name__, decoder.likelihood
      ('MLPDecoder', Bernoulli())
    """

    default_likelihood = "bernoulli"


class BernoulliConv(ConvDecoder, metaclass=_Name):
    """A `ConvDecoder` with Bernoulli pixels, of any number of channels.

    Example:
      >>> decoder = BernoulliConv((8, 8, 3), latent_dim=4)
      >>> type(decoder).__name__, decoder.likelihood
      ('ConvDecoder', Bernoulli())
    """

    default_likelihood = "bernoulli"
