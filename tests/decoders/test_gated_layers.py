"""Causal convolutions against a masked full kernel in NumPy, and the gate."""

import keras
import numpy as np
import pytest

from keras_acn._base.errors import UserError
from keras_acn.decoders.pixelcnn.biases import GateBiases
from keras_acn.decoders.pixelcnn.layers import CausalConv, GatedLayer


def masked_convolution(x, kernel, mask):
    """Plain loops in float64: a K x K kernel with a mask, zeros around the image."""
    _, height, width, _ = x.shape
    reach = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for r in range(height):
        for c in range(width):
            window = padded[:, r : r + 2 * reach + 1, c : c + 2 * reach + 1]
            out[:, r, c] = np.einsum("bijf,ijfg->bg", window, kernel * mask[..., None, None])
    return out


@pytest.mark.parametrize("exclude_current", [True, False])
@pytest.mark.parametrize("direction", ["vertical", "horizontal"])
@pytest.mark.parametrize("size", [3, 5, 7])
def test_causal_conv_is_a_masked_convolution(size, direction, exclude_current):
    keras.utils.set_random_seed(size)
    layer = CausalConv(4, size, direction, exclude_current)
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
    found = layer(x)
    reach = size // 2
    span = reach + (not exclude_current)
    kernel, mask = np.zeros((size, size, 3, 4)), np.zeros((size, size))
    weights = keras.ops.convert_to_numpy(layer.conv.kernel)
    if direction == "vertical":
        mask[:span] = 1
        kernel[:span] = weights
    else:
        mask[reach, :span] = 1
        kernel[reach, :span] = weights[0]
    assert weights.shape[:2] == ((span, size) if direction == "vertical" else (1, span))
    expected = masked_convolution(x.astype("float64"), kernel, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exclude_current", [True, False])
def test_horizontal_conv_at_one_pixel(exclude_current):
    layer = CausalConv(4, 5, "horizontal", exclude_current, use_bias=False)
    x = np.random.default_rng(1).normal(size=(2, 1, 6, 3)).astype("float32")
    row = layer(x)
    end = 4 if exclude_current else 5
    window = keras.ops.convert_to_tensor(x[:, 0, end - layer.span : end])
    np.testing.assert_allclose(layer.at(window), row[:, 0, 4], rtol=1e-5, atol=1e-6)


def test_gate_is_tanh_times_sigmoid():
    x = np.random.default_rng(2).normal(size=(3, 8))
    expected = np.tanh(x[:, :4]) / (1 + np.exp(-x[:, 4:]))
    found = GatedLayer(4, 3).gate(keras.ops.convert_to_tensor(x.astype("float32")))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("residual", ["bottleneck", "horizontal"])
def test_gated_layer_agrees_with_its_equations(residual):
    """The layer rebuilt from masked convolutions and matrix products in float64."""
    keras.utils.set_random_seed(3)
    layer = GatedLayer(6, 3, residual=residual, inner=2)
    layer.build((None, None, None, 6))
    rng = np.random.default_rng(3)
    for v in layer.weights:
        v.assign(rng.normal(size=v.shape))
    v, h = rng.normal(size=(2, 2, 4, 5, 6)).astype("float32")
    wide = 2 * layer.gate_width
    bias_v, bias_h = rng.normal(size=(2, 2, 1, 1, wide)).astype("float32")
    found_v, found_h = layer(v, h, bias_v, bias_h)

    def dense(x, part):
        kernel, bias = (keras.ops.convert_to_numpy(w).astype("float64") for w in part.weights)
        return x @ kernel + bias

    def conv(x, part):
        weights = keras.ops.convert_to_numpy(part.conv.kernel)
        kernel, mask = np.zeros((3, 3, *weights.shape[2:])), np.ones((3, 3))
        if part.direction == "vertical":
            kernel[:2] = weights
            return masked_convolution(x, kernel, mask) + np.asarray(part.conv.bias)
        kernel[1, :2] = weights[0]
        return masked_convolution(x, kernel, mask)

    def gate(x):
        a, c = np.split(x, 2, axis=-1)
        return np.tanh(a) / (1 + np.exp(-c))

    bottleneck = residual == "bottleneck"
    gates_v = conv(dense(v, layer.reduce_v) if bottleneck else v, layer.conv_v)
    gates_h = conv(dense(h, layer.reduce_h) if bottleneck else h, layer.conv_h)
    gates_h = gates_h + dense(gates_v, layer.v_to_h) + bias_h
    expected_v = gate(gates_v + bias_v)
    if bottleneck:
        expected_v = dense(expected_v, layer.expand_v) + v
    np.testing.assert_allclose(found_v, expected_v, rtol=1e-4, atol=1e-4)
    expected_h = dense(gate(gates_h), layer.expand_h) + h
    np.testing.assert_allclose(found_h, expected_h, rtol=1e-4, atol=1e-4)


def test_global_biases_are_linear_in_z():
    layer = GateBiases((4, 4, 1), [6, 10])
    z = np.random.default_rng(4).normal(size=(3, 5)).astype("float32")
    first, second = layer(z)
    assert first.shape == (3, 1, 1, 6) and second.shape == (3, 1, 1, 10)
    expected = z @ keras.ops.convert_to_numpy(layer.dense.kernel)
    together = np.concatenate([first, second], axis=-1)[:, 0, 0]
    np.testing.assert_allclose(together, expected, rtol=1e-5, atol=1e-6)


def test_spatial_biases_cover_the_image_and_vary():
    layer = GateBiases((5, 7, 1), [6, 10], conditioning="spatial", map_filters=4)
    first, second = layer(np.ones((3, 5), "float32"))
    assert first.shape == (3, 5, 7, 6) and second.shape == (3, 5, 7, 10)
    assert np.std(np.asarray(first), axis=(1, 2)).min() > 0


def test_unknown_conditioning_is_told():
    with pytest.raises(UserError, match="global"):
        GateBiases((4, 4, 1), [6], conditioning="both")
