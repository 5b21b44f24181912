"""The stack of bits that everything is pushed on and popped from."""

import numpy as np

from keras_acn._base.errors import UserError


def _library():
    try:
        import constriction
    except ImportError as error:
        raise UserError(
            'Compressing needs the package constriction: pip install "keras-acn[codec]".'
        ) from error
    return constriction.stream


class Stack:
    """An asymmetric numeral system as a stack (Duda 2009, arXiv 0902.0271).

    Pushing a symbol of probability p makes the stack longer by -log2 p bits. Popping with a
    distribution draws a symbol from it, as random as the bits on the stack are, and makes it
    shorter by as much; pushing that symbol with the same distribution restores the stack
    exactly. That is what bits-back coding rests on (Townsend et al. 2019, arXiv 1901.04866).

    An empty stack reads as zeros without end: popping from it gives the first symbol of a
    distribution, and pushing that back leaves it empty. So the two are each other's inverse
    there too.

    Symbols and parameters are flat arrays of one length. An array is pushed from its end, so
    that it pops in its own order.

    Probabilities are cut to 24 bits by the library, none to zero.

    Args:
      words: uint32 `[W]`, from `words()`; an empty stack by default.

    Raises:
      UserError: If the package constriction is not installed.
    """

    def __init__(self, words=None):
        stream = _library()
        model = stream.model
        self._coder = stream.stack.AnsCoder(*([] if words is None or not len(words) else [words]))
        self._bernoulli = model.Bernoulli(perfect=False)
        self._categorical = model.Categorical(perfect=False)
        self._uniform = model.Uniform()
        self._gaussian = model.QuantizedGaussian

    @property
    def bits(self):
        """What is on the stack, in bits."""
        return self._coder.num_valid_bits()

    def is_empty(self):
        """Returns whether nothing is on the stack."""
        return self._coder.is_empty()

    def words(self):
        """Returns what is on the stack: uint32 `[W]`."""
        return self._coder.get_compressed()

    def push_bits(self, bits, probability):
        """Pushes zeros and ones, given the probabilities of a one."""
        self._push(bits, self._bernoulli, probability)

    def pop_bits(self, probability):
        """Pops zeros and ones, int32, given the probabilities of a one."""
        return self._pop(self._bernoulli, probability)

    def push_choice(self, choice, probabilities):
        """Pushes symbols `[n]` of categorical distributions `[n, M]`."""
        # The library has no distribution over one symbol, which says nothing anyway.
        if probabilities.shape[1] > 1:
            self._push(choice, self._categorical, probabilities)

    def pop_choice(self, probabilities):
        """Pops symbols, int32 `[n]`, of categorical distributions `[n, M]`."""
        if probabilities.shape[1] == 1:
            return np.zeros(len(probabilities), np.int32)
        return self._pop(self._categorical, probabilities)

    def push_cells(self, cells, mean, stddev, reach):
        """Pushes integers in `-reach .. reach` by the Gaussian mass of the unit around each."""
        self._push(cells, self._gaussian(-reach, reach), mean, stddev)

    def pop_cells(self, mean, stddev, reach):
        """Pops integers, int32, in `-reach .. reach`: see `push_cells`."""
        return self._pop(self._gaussian(-reach, reach), mean, stddev)

    def push_uniform(self, symbols, sizes):
        """Pushes integers, each one of `0 .. size - 1`; sizes are at most 2**24 - 1."""
        sizes = np.broadcast_to(np.asarray(sizes, np.int32), np.shape(symbols))
        some = sizes > 1
        symbols = np.asarray(symbols, np.int32)[some]
        self._coder.encode_reverse(symbols, self._uniform, np.ascontiguousarray(sizes[some]))

    def pop_uniform(self, sizes):
        """Pops integers, int32, each one of `0 .. size - 1`."""
        sizes = np.asarray(sizes, np.int32)
        symbols = np.zeros(sizes.shape, np.int32)
        some = sizes > 1
        symbols[some] = self._coder.decode(self._uniform, np.ascontiguousarray(sizes[some]))
        return symbols

    def _push(self, symbols, family, *parameters):
        symbols = np.ascontiguousarray(symbols, np.int32)
        self._coder.encode_reverse(symbols, family, *map(_doubles, parameters))

    def _pop(self, family, *parameters):
        return self._coder.decode(family, *map(_doubles, parameters))


def _doubles(array):
    return np.ascontiguousarray(array, np.float64)
