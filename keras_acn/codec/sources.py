"""Arrays of images that are read a block at a time: those of the data room's readers."""

from keras_acn.data.readers.base import SCAN as SCAN
from keras_acn.data.readers.base import ArraySource as ArraySource
from keras_acn.data.readers.base import Source as Source
