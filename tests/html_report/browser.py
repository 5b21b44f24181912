"""A headless Chromium that does as a user's does, over the pipe that its DevTools speak through."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-extensions",
    # Whatever the page asks of a network fails, and is told as an error.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def path():
    """Return the path of a Chromium, or `None`."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A page of the browser.

    Attributes:
      errors: What the console, the page's script and its requests complained of.
    """

    def __init__(self, pipe_in, pipe_out):
        self._in, self._out = pipe_in, pipe_out
        self._number, self._rest, self.errors = 0, b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Call a method of the DevTools protocol and return what it answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self):
        while b"\0" not in self._rest:
            more = os.read(self._in, 1 << 16)
            assert more, "the browser is gone"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(str(params["entry"]))
        elif method == "Network.loadingFailed":
            self.errors.append(str(params))
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:")):
                self.errors.append(f"asked the network for {url}")

    def size(self, width, height, dark=False):
        """Give the window a size, and the user a taste."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, file):
        """Open a file and wait until it is loaded."""
        self.call("Page.navigate", url=f"file://{file}")
        self.until("document.readyState === 'complete'")

    def value(self, expression):
        """Return what a JavaScript expression is."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression, seconds=60):
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never became true: {expression}"
            time.sleep(0.05)

    def box(self, selector):
        """Return the middle of an element on the window, scrolled to."""
        return self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )

    def mouse(self, x, y, click=False):
        """Move the mouse, and perhaps click."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        if click:
            for kind in ("mousePressed", "mouseReleased"):
                self.call(
                    "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
                )

    def click(self, selector):
        """Click an element's middle."""
        self.mouse(*self.box(selector), click=True)

    def key(self, name):
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def picture(self, file):
        """Write what the window shows to a PNG file."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(file, "wb") as stream:
            stream.write(base64.b64decode(data))


@contextlib.contextmanager
def opened(profile):
    """Open a browser whose profile is a folder, and yield its `Page`."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    def hand_over():
        # The browser reads commands from 3 and writes to 4; either pipe may be at 3 or 4 now.
        read, write = os.dup(theirs_in), os.dup(theirs_out)
        os.dup2(os.dup(read), 3)
        os.dup2(os.dup(write), 4)

    process = subprocess.Popen(
        [path(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        close_fds=False,
        preexec_fn=hand_over,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(ours_in, ours_out)
    finally:
        process.kill()
        process.wait()
        os.close(ours_in)
        os.close(ours_out)
