"""Few-shot classification: from a handful of images of each class, which is a new one of?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_acn._base.checks import check_count, check_seed
from keras_acn._base.errors import UserError
from keras_acn._base.progress import Progress, takes_tell
from keras_acn.evaluation.costs import as_floats
from keras_acn.evaluation.tables import align


@dataclasses.dataclass(frozen=True)
class FewShotResult:
    """The accuracies of a model and of a baseline in the same episodes, each in [0, 1].

    Attributes:
      ways: Classes in an episode; chance is one over it.
      shots: Images of each class that are shown.
      model: float64 `[E]`, the model's accuracy in each episode.
      pixels: float64 `[E]`, that of the nearest neighbour in pixels.
      queries: Images classified in each episode.
      samples: Samples of the latents in each code length.
      features: Of codes that were named, the accuracy of the nearest neighbour in them, float64
        `[E]` each.

    Example:
      >>> import numpy as np
      >>> from keras_acn.evaluation import FewShotResult
      >>> result = FewShotResult(5, 1, np.array([0.8, 1.0]), np.array([0.6, 0.6]), 5, 16)
      >>> result.chance, result.summary()["model"]["mean"]
      (0.2, 0.9)
    """

    ways: int
    shots: int
    model: np.ndarray
    pixels: np.ndarray
    queries: int
    samples: int
    features: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return 1.0 / self.ways

    def summary(self) -> dict[str, Any]:
        """Return a JSON-able dict: each accuracy with its 95 % confidence interval."""
        named = {name: _with_interval(values) for name, values in self.features.items()}
        return {
            "ways": self.ways,
            "shots": self.shots,
            "episodes": len(self.model),
            "queries": self.queries,
            "samples": self.samples,
            "chance": self.chance,
            "model": _with_interval(self.model),
            "nearest_neighbor_in_pixels": _with_interval(self.pixels),
            "model_less_pixels": _with_interval(self.model - self.pixels),
            **({"nearest_neighbor_in": named} if named else {}),
        }

    def to_text(self) -> str:
        """Return the accuracies as a small table, in per cent."""
        summary = self.summary()
        rows = [[f"{self.ways}-way {self.shots}-shot accuracy %", "mean", "95 % interval"]]
        named = summary.get("nearest_neighbor_in", {})
        for label, row in (
            ("code lengths of the model", summary["model"]),
            ("nearest neighbour in pixels", summary["nearest_neighbor_in_pixels"]),
            ("the model less the neighbour", summary["model_less_pixels"]),
            *((f"nearest neighbour in {name}", row) for name, row in named.items()),
        ):
            low, high = row["interval"] or (math.nan, math.nan)
            interval = "-" if row["interval"] is None else f"{100 * low:.1f} to {100 * high:.1f}"
            rows.append([label, f"{100 * row['mean']:.1f}", interval])
        rows.append(["chance", f"{100 * self.chance:.1f}", "-"])
        return (
            f"Few-shot classification, {len(self.model)} episodes of {self.queries} images; "
            f"{self.samples} samples in each code length\n" + align(rows)
        )


@takes_tell
def few_shot_accuracy(
    model: Any,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    ways: int = 5,
    shots: int = 1,
    queries: int = 1,
    episodes: int = 200,
    samples: int = 16,
    seed: int = 0,
    batch_size: int = 64,
    features: Mapping[str, np.ndarray] | None = None,
    progress: Progress | None = None,
) -> FewShotResult:
    """Return the `FewShotResult` of a homoencoder on classes of `images`.

    An episode draws `ways` classes, `shots` images of each to be shown and `queries`
    others of each to be classified: by the class whose shown images make the query
    cheapest to code (`VHE.code_lengths_given`; Hewitt et al. 2018, arXiv 1807.08919),
    and, for comparison, by the class of the nearest shown image in Euclidean
    distance between pixels. Give classes that the model was not trained on.

    The confidence interval is Student's over episodes, which are independent given the
    images. It says how well the mean over episodes is known, not what other images would
    have given.

    Args:
      model: A trained `VHE`.
      images: `[N, H, W, C]` floats in [0, 1] or uint8.
      labels: int `[N]`.
      ways: Classes in an episode, at least 2.
      shots: Images shown of each.
      queries: Images classified of each.
      episodes: How many.
      samples: Samples of the latents in each code length.
      seed: Integer seed of episodes and samples.
      batch_size: Images per step.
      features: Codes of the images by other means, `[N, d]` under a name each, such as `{"principal
        components": ...}`: the nearest neighbour in each is measured too.
      progress: Called with the episodes that are done, and their number.

    Raises:
      UserError: If the model is no homoencoder, or there are too few classes with enough
        images, or features are not of as many images.

    Example, with a trained `VHE` and images of classes that it was not trained on:

        print(few_shot_accuracy(model, images, labels, ways=5, shots=1).to_text())
    """
    if getattr(model, "class_dim", None) is None:
        raise UserError(
            f"Few-shot classification is what a VHE does, and this is a {type(model).__name__}: "
            "train one, such as keras-acn train blog-vhe."
        )
    for name, value, least in (
        ("ways", ways, 2),
        ("shots", shots, 1),
        ("queries", queries, 1),
        ("episodes", episodes, 1),
        ("samples", samples, 1),
    ):
        check_count(value, name, least)
    seed = check_seed(seed)
    images = as_floats(images)
    if labels is not None and np.shape(labels) != (len(images),):
        raise UserError(
            f"There are {len(images)} images and labels of shape {np.shape(labels)}: give "
            "one label an image."
        )
    spaces = {"": images, **(features or {})}
    for name, rows in spaces.items():
        if len(rows) != len(images):
            raise UserError(
                f"The features {name!r} are of {len(rows)} images and not of the {len(images)} "
                "there are: give a row an image."
            )
    spaces = {name: np.reshape(rows, (len(rows), -1)) for name, rows in spaces.items()}
    drawn = Episodes(labels, ways, shots, queries, seed)
    accuracy = np.zeros([episodes, 1 + len(spaces)])
    for episode in range(episodes):
        shown, asked = drawn.draw(episode)  # [ways, shots], [ways, queries]
        truth = np.repeat(np.arange(ways), queries)
        x = images[asked.ravel()]
        nats = model.code_lengths_given(
            x, list(images[shown]), samples, seed=(seed + episode) % 2**31, batch_size=batch_size
        )
        found = [nats.argmin(axis=1)]
        for rows in spaces.values():
            distance = np.linalg.norm(rows[asked.reshape(-1, 1)] - rows[shown.ravel()], axis=-1)
            found.append(distance.argmin(axis=1) // shots)
        accuracy[episode] = [(each == truth).mean() for each in found]
        if progress is not None:
            progress(episode + 1, episodes)
    named = dict(zip(spaces, accuracy.T[1:], strict=True))
    pixels = named.pop("")
    return FewShotResult(
        int(ways), int(shots), accuracy[:, 0], pixels, ways * queries, int(samples), named
    )


class Episodes:
    """Draws the images of episodes, each a function of the seed and its number.

    Args:
      labels: int `[N]`.
      ways, shots, queries, seed: As for `few_shot_accuracy`.

    Raises:
      UserError: If there are too few classes with enough images.

    Example:
      >>> from keras_acn.evaluation.few_shot import Episodes
      >>> shown, asked = Episodes([0, 0, 0, 1, 1, 1], ways=2, shots=1, queries=2).draw(0)
      >>> shown.shape, asked.shape
      ((2, 1), (2, 2))
    """

    def __init__(
        self, labels: np.ndarray | None, ways: int, shots: int, queries: int, seed: int = 0
    ):
        if labels is None:
            raise UserError("Few-shot classification needs labels: name data that have some.")
        labels = np.asarray(labels)
        groups = [np.flatnonzero(labels == each) for each in np.unique(labels)]
        self._groups = [rows for rows in groups if len(rows) >= shots + queries]
        if len(self._groups) < ways:
            raise UserError(
                f"{ways}-way classification needs {ways} classes of at least {shots + queries} "
                f"images, and there are {len(self._groups)}: set fewer ways, or name other data."
            )
        self.ways, self.shots, self.queries, self.seed = ways, shots, queries, seed

    def draw(self, episode: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows shown, int `[ways, shots]`, and asked, `[ways, queries]`."""
        rng = np.random.default_rng([self.seed, episode])
        chosen = rng.choice(len(self._groups), self.ways, replace=False)
        count = self.shots + self.queries
        rows = np.stack([rng.choice(self._groups[i], count, replace=False) for i in chosen])
        return rows[:, : self.shots], rows[:, self.shots :]


def _with_interval(values):
    """Return the mean of values `[E]` and its interval, `None` for one value."""
    from scipy import stats

    mean, interval = float(np.mean(values)), None
    if len(values) > 1:
        error = float(np.std(values, ddof=1) / math.sqrt(len(values)))
        half = float(stats.t.ppf(0.975, len(values) - 1)) * error
        interval = [mean - half, mean + half]
    return {"mean": mean, "interval": interval}
