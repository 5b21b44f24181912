"""How long work tells of its progress: one shape for the whole package."""

from collections.abc import Callable

# `progress(done, total)` is called now and then, with whole numbers; the last call has
# `done == total`. What they count (images, steps, files) the function that calls says.
Progress = Callable[[int, int], None]
