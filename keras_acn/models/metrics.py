"""Metrics that every replica keeps alike."""

import keras


class OnEveryReplica:
    """A metric whose state is the same on every replica, as each is given the values of all.

    Keras's own variables of metrics hold a part of the sum on each replica, and to read one
    takes all workers: the chief alone could not write a checkpoint.
    """

    def add_variable(self, shape, initializer, dtype=None, aggregation=None, name=None):
        variable = keras.Variable(
            initializer=keras.initializers.get(initializer),
            shape=shape,
            dtype=dtype,
            trainable=False,
            name=name,
        )
        # As Keras does, so that it is not tracked twice.
        self._tracker.add_to_store("variables", variable)
        return variable


class Mean(OnEveryReplica, keras.metrics.Mean):
    """Keras's weighted mean."""


class Ratio(OnEveryReplica, keras.metrics.Metric):
    """The sum of one quantity over the sum of another, 0 where the latter is 0."""

    def __init__(self, name="ratio", dtype="float32"):
        super().__init__(name=name, dtype=dtype)
        self.part = self.add_variable(shape=(), initializer="zeros", name="part")
        self.whole = self.add_variable(shape=(), initializer="zeros", name="whole")

    def update_state(self, part, whole):
        """Adds the scalars `part` and `whole` to the two sums."""
        self.part.assign_add(part)
        self.whole.assign_add(whole)

    def result(self):
        """Returns the sum of the parts over that of the wholes."""
        return keras.ops.divide_no_nan(self.part, self.whole)
