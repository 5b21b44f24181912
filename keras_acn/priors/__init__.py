"""Priors: c -> p(z|c), and the KL divergence from a posterior to one."""

from keras_acn._base.registry import Registry
from keras_acn.priors.base import Prior as Prior
from keras_acn.priors.fitted import FittedNormal as FittedNormal
from keras_acn.priors.joint import JointMixture as JointMixture
from keras_acn.priors.joint import LearnedMixture as LearnedMixture
from keras_acn.priors.joint import VampPrior as VampPrior
from keras_acn.priors.kl import has_closed_form as has_closed_form
from keras_acn.priors.kl import kl_nats as kl_nats
from keras_acn.priors.mixture import MixturePrior as MixturePrior
from keras_acn.priors.network import NetworkPrior as NetworkPrior
from keras_acn.priors.network import adopted as _adopted
from keras_acn.priors.normal import StandardNormal as StandardNormal

registry = Registry(
    "prior",
    [StandardNormal, FittedNormal, MixturePrior, LearnedMixture, VampPrior],
    Prior,
    adopt=_adopted,
)
