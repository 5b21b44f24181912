"""Output families by name: how a network's numbers at one pixel become a distribution."""

from keras_acn._base.registry import Registry
from keras_acn.decoders.families.base import ImageDistribution as ImageDistribution
from keras_acn.decoders.families.base import Likelihood as Likelihood
from keras_acn.decoders.families.bernoulli import Bernoulli as Bernoulli
from keras_acn.decoders.families.categorical import Categorical256 as Categorical256
from keras_acn.decoders.families.continuous import ContinuousBernoulli as ContinuousBernoulli
from keras_acn.decoders.families.continuous import Gaussian as Gaussian
from keras_acn.decoders.families.logistic import (
    DiscretizedLogisticMixture as DiscretizedLogisticMixture,
)

FAMILIES = Registry(
    "likelihood",
    [Bernoulli, DiscretizedLogisticMixture, Categorical256, ContinuousBernoulli, Gaussian],
    Likelihood,
)


def get_likelihood(identifier=None, channels: int = 1):
    """Return an output family from its name, its config, or itself.

    Where none is named, the number of channels decides: pixels of one channel are Bernoulli, as of
    binarized MNIST; those of several are in colour, so they have 8 bits and are a mixture of
    discretized logistics. (A Bernoulli of colours would be no code length of anything.)

    Args:
      identifier: `"bernoulli"`, `"discretized_logistic_mixture"` or `"categorical"`, or for
        values that are not to be coded `"continuous_bernoulli"` or `"gaussian"`; a
        dict such as `{"name": "discretized_logistic_mixture", "components": 5}`; a
        `Likelihood`; or `None` for what the channels ask for.
      channels: Channels of an image.

    Raises:
      UserError: If the name or an option is unknown, with the nearest known one.

    Example:
      >>> get_likelihood(), get_likelihood(channels=3)
      (Bernoulli(), DiscretizedLogisticMixture(components=10))
    """
    default = "bernoulli" if channels == 1 else "discretized_logistic_mixture"
    return FAMILIES.get(identifier, default=default)
