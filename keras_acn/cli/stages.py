"""A line that says how far a long command is."""

import sys

import click


def stage_line(quiet=False):
    """Returns `progress(stage, done, total)` that writes to a terminal; `None` without one."""
    if quiet or not sys.stderr.isatty():
        return None
    return _tell


def _tell(stage, done, total):
    share = done / total if total else 1.0
    bar = "#" * round(24 * share)
    click.echo(f"\r\033[K{stage:<20} [{bar:<24}] {done:,}/{total:,}", err=True, nl=done >= total)
