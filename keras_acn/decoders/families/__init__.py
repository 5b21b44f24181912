"""Output families by name: how a network's numbers at one pixel become a distribution."""

from keras_acn._base.registry import Registry
from keras_acn.decoders.families.base import ImageDistribution as ImageDistribution
from keras_acn.decoders.families.base import Likelihood as Likelihood
from keras_acn.decoders.families.bernoulli import Bernoulli as Bernoulli
from keras_acn.decoders.families.categorical import Categorical256 as Categorical256
from keras_acn.decoders.families.logistic import (
    DiscretizedLogisticMixture as DiscretizedLogisticMixture,
)

FAMILIES = Registry(
    "likelihood", [Bernoulli, DiscretizedLogisticMixture, Categorical256], Likelihood
)


def get_likelihood(identifier="bernoulli"):
    """Return an output family from its name, its config, or itself.

    Args:
      identifier: `"bernoulli"`, `"discretized_logistic_mixture"` or `"categorical"`; a
        dict such as `{"name": "discretized_logistic_mixture", "components": 5}`; a
        `Likelihood`; or `None` for Bernoulli.

    Raises:
      UserError: If the name or an option is unknown, with the nearest known one.
    """
    return FAMILIES.get(identifier, default="bernoulli")
