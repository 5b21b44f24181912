"""What `keras-acn evaluate --json` has found of a run, read from the run's folder."""

from __future__ import annotations

from pydantic import BaseModel

from keras_acn._base.errors import UserError
from keras_acn._base.reading import read_text
from keras_acn._base.shell import command
from keras_acn.experiment.folder import Run

EVALUATION = "evaluation.json"


class Cost(BaseModel):
    """A cost with its standard error."""

    nats: float | None = None
    standard_error: float | None = None
    bits_per_dim: float | None = None
    kind: str = ""


class CodeLength(BaseModel):
    """Costs of the test images, by name."""

    costs: dict[str, Cost]
    set_nats: float | None = None


class Bound(Cost):
    """The importance-weighted bound."""

    samples: int


class Linear(BaseModel):
    """A linear classifier."""

    accuracy: float | None = None


class Probes(BaseModel):
    """What the codes tell of the classes."""

    codes: Linear = Linear()
    knn_neighbors: int | None = None
    knn_accuracy: float | None = None


class Evaluated(BaseModel):
    """What is made use of in `evaluation.json`; null is what is no finite number."""

    code_length: CodeLength | None = None
    importance_weighted: Bound | None = None
    probes: Probes | None = None


def read_evaluation(run: Run) -> Evaluated | None:
    """Return what the run's `evaluation.json` holds; `None` where there is none.

    Raises:
      UserError: If it is damaged.
    """
    path = run.folder / EVALUATION
    if not path.exists():
        return None
    try:
        return Evaluated.model_validate_json(read_text(path))
    except ValueError as error:
        raise UserError(
            f"{path} is damaged: delete it, or write it again by "
            f"{command('evaluate', run.path)} --json."
        ) from error
