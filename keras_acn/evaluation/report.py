"""What an evaluation found: as objects, as a dict, as text."""

import dataclasses

from keras_acn.evaluation.code_length import CodeLengths
from keras_acn.evaluation.importance_bound import ImportanceBound


@dataclasses.dataclass
class Report:
    """What `evaluate_model` found.

    Attributes:
      name: What the model is called in the tables.
      associative: Whether its prior is conditioned on a code.
      image_shape: `(H, W, C)`.
      train_images: Number of training images used.
      latent_dim: d.
      active_dimensions: Latent dimensions whose posterior mean varies by more than 0.01.
      samples: Samples of z for each image.
      code_lengths: `CodeLengths` of the test images.
      importance_bound: `ImportanceBound` of some test images, or `None`.
      priors: Dict from each fitted unconditional prior to a dict that describes it.
      probes: Dict of accuracies, or `None` without labels.
      notes: Sentences on what the figures are and are not.
      compare: A second `Report` to be shown beside this one, or `None`.
    """

    name: str
    associative: bool
    image_shape: tuple
    train_images: int
    latent_dim: int
    active_dimensions: int
    samples: int
    code_lengths: CodeLengths
    importance_bound: ImportanceBound | None = None
    priors: dict = dataclasses.field(default_factory=dict)
    probes: dict | None = None
    notes: list = dataclasses.field(default_factory=list)
    compare: "Report | None" = None

    def to_dict(self):
        """Returns the report, the paper's figures beside it, as a JSON-able dict."""
        from keras_acn.evaluation.tables import paper_tables

        bound = self.importance_bound
        return {
            "name": self.name,
            "associative": self.associative,
            "image_shape": list(self.image_shape),
            "train_images": self.train_images,
            "latent_dim": self.latent_dim,
            "active_dimensions": self.active_dimensions,
            "samples": self.samples,
            "code_length": self.code_lengths.summary(),
            "importance_weighted": None if bound is None else bound.summary(),
            "unconditional_priors": self.priors,
            "probes": self.probes,
            "notes": list(self.notes),
            "compare": None if self.compare is None else self.compare.to_dict(),
            "paper": paper_tables(),
        }

    def to_text(self):
        """Returns the paper's tables 1 to 3 with this report's figures beside them."""
        from keras_acn.evaluation.tables import render

        return render(self.to_dict())
