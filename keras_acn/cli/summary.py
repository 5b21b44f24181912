"""The short table at the end of a training."""

_COLUMNS = {
    "total": ("total_nats", ".2f"),
    "reconstruction": ("reconstruction_nats", ".2f"),
    "KL": ("kl_nats", ".2f"),
    "bits/dim": ("bits_per_dim", ".4f"),
}


def text(run, figures=()):
    """Returns the table of a finished run: costs, codebook, files, what to type next.

    Args:
      run: The `Run`.
      figures: Paths of the figures that were drawn.
    """
    metrics = run.metrics
    lines = ["", f"{'nats per image':<16}" + "".join(f"{name:>16}" for name in _COLUMNS)]
    for split in ("train", "validation", "test"):
        if metrics.get(split):
            costs = metrics[split]
            cells = "".join(f"{costs[key]:>16{form}}" for key, form in _COLUMNS.values())
            lines.append(f"{split:<16}{cells}")
    lines.append("")
    book = metrics["codebook"]
    if book:
        unique = bool(run.config.codebook and run.config.codebook.unique)
        lines.append(
            f"codebook   {metrics['data']['train']} codes; mean distance to the neighbour "
            f"{book['codebook_distance']:.2f}, drift {book['codebook_drift']:.2f}, used "
            f"{book['codebook_used']:.0%}{', each at most once a pass' if unique else ''}"
        )
        if "codebook_recall" in book:
            lines.append(
                f"{'':<11}{book['search']} search, which found {book['codebook_recall']:.1%} of "
                "the true neighbours in the last epoch"
            )
    kept = metrics["epoch_of_the_model"]
    which = "" if kept == metrics["epochs"] else f"; the model is that of epoch {kept}, the best"
    lines.append(
        f"training   {metrics['parameters']:,} parameters, {metrics['epochs']} epochs in "
        f"{metrics['seconds']:.1f} s{which}"
    )
    lines.append(f"files      {run.path}/ with model.keras, history.csv, metrics.json, config.yaml")
    if figures:
        lines.append(f"figures    {figures[0].parent}/ with {', '.join(f.name for f in figures)}")
    commands = ("evaluate", "plot", "daydream") if book else ("evaluate", "plot")
    for i, command in enumerate(commands):
        lines.append(f"{'next' if i == 0 else '':<11}keras-acn {command} {run.path}")
    return "\n".join(lines)
