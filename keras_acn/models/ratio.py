"""A metric that is one sum over another."""

import keras


class Ratio(keras.metrics.Metric):
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
