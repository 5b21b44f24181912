"""The models: parts joined into something that `fit` trains."""

from keras_acn._base.registry import Registry
from keras_acn.models.acn import ACN as ACN
from keras_acn.models.autoencoder import Autoencoder as Autoencoder
from keras_acn.models.base import LatentModel as LatentModel
from keras_acn.models.finite import StopOnNonFinite as StopOnNonFinite
from keras_acn.models.saved import load_model as load_model
from keras_acn.models.saved import load_pretrained as load_pretrained
from keras_acn.models.saved import pretrained_folders as pretrained_folders
from keras_acn.models.schedules import PiecewiseLinear as PiecewiseLinear
from keras_acn.models.vae import VAE as VAE
from keras_acn.models.vhe import VHE as VHE

registry = Registry("model", [ACN, VAE, VHE, Autoencoder], LatentModel)
