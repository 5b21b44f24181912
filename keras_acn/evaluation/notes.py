"""The sentences that keep the figures of a report from being misread."""

import math

import numpy as np

from keras_acn.evaluation.posteriors import is_deterministic

# Images that the cost of leaving terms out of the mixture of codes is measured on.
TRUNCATION_IMAGES = 64


def _notes_on_grey(model, images):
    likelihood = str(getattr(getattr(model, "decoder", None), "likelihood", "")).lower()
    if "bernoulli" not in likelihood or np.all((images == 0) | (images == 1)):
        return []
    return [
        "grey values under a Bernoulli likelihood are a training loss, not a code length: "
        "these nats compare with nothing but the same loss."
    ]


def notes_of_own_costs(model, images):
    """Returns the like for a homoencoder or an autoencoder, which have costs of their own.

    Args:
      model: The model.
      images: The images that were measured.
    """
    notes = _notes_on_grey(model, images)
    if is_deterministic(model):
        return [
            *notes,
            "an autoencoder's latents are points without a prior, so there is no code length: "
            "the reconstruction is its training loss.",
        ]
    if model.supervised:
        return [
            *notes,
            "c is coded once for each class of the images measured, and which of them is of which "
            "class is taken to be known to the receiver.",
        ]
    clusters = model.pseudo_labels.clusters
    return [
        *notes,
        "c is coded once for each cluster; to say which image is in which of the "
        f"{clusters} clusters costs up to ln {clusters} = {math.log(clusters):.2f} nats an image "
        "more, which is not counted.",
    ]


def notes_of_code_lengths(model, images, lengths, bound, described):
    """Returns the sentences on a report with code lengths.

    Args:
      model: The model.
      images: The images that were measured.
      lengths: Their `CodeLengths`.
      bound: Their `ImportanceBound`, or `None`.
      described: The descriptions of the unconditional priors.
    """
    notes = _notes_on_grey(model, images)
    components = described["gaussian_mixture"]["components"]
    words = {
        "gaussian_mixture": "the full-covariance Gaussian mixture fitted to the training codes "
        f"(components: {components})",
        "mixture_of_codes": "the mixture of the priors of all training codes",
        "standard_normal": "N(0, I)",
    }
    notes.append(f"the best unconditional prior is {words[lengths.unconditional]}.")
    mixture = described.get("mixture_of_codes")
    if mixture and mixture["nearest"]:
        notes.append(
            f"the mixture of codes sums {mixture['nearest']} of its {mixture['codes']} terms for "
            f"each image, which makes it {mixture['truncation_nats']:.4f} nats dearer than all of "
            f"them would (measured on {min(TRUNCATION_IMAGES, len(images))} images)."
        )
    if bound is not None:
        notes.append(
            f"the importance-weighted bound takes {bound.samples} samples on "
            f"{len(bound.log_likelihood_nats)} images under the same prior."
        )
    return notes
