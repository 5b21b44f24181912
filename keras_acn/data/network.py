"""Is there a network? Asked before a download that would retry for minutes."""

import os
import socket
import threading
import urllib.parse

_PROBE_HOST = "storage.googleapis.com"


def network_answers(timeout=4.0):
    """Returns whether a connection to the data sets' main host (or the proxy) can be made.

    Args:
      timeout: Seconds, the name look-up included.
    """
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    host, port = _PROBE_HOST, 443
    if proxy:
        parsed = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        host, port = parsed.hostname or host, parsed.port or 80
    answers = []

    def connect():
        try:
            socket.create_connection((host, port), timeout=timeout).close()
            answers.append(True)
        except OSError:
            pass

    # A look-up of a name takes no timeout of its own, hence the thread.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answers)
