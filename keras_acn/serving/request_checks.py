"""Checks of a request inside the graph: TensorFlow errors that name the input."""

import tensorflow as tf

# As in the checks of images in Python: what float arithmetic adds to 0 or 1.
ROUNDING = 1e-3


def checked(inputs, specs):
    """Return the inputs, passed on once every check on them has held.

    Each input must have the shape of its spec, whose first dimension is the batch, and at
    least one row; all must have equally many. Numbers must be finite, and an image's in
    [0, 1]. A request that breaks a rule ends with an `InvalidArgumentError` whose message
    begins with the input's name; the graph holds nothing that it could spoil.

    Args:
      inputs: Tensors by name.
      specs: Their `tf.TensorSpec`s by name.
    """
    asserts = []
    batch = None
    for name, value in inputs.items():
        spec = specs[name]
        # A server feeds whatever shape it is sent. The shape that the signature declares
        # is hidden here, so that no optimizer may take the check for always true.
        hidden = tf.compat.v1.placeholder_with_default(value, shape=None)
        shape = tf.shape(hidden)
        wanted = spec.shape.as_list()
        text = ", ".join("batch" if n is None else str(n) for n in wanted)
        fits = tf.equal(tf.size(shape), len(wanted))
        fits &= tf.reduce_all(_inner(shape, len(wanted)) == tf.constant(wanted[1:], tf.int32))
        asserts.append(_must(fits, f"{name} must have the shape [{text}], not", shape))
        rows = tf.concat([shape, [0]], axis=0)[0]
        asserts.append(_must(rows > 0, f"{name} must hold at least one row, not none"))
        if batch is None:
            first, batch = name, rows
        else:
            same = tf.equal(rows, batch)
            asserts.append(
                _must(same, f"{name} must have as many rows as {first}, not", rows, "and", batch)
            )
        flat = tf.reshape(hidden, [-1])
        if spec.dtype.is_floating:
            finite = tf.reduce_all(tf.math.is_finite(flat))
            asserts.append(_must(finite, f"{name} must hold no NaN and no infinity"))
        if name == "image":
            inside = (flat >= -ROUNDING) & (flat <= 1 + ROUNDING) | ~tf.math.is_finite(flat)
            sentence = f"{name} must hold values in [0, 1]: divide 8-bit values by 255"
            asserts.append(_must(tf.reduce_all(inside), sentence))
    with tf.control_dependencies(asserts):
        passed = {name: tf.identity(value) for name, value in inputs.items()}
    if "image" in passed:
        passed["image"] = tf.clip_by_value(passed["image"], 0.0, 1.0)
    return passed


def _inner(shape, rank):
    """Return the sizes after the batch, filled up with -1 to `rank - 1` of them."""
    return tf.concat([shape, tf.fill([rank], -1)], axis=0)[1:rank]


def _must(condition, sentence, *values):
    return tf.debugging.Assert(condition, [sentence, *values], summarize=8)
