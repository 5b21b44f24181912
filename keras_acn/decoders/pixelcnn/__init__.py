"""The gated PixelCNN: a decoder that goes pixel by pixel, conditioned on z."""

from keras_acn.decoders.pixelcnn.decoder import GatedPixelCNN as GatedPixelCNN
