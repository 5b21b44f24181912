"""The tables 1 to 3 of the ACN paper, with a model's own figures beside them, a fourth, and notes.

The text is a function of the dict that `Report.to_dict` returns, so that a report read
back from JSON renders as it did. The notes are sentences that keep its figures from being misread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_acn.evaluation.code_length import BOUND, CODE_LENGTH, LOSS, CodeLengths, kind_of
from keras_acn.evaluation.importance_bound import ImportanceBound
from keras_acn.evaluation.unconditional import TRUNCATION_IMAGES

# Graves et al. 2018 (arXiv 1804.02476), table 1: nats per image of the binarized MNIST
# test set. Two of the figures are bounds in the paper too.
PAPER_TABLE_1 = (
    ("Gated PixelCNN", "81.6"),
    ("PixelCNN", "81.3"),
    ("Discrete VAE", "81.0"),
    ("DRAW", "<=81.0"),
    ("ACN (unordered)", "80.9"),
    ("Gated PixelVAE", "79.5"),
    ("PixelRNN", "79.2"),
    ("VLAE", "79.0"),
    ("GLN", "79.0"),
    ("MatNet", "<=78.5"),
)

# Table 2: the same test set.
PAPER_TABLE_2 = {
    "reconstruction_nats": 70.3,
    "kl_k1_nats": 2.6,
    "kl_k5_nats": 3.5,
    "kl_k10_nats": 4.1,
    "kl_tour_nats": 3.6,
    "kl_unconditional_nats": 10.6,
    "ordered_nats": 73.9,
    "unordered_nats": 80.9,
}

# Table 3: accuracy of linear classification of the binarized MNIST test set, per cent.
PAPER_TABLE_3 = (
    ("PCA, 16 components", 82.8),
    ("pixels", 89.4),
    ("standard VAE codes", 95.4),
    ("Gated PixelVAE codes", 97.9),
    ("ACN codes", 98.5),
)

# The priors that the paper's unconditional one is set beside.
UNCONDITIONAL = ("gaussian_mixture", "mixture_of_codes")

LABELS = {
    "reconstruction_nats": "reconstruction",
    "kl_tour_nats": "KL, greedy tour",
    "kl_standard_normal_nats": "KL, unconditional: N(0, I)",
    "kl_own_prior_nats": "KL, unconditional: the model's own prior",
    "kl_gaussian_mixture_nats": "KL, unconditional: Gaussian mixture",
    "kl_z_nats": "KL of z, given c",
    "kl_c_nats": "KL of c, over the size of its class",
    "kl_mixture_of_codes_nats": "KL, unconditional: mixture of codes",
    "ordered_nats": "ordered: reconstruction + tour",
    "unordered_nats": "unordered: reconstruction + best unconditional",
}


def paper_tables() -> dict[str, dict]:
    """Return the paper's figures as a JSON-able dict."""
    return {
        "table_1_nats": dict(PAPER_TABLE_1),
        "table_2_nats": dict(PAPER_TABLE_2),
        "table_3_accuracy_percent": dict(PAPER_TABLE_3),
    }


def render(report: dict[str, Any]) -> str:
    """Return the text of a report: tables 2 to 4, of MNIST also 1; then warnings and notes.

    The paper's figures are of binarized MNIST, and stand beside those of MNIST alone.

    Args:
      report: The dict of `Report.to_dict`, with the report that it is compared to, if
        any, under `"compare"`.
    """
    reports = [report] + ([report["compare"]] if report.get("compare") else [])
    # A report of an earlier version does not say, and had the paper's figures always.
    is_mnist = report.get("is_mnist", True)
    parts = [
        _title(report, is_mnist),
        _table_2(reports, is_mnist),
        _table_1(reports) if is_mnist else "",
        _table_3(reports, is_mnist),
        _table_4(reports),
    ]
    remarks = []
    for each in reports:
        warning = each["code_length"]["warning"]
        remarks += [f"Warning ({each['name']}): {warning}"] if warning else []
        remarks += [f"Note ({each['name']}): {note}" for note in each["notes"]]
    return "\n\n".join(part for part in [*parts, "\n".join(remarks)] if part) + "\n"


def notes_on_the_data(
    model: Any, images: np.ndarray, in_training: int, is_training: bool
) -> list[str]:
    """Return the sentences on what the images themselves make of the figures.

    Args:
      model: The model.
      images: float32 `[N, H, W, C]`, the images that were measured.
      in_training: How many of them are training images too.
      is_training: Whether so many that their own codes were left out.
    """
    notes = []
    if not model.is_deterministic and not model.is_code_length(images):
        family = model.decoder.likelihood
        what = "grey values under a Bernoulli likelihood are"
        if family is not None and not family.is_discrete:
            what = f"the densities of {type(family).__name__} pixels are"
        notes.append(
            f"{what} a training loss, not a code length: these nats compare with nothing but the "
            "same loss."
        )
    # Some small images are alike by chance.
    if in_training > 0.1 * len(images):
        rest = "the figures of those are too good."
        if is_training:
            rest = (
                "their own codes are left out, so without a mixture of codes; the Gaussian mixture "
                "and the linear probes were fitted to them, and are not of images never seen."
            )
        notes.append(
            f"{in_training} of the {len(images)} images measured are training images too: {rest}"
        )
    return notes


def notes_of_own_costs(model: Any) -> list[str]:
    """Return the sentences on the costs of a homoencoder or an autoencoder."""
    if model.is_deterministic:
        return [
            "an autoencoder's latents are points without a prior, so there is no code length: "
            "the reconstruction is its training loss."
        ]
    if model.supervised:
        return [
            "c is coded once for each class of the images measured, and which of them is of which "
            "class is taken to be known to the receiver."
        ]
    clusters = model.pseudo_labels.clusters
    return [
        "c is coded once for each cluster; to say which image is in which of the "
        f"{clusters} clusters costs up to ln {clusters} = {math.log(clusters):.2f} nats an image "
        "more, which is not counted."
    ]


def notes_of_code_lengths(
    lengths: CodeLengths, bound: ImportanceBound | None, described: dict[str, dict]
) -> list[str]:
    """Return the sentences on code lengths, given the descriptions of the fitted priors."""
    words = {
        "gaussian_mixture": "the full-covariance Gaussian mixture fitted to the training codes "
        f"(components: {described['gaussian_mixture']['components']})",
        "mixture_of_codes": "the mixture of the priors of all training codes",
        "standard_normal": "N(0, I)",
        "own_prior": "the model's own",
    }
    if "own_prior" in described:
        words["own_prior"] += f", its {described['own_prior']['prior']}"
    best = lengths.unconditional
    notes = [] if best is None else [f"the best unconditional prior is {words[best]}."]
    mixture = described.get("mixture_of_codes")
    if mixture and mixture["nearest"]:
        notes.append(
            f"the mixture of codes sums {mixture['nearest']} of its {mixture['codes']} terms for "
            f"each image, which makes it {mixture['truncation_nats']:.4f} nats dearer than all of "
            f"them would (measured on {min(TRUNCATION_IMAGES, len(lengths))} images)."
        )
    if bound is not None:
        notes.append(
            f"the importance-weighted bound takes {bound.samples} samples on "
            f"{len(bound.log_likelihood_nats)} images under the same prior."
        )
    of_a_set, ordered = lengths.set_nats, lengths.mean("ordered_nats")
    if of_a_set is not None and ordered is not None and of_a_set <= ordered:
        notes.append(
            "the set at unordered - ln(N!)/N is the better code than the ordered one: which image "
            "comes next is drawn by bits of the message, so that all N! orders are paid back, "
            "while the tour keeps to one of them and saves what a single neighbour's code tells "
            "(keras-acn compress --mode set)."
        )
    return notes


def align(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return rows of strings as lines of aligned columns, a rule under the first row.

    Args:
      rows: Sequences of one length; the first is the heading.
      left: Columns that are aligned to the left: this many from the start.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def _title(report, is_mnist):
    shape = "x".join(str(n) for n in report["image_shape"])
    return (
        f"{report['name']} on {report['code_length']['images']} test images of {shape}; "
        f"{report['train_images']} training images\n"
        f"Latent dimensions: {report['latent_dim']}, active: {report['active_dimensions']}; "
        f"samples of z an image: {report['samples']}"
        + ("\nThe paper's figures are for the 10000 test images of binarized MNIST." * is_mnist)
    )


def _nats(row):
    """Return `mean +-standard error`, or a dash for what was not measured."""
    if row is None or row["nats"] is None:
        return "-"
    error = row["standard_error"]
    return f"{row['nats']:.2f}" + ("" if error is None else f" ±{error:.2f}")


def _number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def label(name: str, homoencoders: Sequence[bool] = ()) -> str:
    """Return the words for a cost.

    Args:
      name: The cost's, as `evaluation.json` has it.
      homoencoders: Of each model that is compared, whether it is a VHE.
    """
    if name.startswith("kl_k"):
        return f"KL, K={name[4:-5]} nearest"
    if name == "unordered_nats" and any(homoencoders):
        own = "reconstruction + KL of z + KL of c"
        return f"total: {own}" if all(homoencoders) else f"unordered; of a VHE: {own}"
    return LABELS.get(name, name.removesuffix("_nats").replace("_", " "))


def _is_homoencoder(report):
    """Whether the total of a report is a homoencoder's, which has priors of its own."""
    return "kl_c_nats" in report["code_length"]["costs"]


def _table_2(reports, is_mnist):
    every = [each["code_length"] for each in reports]
    homoencoders = [
        _is_homoencoder(r) for r in reports if "unordered_nats" in r["code_length"]["costs"]
    ]
    names = list(dict.fromkeys(name for each in every for name in each["costs"]))
    # The totals come last, whichever report had them first.
    totals = ("ordered_nats", "unordered_nats")
    names = [n for n in names if n not in totals] + [n for n in totals if n in names]
    heading = ["nats per image", *(each["name"] for each in reports), "paper", "what it is"]
    rows = [heading]
    for name in names:
        paper = PAPER_TABLE_2.get(name)
        if name.startswith("kl_") and name[3:-5] in UNCONDITIONAL:
            paper = PAPER_TABLE_2["kl_unconditional_nats"]
        cells = [_nats(each["costs"].get(name)) for each in every]
        kinds = [each["costs"][name].get("kind") for each in every if name in each["costs"]]
        is_loss = LOSS in kinds or not any("unordered_nats" in each["costs"] for each in every)
        kind = LOSS if is_loss else kind_of(name)
        rows.append([label(name, homoencoders), *cells, _number(paper, 1), kind])
    # A report of an earlier version has no such figure.
    sets = [each.get("set_nats") for each in every]
    if any(each is not None for each in sets):
        rows.append(
            ["set: unordered - ln(N!)/N", *(_number(each) for each in sets), "-", CODE_LENGTH]
        )
    losses = [row[-1] == LOSS for row in rows[1:]]
    if any(each["importance_weighted"] for each in reports):
        cells = [_nats(each["importance_weighted"]) for each in reports]
        kind = LOSS if any(losses) else BOUND
        rows.append(["-log p(x), importance-weighted", *cells, "-", kind])
    if any(each["gap_nats"] is not None for each in every):
        gaps = [_number(each["gap_nats"]) for each in every]
        bounds = [_number(each["ordering_bound_nats"]) for each in every]
        rows.append(["unordered - ordered", *gaps, "7.0", "gap"])
        rows.append(["most an order can save, ln(N!)/N", *bounds, "8.21", BOUND])
    for name in totals:
        shown = [each["costs"].get(name, {}).get("bits_per_dim") for each in every]
        if any(each is not None for each in shown):
            bits = [_number(each["costs"].get(name, {}).get("bits_per_dim"), 4) for each in every]
            of = "total" if homoencoders and all(homoencoders) else name[:-5]
            rows.append([f"bits per dim, {of}", *bits, _paper_bits(name), kind_of(name)])
    if not is_mnist:
        rows = [[*row[:-2], row[-1]] for row in rows]
    what = "Training loss, no code length" if losses and all(losses) else "Code length"
    return f"Table 2. {what}, ± standard error\n" + align(rows)


def _paper_bits(name):
    """Return the paper's nats over the 784 pixels of an MNIST image, in bits."""
    return f"{PAPER_TABLE_2[name] / (784 * 0.6931471805599453):.4f}"


def _table_1(reports):
    rows = [(label, value, float(value.lstrip("<="))) for label, value in PAPER_TABLE_1]
    for each in reports:
        cost = each["code_length"]["costs"].get("unordered_nats")
        if cost is None:
            continue
        # A homoencoder's receiver has the classes already: see the report's notes.
        what = "classes known" if _is_homoencoder(each) else "unordered"
        rows.append((f"> {each['name']} ({what})", f"{cost['nats']:.2f}", cost["nats"]))
        weighted = each["importance_weighted"]
        if weighted:
            label = f"> {each['name']} (unordered, {weighted['samples']} importance samples)"
            rows.append((label, f"{weighted['nats']:.2f}", weighted["nats"]))
    rows.sort(key=lambda row: -row[2])
    table = [["model", "nats per image"], *([label, value] for label, value, _ in rows)]
    return 'Table 1. Unordered; the paper\'s rows, and ours marked ">"\n' + align(table)


def _table_3(reports, is_mnist):
    probes = reports[0]["probes"]
    if probes is None:
        return ""
    paper = dict(PAPER_TABLE_3)
    rows = [["linear classification, test accuracy %", "ours", "paper"]]
    for key, label in (("pca", "PCA, 16 components"), ("pixels", "pixels")):
        if probes.get(key):
            rows.append([label, _percent(probes[key]), f"{paper[label]}"])
    for each in reports:
        if each["probes"]:
            known = "ACN codes" if each["associative"] else "standard VAE codes"
            accuracy = _percent(each["probes"]["codes"])
            rows.append([f"{each['name']} codes", accuracy, f"{paper[known]}"])
    if is_mnist:
        rows.append(["Gated PixelVAE codes", "-", f"{paper['Gated PixelVAE codes']}"])
    for each in reports:
        if each["probes"]:
            error = each["probes"].get("knn_standard_error")
            voted = {"accuracy": each["probes"]["knn_accuracy"], "standard_error": error}
            accuracy = _percent(voted)
            neighbors = each["probes"]["knn_neighbors"]
            rows.append([f"{each['name']} codes, {neighbors} nearest neighbours", accuracy, "-"])
    if not is_mnist:
        rows = [row[:-1] for row in rows]
    return "Table 3. What the representation knows\n" + align(rows)


def _table_4(reports):
    """Codes, principal components and pixels, each figure with its error, side by side."""
    every = [(f"{each['name']} codes", each.get("representation"), "codes") for each in reports]
    of_images = reports[0].get("representation")
    every += [("PCA, 16", of_images, "pca"), ("pixels", of_images, "pixels")]
    columns = [(title, found[key]) for title, found, key in every if found]
    if not columns:
        return ""
    rows = [["± standard error", *(title for title, _ in columns)]]
    for part, label in (
        ("neighbors", "{} nearest, %"),
        ("whitened_neighbors", "{} nearest, whitened, %"),
        ("labels", "linear, {} labels, %"),
    ):
        # Evaluations written by older versions have no whitened neighbours.
        for number in dict.fromkeys(n for _, found in columns for n in found.get(part, {})):
            cells = [_percent(found.get(part, {}).get(number)) for _, found in columns]
            rows.append([label.format(f"{int(number):,}"), *cells])
    if any(found["clusters"] for _, found in columns):
        key = "adjusted_mutual_information"
        cells = [_with_error(found["clusters"], key, 3) for _, found in columns]
        rows.append(["AMI of k-means with classes", *cells])
    for part in ("effective_rank", "active_dimensions"):
        cells = [_with_error(found[part], "value", 1) for _, found in columns]
        rows.append([part.replace("_", " "), *cells])
    searched = columns[-1][1]["neighbors"]
    least = min((each["train_images"] for each in searched.values()), default=None)
    remark = ""
    if least is not None and least < reports[0]["train_images"]:
        remark = f"\nNeighbours by pixels are sought in {least} training images, others in all."
    return "Table 4. What features are good for\n" + align(rows) + remark


def _with_error(found, key, digits, scale=1):
    """Return `value ±standard error`, or a dash for what was not measured."""
    if found is None:
        return "-"
    error = found.get("standard_error")
    shown = "" if error is None else f" ±{scale * error:.{digits}f}"
    return f"{scale * found[key]:.{digits}f}{shown}"


def _percent(found):
    return _with_error(found, "accuracy", 1, 100)
