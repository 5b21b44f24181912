"""The report: what is gathered of each run, put into one page that needs nothing else."""

from __future__ import annotations

import html
import importlib.resources
import importlib.util
import json
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_acn._base import lazy
from keras_acn._base.atomic import check_folder, replacing
from keras_acn._base.checks import check_count
from keras_acn._base.errors import UserError, unknown_name
from keras_acn._base.shell import expanded
from keras_acn.evaluation.tables import label
from keras_acn.figures import FIGURES, draw
from keras_acn.figures.subject import Source, Subject
from keras_acn.html_report.code_map import address, code_map, sheets_of
from keras_acn.html_report.evaluated import Cost, read_evaluation
from keras_acn.plots.picture import class_colors, line_colors

PROJECTIONS = ("tsne", "pca")
# The pictures of a run, in the order of the page.
PICTURES = (
    "reconstructions",
    "many-from-one-code",
    "members",
    "samples",
    "latent-grid",
    "traversal",
    "neighbors",
)
TERMS = {
    "total_nats": "Total",
    "reconstruction_nats": "Reconstruction",
    "kl_nats": "KL",
}


def make(
    runs: Source | Sequence[Source],
    *,
    data: Any = None,
    split: str | None = None,
    title: str | None = None,
    projection: str = "tsne",
    points: int = 60_000,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> str:
    """Return the report of a run, or of several side by side, as HTML.

    The page shows each run's configuration, the curves of its training, its costs with their
    bound, pictures, a daydream, and a map of its codes on which one can zoom, ask for an image's
    neighbours and daydream on. It loads nothing: the script that draws the charts is in it.

    Args:
      runs: A `keras_acn.experiment.Run`, what `open_run` takes, or a model; or a list of them.
      data: The images; see `keras_acn.figures.draw`. A run has its own; a model needs them.
      split: Which part of the data is shown. By default pictures are of the test images, where
        there are any, and the map is of the training images, whose codes the codebook holds.
      title: The page's title, the runs' names by default.
      projection: How codes come to lie on a page: `"tsne"` or `"pca"`.
      points: The most codes on a map.
      seed: Seed of all that is drawn.
      progress: Called with the stage's name, how many are done and how many there are.

    Returns:
      The whole page, some megabytes, half of them Plotly's script.

    Raises:
      UserError: If Plotly is not installed, a run cannot be read, or its data are missing.
    """
    if projection not in PROJECTIONS:
        raise unknown_name("projection", projection, PROJECTIONS)
    check_count(points, "points", 3)
    check_plotly()
    given: list[Any] = list(runs) if isinstance(runs, (list, tuple)) else [runs]
    if not given:
        raise UserError("There is nothing to report: name a run.")
    subjects = [Subject(each, data=data, split=split, seed=seed) for each in given]
    names = _names(subjects)
    sections, maps = [], []
    for number, (subject, name) in enumerate(zip(subjects, names, strict=True)):
        if progress is not None:
            progress(f"{name}: pictures", 0, 2)
        pictures = draw(
            subject.run or subject.model,
            data=data,
            split=split,
            seed=seed,
            leave_out=[each for each in FIGURES if each not in PICTURES],
        )
        if progress is not None:
            progress(f"{name}: map of codes", 1, 2)
        of_map = _map_subject(subject, data, split, seed)
        content = code_map(
            subject.model,
            of_map.images[0],
            of_map.classes,
            projection=projection,
            points=points,
            seed=seed,
        )
        content["colors"] = list(class_colors(content["classes"]).values())
        maps.append({"name": name, "map": content, "dreams": _dreams(subject)})
        sections.append(_section(number, name, subject, pictures, content))
        if progress is not None:
            progress(f"{name}: done", 2, 2)
    title = title or f"{', '.join(names)}: a report"
    curves = [
        {"name": name, "color": color, "history": _finite(subject.history)}
        for (name, color), subject in zip(line_colors(names).items(), subjects, strict=True)
    ]
    return _filled(
        {
            "title": html.escape(title),
            "contents": _contents(names),
            "costs": _costs(names, subjects),
            "curves": _chart_of_curves(subjects),
            "sections": "\n".join(sections),
            "data": _json({"curves": curves, "terms": TERMS, "runs": maps}),
            "plotly": lazy.load("plotly.offline:get_plotlyjs")(),
        }
    )


def write(runs: Source | Sequence[Source], path: str | os.PathLike, **options: Any) -> pathlib.Path:
    """Write the report of a run, or of several side by side, and return its path.

    Args:
      runs: As for `make`.
      path: The file, whose name ends in .html. It is replaced only once the new one is whole.
      **options: Those of `make`.

    Raises:
      UserError: As `make` does, or if the file cannot be written there.

    Example, after `keras-acn train --out runs/first`:

        html_report.write("runs/first", "report.html")
    """
    path = check_ready(path)
    page = make(runs, **options)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def check_ready(path: str | os.PathLike) -> pathlib.Path:
    """Return the path that a report is written to, if it can be; writes and loads nothing.

    Args:
      path: The file.

    Raises:
      UserError: If its name does not end in .html, its folder cannot be written to, or Plotly is
        not installed.
    """
    path = pathlib.Path(expanded(path))
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f'Cannot write "{path.name}": the name of a report must end in .html.')
    if path.is_dir():
        raise UserError(f'Cannot write "{path}": it is a folder.')
    if not path.parent.is_dir():
        raise UserError(f'Cannot write "{path}": the folder "{path.parent}" does not exist.')
    check_folder(path.parent)
    check_plotly()
    return path


def check_plotly() -> None:
    """Raise a `UserError` where the package Plotly is not installed."""
    if importlib.util.find_spec("plotly") is None:
        raise UserError('A report needs the package plotly: pip install "keras-acn[report]".')


# -- what is gathered ------------------------------------------------------------------


def _names(subjects: Sequence[Subject]) -> list[str]:
    """Return the runs' names: the folders' where those differ, else the whole paths."""
    short = [
        subject.model.name if subject.run is None else subject.run.path.name for subject in subjects
    ]
    if len(set(short)) == len(short):
        return short
    long = [subject.name for subject in subjects]
    if len(set(long)) == len(long):
        return long
    return [f"{name} ({number + 1})" for number, name in enumerate(long)]


def _map_subject(subject: Subject, data: Any, split: str | None, seed: int) -> Subject:
    """Return the subject whose images are on the map: of a run, those it was trained on."""
    if subject.run is None or split is not None or data is not None:
        return subject
    return Subject(subject.run, split="train", seed=seed)


def _dreams(subject: Subject) -> dict[str, Any] | None:
    """Return daydreams as sheets of pictures, a step after the other, or `None`."""
    model = subject.model
    if model.codebook is None and model.class_dim is None:
        return None
    frames = subject.dreams  # [steps + 1, B, H, W, C]
    pictures = frames.reshape(-1, *frames.shape[2:])
    sheets, tile = sheets_of(pictures, np.arange(len(pictures)))
    return {"sheets": sheets, "tile": list(tile), "steps": len(frames), "rows": frames.shape[1]}


def _finite(history: Any) -> dict[str, list[float | None]]:
    """Return the columns of a history that are drawn, without numbers that JSON has not."""
    wanted = [f"{prefix}{term}" for term in TERMS for prefix in ("", "val_", "test_")]

    def finite(value):
        return value if value is not None and math.isfinite(value) else None

    return {
        name: [finite(value) for value in history[name]]
        for name in ["epoch", *wanted]
        if name in history
    }


# -- HTML ------------------------------------------------------------------------------


def _filled(content: dict[str, str]) -> str:
    """Return the page with its places filled; each is named once, as {{name}}."""
    folder = importlib.resources.files("keras_acn.html_report") / "page"
    page = (folder / "page.html").read_text(encoding="utf-8")
    content = {
        **content,
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "script": (folder / "page.js").read_text(encoding="utf-8"),
    }
    pieces = page.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [content[name], rest]
    return "".join(filled)


def _json(value: Any) -> str:
    """Return JSON that can stand in a script element, whatever text is in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _contents(names: Sequence[str]) -> str:
    links = [("costs", "Costs"), ("curves", "Curves")]
    links += [(f"run-{number}", name) for number, name in enumerate(names)]
    return "".join(f'<a href="#{to}">{html.escape(name)}</a>' for to, name in links)


def _row(cells: Sequence[str], head: bool = False) -> str:
    first, *rest = [html.escape(cell) for cell in cells]
    tag = "th" if head else "td"
    scope = ' scope="col"' if head else ""
    lead = f'<th scope="{"col" if head else "row"}">{first}</th>'
    return f"<tr>{lead}{''.join(f'<{tag}{scope}>{cell}</{tag}>' for cell in rest)}</tr>"


def _costs(names: Sequence[str], subjects: Sequence[Subject]) -> str:
    """Return the table of nats and bits, a row for each part of each run's data."""
    rows = []
    for name, subject in zip(names, subjects, strict=True):
        metrics = {} if subject.run is None else subject.run.metrics
        for split in ("train", "validation", "test"):
            found = metrics.get(split)
            if found:
                figures = [found.get(term) for term in TERMS]
                numbers = [_number(value, ".2f") for value in figures]
                rows.append([name, split, *numbers, _number(found.get("bits_per_dim"), ".4f")])
    table = ""
    if rows:
        head = _row(["Run", "Images", *TERMS.values(), "Bits/dim"], head=True)
        body = "".join(map(_row, rows))
        table = (
            '<div class="wide"><table><caption>Nats per image, and bits per dimension, as '
            "measured when the training ended. With a codebook the KL is to the prior of a near "
            "code, so that the total is what the set costs in a good order.</caption>"
            f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
        )
    more = "".join(
        _evaluation(name, subject) for name, subject in zip(names, subjects, strict=True)
    )
    return table + more or "<p>No costs are known: only a training run keeps them.</p>"


def _evaluation(name: str, subject: Subject) -> str:
    """Return the table of what `keras-acn evaluate` has found, where the run's folder holds it."""
    if subject.run is None:
        return ""
    found = read_evaluation(subject.run)
    if found is None or found.code_length is None:  # such as what --few-shot prints
        return ""
    costs = found.code_length.costs
    rows = [
        [
            label(words, ["kl_c_nats" in costs]),
            f"{_number(cost.nats, '.2f')} ± {_number(cost.standard_error, '.2f')}",
            _number(cost.bits_per_dim, ".4f"),
            cost.kind,
        ]
        for words, cost in costs.items()
    ]
    if found.code_length.set_nats is not None:
        of_set = found.code_length.set_nats
        whole = costs.get("unordered_nats", Cost())
        bits = whole.bits_per_dim and whole.nats and of_set * whole.bits_per_dim / whole.nats
        words = "set: unordered - ln(N!)/N"
        rows.append([words, _number(of_set, ".2f"), _number(bits, ".4f"), "code length"])
    if (bound := found.importance_weighted) is not None:
        rows.append(
            [
                f"-log p(x), importance-weighted, {bound.samples} samples",
                f"{_number(bound.nats, '.2f')} ± {_number(bound.standard_error, '.2f')}",
                "",
                "bound",
            ]
        )
    head = _row([f"{name}, test images", "Nats", "Bits/dim", "Kind"], head=True)
    told = ""
    if (probes := found.probes) is not None and probes.codes.accuracy is not None:
        share = f"{probes.codes.accuracy:.1%}"
        told = f"A linear classifier on the codes is right for {share} of the test images"
        near = probes.knn_accuracy
        told += f", {probes.knn_neighbors} neighbours for {near:.1%}." if near else "."
    return (
        '<div class="wide"><table><caption>As <code>keras-acn evaluate</code> measured it, with '
        f"standard errors. {html.escape(told)}</caption><thead>{head}</thead>"
        f"<tbody>{''.join(map(_row, rows))}</tbody></table></div>"
    )


def _number(value: Any, form: str) -> str:
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    return format(value, form) if is_number else "-"


def _chart_of_curves(subjects: Sequence[Subject]) -> str:
    if not any(subject.epochs for subject in subjects):
        return "<p>No history was kept.</p>"
    return (
        '<div id="chart" class="chart" role="img" aria-label="Total, reconstruction and KL in nats '
        'against epochs, for training and held-out images."></div>'
    )


def _section(
    number: int, name: str, subject: Subject, pictures: dict[str, Any], content: dict[str, Any]
) -> str:
    """Return a run's part of the page."""
    shown = "".join(_figure(key, picture) for key, picture in pictures.items())
    config = subject.run.config if subject.run is not None else None
    settings = ""
    if config is not None:
        settings = (
            "<details><summary>Configuration</summary>"
            f'<pre tabindex="0">{html.escape(config.to_yaml())}</pre></details>'
        )
    count = len(content["x"])
    walk = (
        '<button type="button" class="dream">Daydream from here</button>'
        if content["ways"] is not None
        else ""
    )
    dream = (
        '<figure class="player"><canvas role="img" aria-label="Daydreams from four images, '
        'a step after the other"></canvas><button type="button">Play</button>'
        "<figcaption>Daydreams: from an image to what it is associated with, again and again."
        "</figcaption></figure>"
        if subject.model.codebook is not None or subject.model.class_dim is not None
        else ""
    )
    return f"""
<section class="run" id="run-{number}" data-run="{number}" aria-labelledby="head-{number}">
<h2 id="head-{number}">{html.escape(name)}</h2>
{settings}
<h3>Map of the codes</h3>
<p>{count:,} codes. Drag to move, scroll to zoom; point at one to see its picture, click it for its
nearest codes{" and for a daydream from there" if walk else ""}. With the keyboard: the arrow keys
go to the next code that way, Enter chooses it.</p>
<div class="legend" role="group" aria-label="Classes that are shown"></div>
<div class="map-and-side">
<div class="map" tabindex="0" role="application" aria-label="Map of {count:,} codes of
{html.escape(name)}. Arrow keys go from code to code, Enter chooses."></div>
<div class="side">
<div class="pointed" aria-live="polite"><canvas role="img" aria-label=""></canvas><p></p></div>
<form class="find"><label>Image number <input type="number" min="0" step="1"></label>
<button>Find</button>{walk}</form>
<ol class="near" aria-label="Nearest codes"></ol>
</div></div>
<ol class="walk" aria-label="The daydream's images" hidden></ol>
<h3>Pictures</h3>
<div class="figures">{dream}{shown}</div>
</section>"""


def _figure(key: str, picture: Any) -> str:
    """Return a picture with what it shows below it, which is its alternative text too."""
    words = html.escape((FIGURES[key][0].__doc__ or key).strip().splitlines()[0])
    width, height = picture.size
    return (
        f'<figure><img src="{address(picture._repr_png_(), "image/png")}" alt="{words}" '
        f'width="{width}" height="{height}">'
        f"<figcaption>{words}</figcaption></figure>"
    )
