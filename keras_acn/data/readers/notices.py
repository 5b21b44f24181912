"""What a reader has to say about images that it read otherwise than they are, or not at all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from keras_acn._base.errors import DataWarning

# Names of files shown in a sentence; those that were left out are all named.
_SHOWN = 5

# What is said of each kind of notice, with the number of files and their names.
_SENTENCES = {
    "other files": "Not read in {folder}, as {it} {are} no picture{s}: {names}.",
    "other folders": "Not read in {folder}, as {it} {are} no part{s} of the data: {names}.",
    "skipped": "Skipped in {folder}, as {it} cannot be read: {names}.",
    "transparent": (
        "{count} picture{s} in {folder} {are} partly transparent and {are} laid on "
        "{background} ({names}): choose another colour by background (--background)."
    ),
    "lost": (
        "Of {count} picture{s} in {folder} nothing is seen on {background} ({names}): choose "
        "another colour by background (--background)."
    ),
    "deep": (
        "{count} picture{s} in {folder} {have} 16 bits a channel, of which 8 are kept ({names})."
    ),
    "dark": (
        "{count} picture{s} of 16 bits in {folder} {have} no pixel above a sixteenth of white, so "
        "in 8 bits {it} {are} almost black ({names}): scale {them} up."
    ),
    "profile": (
        "{count} picture{s} in {folder} {have} a colour profile, which is not kept ({names})."
    ),
    "several": (
        "{count} file{s} in {folder} {have} several pictures, of which the first is read ({names})."
    ),
}
_WORDS = {
    True: {"s": "", "are": "is", "have": "has", "it": "it", "them": "it"},
    False: {"s": "s", "are": "are", "have": "have", "it": "they", "them": "them"},
}


class Notices:
    """The files of a folder about which there is something to say, by the kind of notice.

    Args:
      folder: The folder; files are called by their path in it.
      background: What transparent pictures are laid on, in words.

    Example:

    >>> notices = Notices("/data/pics", "white")
    >>> notices.add("deep", "/data/pics/b/1.png")
    >>> notices.sentences()
    ['1 picture in "/data/pics" has 16 bits a channel, of which 8 are kept (b/1.png).']
    """

    def __init__(self, folder: str, background: str):
        self.folder = folder
        self.background = background
        self._files: dict[str, dict[str, str]] = {}

    def add(self, kind: str, path: str, why: str = "") -> None:
        """Note a file: as one kind of `_SENTENCES`, and why where that differs by file."""
        # Several threads read; a dict's own operations are atomic.
        self._files.setdefault(kind, {})[path] = why

    def sentences(self) -> list[str]:
        """Return a sentence for each kind of notice."""
        return [
            text.format(
                count=len(self._files[kind]),
                folder=f'"{self.folder}"',
                background=self.background,
                names=self._names(self._files[kind], None if kind == "skipped" else _SHOWN),
                **_WORDS[len(self._files[kind]) == 1],
            )
            for kind, text in _SENTENCES.items()
            if kind in self._files
        ]

    def unreadable(self, found: dict[str, str], total: int) -> str:
        """Return the sentence that names all files that cannot be read, and why.

        Args:
          found: `{path: why}`.
          total: How many there are altogether.
        """
        one = len(found) == 1
        return (
            f'{len(found)} of the {total} pictures in "{self.folder}" cannot be read: '
            f"{self._names(found)}: repair or remove {'it' if one else 'them'}, or go on without "
            f"{'it' if one else 'them'} by skip_damaged=True (--skip-damaged)."
        )

    def _names(self, files: dict[str, str], most: int | None = None) -> str:
        paths = sorted(files)
        shown = [
            os.path.relpath(path, self.folder) + (f" ({files[path]})" if files[path] else "")
            for path in paths[:most]
        ]
        more = len(paths) - len(shown)
        return ", ".join(shown) + (f" and {more:,} more" if more else "")


def tell(sentences: Iterable[str], stacklevel: int = 3) -> None:
    """Warn of each sentence; the command line prints it on a line of its own."""
    for sentence in sentences:
        warnings.warn(sentence, DataWarning, stacklevel)
