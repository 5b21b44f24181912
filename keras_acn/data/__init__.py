"""Images: where they come from, how they are binarized, and how they become batches.

Importing this room loads neither TensorFlow nor TensorFlow Datasets; they are imported
by the calls that need them.
"""

from keras_acn.data.checks import check_images as check_images
from keras_acn.data.checks import to_unit as to_unit
from keras_acn.data.image_set import ImageSet as ImageSet
from keras_acn.data.indexed import check_batch_spec as check_batch_spec
from keras_acn.data.indexed import from_arrays as from_arrays
from keras_acn.data.indexed import index_dataset as index_dataset
from keras_acn.data.load import Data as Data
from keras_acn.data.load import check_source as check_source
from keras_acn.data.load import load as load
from keras_acn.data.readers import describe_sources as describe_sources
from keras_acn.data.transform import BINARIZATIONS as BINARIZATIONS
