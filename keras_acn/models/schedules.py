"""Numbers that change over training, such as the weight of the KL term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_acn._base.checks import check_number
from keras_acn._base.errors import UserError, short


@keras.saving.register_keras_serializable("keras_acn")
class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):
    """A number that goes in straight lines from one value to the next.

    For the `beta` of a model: little weight on the KL term at first lets the codes carry what the
    decoder cannot know yet, more than 1 for a while orders them, and 1 at the end makes the loss
    the code length again. Keras's learning rates may follow one too.

    Args:
      steps: Optimizer steps, rising, the first not negative.
      values: The number at each of them. Before the first and after the last it stays.

    Raises:
      UserError: If there are not as many steps as values, or the steps do not rise.

    Example:
      >>> beta = PiecewiseLinear([0, 100, 200], [0.05, 2.0, 1.0])
      >>> [round(float(beta(step)), 3) for step in (0, 50, 100, 150, 1000)]
      [0.05, 1.025, 2.0, 1.5, 1.0]
    """

    def __init__(self, steps: Sequence[float], values: Sequence[float]):
        super().__init__()
        self.steps = _numbers(steps, "Each step")
        self.values = _numbers(values, "Each value")
        if not self.steps or len(self.steps) != len(self.values):
            raise UserError(
                f"A piecewise linear schedule needs as many steps as values, not "
                f"{len(self.steps)} and {len(self.values)}."
            )
        if self.steps[0] < 0 or np.any(np.diff(self.steps) <= 0):
            raise UserError(f"The steps of a schedule rise from 0 or more: {self.steps} do not.")

    def __call__(self, step: Any) -> Any:
        """Return the value at an optimizer step, float32."""
        step = ops.cast(step, "float32")
        value = ops.full_like(step, self.values[0])
        corners = list(zip(self.steps, self.values, strict=True))
        # Each line adds what it rises by, so that no step has to be looked up.
        for (start, low), (end, high) in zip(corners[:-1], corners[1:], strict=True):
            value = value + (high - low) * ops.clip((step - start) / (end - start), 0.0, 1.0)
        return value

    def get_config(self) -> dict[str, list[float]]:
        """Return the initialiser's arguments."""
        return {"steps": self.steps, "values": self.values}


def _numbers(values, what):
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise UserError(
            f"A schedule's steps and values are lists, not {short(values, to_text=repr)}."
        )
    return [check_number(value, what, "a finite number", lambda number: True) for value in values]
