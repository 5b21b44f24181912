"""One HTML file of a run, or of several side by side, with an interactive map of the codes.

    html_report.write(["runs/acn", "runs/vae"], "report.html")

The file holds all it needs, its script included, and opens from disk without a network.
"""

from keras_acn._base import lazy as _lazy

_PUBLIC = {
    "make": "keras_acn.html_report.document:make",
    "check_ready": "keras_acn.html_report.document:check_ready",
    "write": "keras_acn.html_report.document:write",
}

__getattr__, __dir__, __all__ = _lazy.names(__name__, _PUBLIC)
