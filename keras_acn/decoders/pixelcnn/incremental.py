"""Position by position through a gated PixelCNN, with cached features.

A position is a pixel, or a block of pixels where the decoder goes by blocks; its values are
those of `to_blocks`. Its features hang on a few earlier positions of the layer below only. So
each layer keeps the last `K // 2` rows of its vertical stack's input and the last `K // 2`
positions of its horizontal stack's; the vertical stack advances once a row, and the horizontal
stack one position at a time. The work for a position is that of the network there, whatever the
image's size (Ramachandran et al. 2017, arXiv 1704.06001, cache PixelCNN++ in the same way).
"""

import tensorflow as tf

from keras_acn.decoders.pixelcnn.blocks import from_blocks, to_blocks


class IncrementalDecoder:
    """Steps a `GatedPixelCNN` through its positions, for many images side by side.

    To code or sample images by hand, where `height, width, values = decoder.grid_shape`:

        state = steps.init_state(z)                          # z [B, d]
        known = tf.zeros([B, values])
        for position in range(height * width):               # raster order
            features, state = steps.step(state, position, known)
            for v in range(values):                          # value by value
                pmf = steps.pmf(features, values_so_far)     # [B, levels], from [B, v]
                ...
            known = ...                                      # [B, values] in [0, 1]

    In float32 the parameters agree with those of the parallel pass within 1e-5 of their
    size. They are not bitwise equal, nor are those of two batch sizes: a codec must step with
    the same batch shape on both sides.

    Args:
      decoder: The `GatedPixelCNN`. Its present weights are read at each step.

    Example:
      >>> from keras_acn.decoders import GatedPixelCNN
      >>> steps = GatedPixelCNN((4, 4, 1), latent_dim=2, layers=2, filters=4).steps
      >>> state = steps.init_state(tf.zeros([3, 2]))
      >>> features, state = steps.step(state, 0, tf.zeros([3, 1]))
      >>> print(steps.pmf(features, tf.zeros([3, 0])).shape)
      (3, 2)
    """

    def __init__(self, decoder):
        self.decoder = decoder
        self._plain = tf.function(self._sample, reduce_retracing=True)
        self._compiled = tf.function(self._sample, jit_compile=True)

    def init_state(self, z):
        """Return the state before the first position of images with latents z [B, d].

        A dict: `biases`, each gate's bias from z; `rows` and `pixels`, the vertical and
        horizontal caches of each layer; `contexts`, what each layer's vertical stack says to
        the present row, and last what the row above predicts, where the decoder does so; `row`, the
        present row's values so far.
        """
        decoder = self.decoder
        z = tf.convert_to_tensor(z)
        batch = tf.shape(z)[0] if z.shape[0] is None else z.shape[0]
        _, width, values = decoder.grid_shape
        biases = [tf.convert_to_tensor(b) for b in decoder.gate_biases(z)]
        if decoder.conditioning == "spatial":
            # Upsampling hides the static shape, which loops hold on to.
            full = [z.shape[0], *decoder.grid_shape[:2]]
            biases = [tf.ensure_shape(b, [*full, b.shape[-1]]) for b in biases]
        rows, pixels, contexts = [], [], []
        for layer in decoder.gated:
            reach = layer.conv_v.reach
            inside = layer.conv_v.conv.kernel.shape[2]
            dtype = layer.compute_dtype
            rows.append(tf.zeros([batch, reach, width + 2 * reach, inside], dtype))
            pixels.append(tf.zeros([batch, reach, inside], dtype))
            contexts.append(tf.zeros([batch, width, 2 * layer.gate_width], dtype))
        if decoder.predictor is not None:
            contexts.append(tf.zeros([batch, width, values], decoder.predictor.compute_dtype))
        return {
            "biases": biases,
            "rows": rows,
            "pixels": pixels,
            "contexts": contexts,
            "row": tf.zeros([batch, width, values]),
        }

    def step(self, state, position, previous):
        """Return the features of the position, and the next state.

        Args:
          state: From `init_state` or the previous step.
          position: Raster index, int or scalar tensor, from 0 to the grid's size.
          previous: float32 [B, values] in [0, 1] of `position - 1`; ignored at 0.

        Returns:
          (features [B, F], state). `pmf` and `parameters` read the features.
        """
        width = self.decoder.grid_shape[1]
        position = tf.convert_to_tensor(position, tf.int32)
        row, column = position // width, position % width
        index = tf.reshape((column - 1) % width, [1, 1])
        filled = tf.transpose(
            tf.tensor_scatter_nd_update(
                tf.transpose(state["row"], [1, 0, 2]), index, previous[None]
            ),
            [1, 0, 2],
        )
        rows, contexts = tf.cond(
            column == 0,
            lambda: self._advance_row(state["biases"], state["rows"], row, filled),
            lambda: (state["rows"], state["contexts"]),
        )
        features, pixels = self._advance_pixel(state["pixels"], contexts, column, previous)
        state = {**state, "rows": rows, "contexts": contexts, "pixels": pixels, "row": filled}
        return features, state

    def next_row(self, state, row, above):
        """Return the state with which `next_pixel` goes through a row.

        `step` is this and `next_pixel` in one; apart, a loop over positions does not carry along
        what changes once a row.

        Args:
          state: From `init_state` or the previous row; `biases` and `rows` are read.
          row: Index of the row, int or scalar tensor.
          above: float32 [B, W, values] in [0, 1] of the row above; ignored in row 0.
        """
        row = tf.convert_to_tensor(row, tf.int32)
        rows, contexts = self._advance_row(state["biases"], state["rows"], row, above)
        return {**state, "rows": rows, "contexts": contexts}

    def next_pixel(self, state, column, left):
        """Return the features [B, F] of the next position of a row, and the new `pixels`.

        Args:
          state: Of this row; `contexts` and `pixels` are read, the latter as the position
            before left them.
          column: Index of the position in its row, int or scalar tensor.
          left: float32 [B, values] in [0, 1] of the position before; ignored in column 0.
        """
        column = tf.convert_to_tensor(column, tf.int32)
        return self._advance_pixel(state["pixels"], state["contexts"], column, left)

    def parameters(self, features, previous):
        """Return what the output family needs for the next turn of the head.

        Args:
          features: [B, F] from `step`.
          previous: float32 [B, v] in [0, 1], the position's first values, whole turns of them.

        Returns:
          float32 [B, P], the parameters of the turn's values.
        """
        head = self.decoder.head
        return head.parameters(features, previous, previous.shape[-1] // head.group)

    def pmf(self, features, previous):
        """Return the probabilities of the next value's levels, float32 [B, levels].

        Args:
          features: [B, F] from `step`.
          previous: float32 [B, v] in [0, 1], the position's first v values.
        """
        group = self.decoder.head.group
        begun = previous.shape[-1] % group
        whole = previous.shape[-1] - begun
        params = self.parameters(features, previous[..., :whole])
        return self.decoder.likelihood.pmf(params, previous[..., whole:], group)

    def sample(self, z, seed, jit_compile=False):
        """Return one image for each latent: float32 [B, H, W, C].

        The same z and seed give the same images, as long as the batch size and
        `jit_compile` are the same too.

        Args:
          z: float [B, d].
          seed: int32 tensor of shape [2].
          jit_compile: Whether XLA compiles the loop, which takes some seconds once for each
            batch size and gains little on a CPU.
        """
        height, width, channels = self.decoder.image_shape
        z = tf.convert_to_tensor(z)
        shape = [height, width, tf.shape(z)[0], self.decoder.likelihood.noise_size(channels)]
        # Drawn here, since XLA turns a seed into other numbers.
        noise = tf.random.stateless_uniform(shape, seed)
        return (self._compiled if jit_compile else self._plain)(z, noise)

    def images(self, z, noise):
        """Return the images that uniform numbers stand for: float32 [B, H, W, C].

        `sample` draws the numbers; whoever has them already, each image's from a seed of
        its own, begins here. Nothing is compiled or kept.

        Args:
          z: float [B, d].
          noise: float32 [H, W, B, n] in [0, 1), n being the likelihood's `noise_size`.
        """
        return self._sample(tf.convert_to_tensor(z), noise)

    def _sample(self, z, noise):
        height, width, values = self.decoder.grid_shape
        noise = self._grid_noise(noise)
        start = self.init_state(z)
        batch = start["row"].shape[0] or tf.shape(z)[0]

        def sample_row(row, rows, above, image):
            rows, contexts = self._advance_row(start["biases"], rows, row, above)

            def sample_position(column, pixels, left, line):
                features, pixels = self._advance_pixel(pixels, contexts, column, left)
                known = self._sample_position(features, noise[row, column])
                return column + 1, pixels, known, line.write(column, known)

            line = tf.TensorArray(tf.float32, width, element_shape=above[:, 0].shape)
            zeros = tf.zeros([batch, values])
            _, _, _, line = tf.while_loop(
                lambda column, *_: column < width,
                sample_position,
                (tf.constant(0), start["pixels"], zeros, line),
                maximum_iterations=width,
            )
            done = tf.transpose(line.stack(), [1, 0, 2])  # [B, W, values]
            done = tf.ensure_shape(done, above.shape)
            return row + 1, rows, done, image.write(row, done)

        image = tf.TensorArray(tf.float32, height, element_shape=start["row"].shape)
        _, _, _, image = tf.while_loop(
            lambda row, *_: row < height,
            sample_row,
            (tf.constant(0), start["rows"], start["row"], image),
            maximum_iterations=height,
        )
        grid = tf.transpose(image.stack(), [1, 0, 2, 3])  # [B, *grid_shape]
        return from_blocks(grid, self.decoder.block)

    def _grid_noise(self, noise):
        """Return uniform numbers [H, W, B, n] of pixels as those of positions."""
        block = self.decoder.block
        if block == 1:
            return noise
        noise = to_blocks(tf.transpose(noise, [2, 0, 1, 3]), block)
        return tf.transpose(noise, [1, 2, 0, 3])

    def _sample_position(self, features, noise):
        """Return a sample of the position's values, [B, values], turn after turn."""
        head, likelihood = self.decoder.head, self.decoder.likelihood
        size = likelihood.noise_size(head.group)
        known = tf.zeros_like(noise[:, :0])
        for turn in range(head.turns):
            params = tf.cast(head.parameters(features, known, turn), noise.dtype)
            numbers = noise[:, turn * size : (turn + 1) * size]
            value = likelihood.sample(params, head.group, numbers)
            known = value if head.turns == 1 else tf.concat([known, value], axis=-1)
        return known

    def _encode(self, values, known):
        """Return the network's input for values [..., n], zero where nothing is known yet."""
        x = tf.cast(values, self.decoder.compute_dtype)
        x = tf.concat([2.0 * x - 1.0, tf.ones_like(x[..., :1])], axis=-1)
        return x * tf.cast(known, x.dtype)

    def _advance_row(self, biases, rows, row, above):
        """Run the vertical stack on one row.

        Args:
          biases: The gates' biases.
          rows: Each layer's cache [B, K // 2, W + 2 (K // 2), F], from the row above.
          row: Index of the row, scalar tensor.
          above: float32 [B, W, values] of the row above; ignored in row 0.

        Returns:
          (rows, contexts): the caches, and each layer's [B, W, 2 G] for the horizontal gates, and
          last what is predicted, [B, W, values], where the decoder does so.
        """
        v = self._encode(above, row > 0)[:, None]  # [B, 1, W, values + 1]
        next_rows, contexts = [], []
        for i, layer in enumerate(self.decoder.gated):
            bias_v, bias_h = (at_row(b, row) for b in biases[2 * i : 2 * i + 2])
            new = v if layer.reduce_v is None else layer.reduce_v(v)
            side = layer.conv_v.reach
            new = tf.pad(new, [[0, 0], [0, 0], [side, side], [0, 0]])
            window = tf.concat([rows[i], new], axis=1)
            next_rows.append(window[:, 1:])
            gates = layer.conv_v.conv(window[:, 1:] if layer.first else window)
            contexts.append((layer.v_to_h(gates) + bias_h)[:, 0])
            if not layer.last:
                v = layer.finish(gates + bias_v, v, layer.expand_v, False)
        if self.decoder.predictor is not None:
            contexts.append(self.decoder.predictor.of_row(above, row > 0))
        return next_rows, contexts

    def _advance_pixel(self, pixels, contexts, column, left):
        """Run the horizontal stack on one position of every image.

        Args:
          pixels: Each layer's cache [B, K // 2, F], from the position to the left.
          contexts: Each layer's [B, W, 2 G] from `_advance_row`.
          column: The position's column, scalar tensor.
          left: float32 [B, values] of the position to the left; ignored in column 0.

        Returns:
          (what the head's turns read [B, F], caches).
        """
        inside = column > 0
        h = self._encode(left, inside)
        next_pixels = []
        for i, layer in enumerate(self.decoder.gated):
            new = h if layer.reduce_h is None else layer.reduce_h(h)
            cache = pixels[i] * tf.cast(inside, new.dtype)
            window = tf.concat([cache, new[:, None]], axis=1)
            next_pixels.append(window[:, 1:])
            gates = layer.conv_h.at(window[:, 1:] if layer.first else window)
            h = layer.finish(gates + contexts[i][:, column], h, layer.expand_h, False)
        predicted = None
        if self.decoder.predictor is not None:
            predicted = contexts[-1][:, column] + self.decoder.predictor.of_left(left, inside)
        return self.decoder.head.begin(h, predicted), next_pixels


def at_row(bias, row):
    """Return a gate's bias in one row: [B, 1, 1 or W, width]."""
    return bias if bias.shape[1] == 1 else bias[:, row][:, None]
