"""What one waits for before anything happens: imports, and commands up to their first result.

Each case is a new process, taken in turns. Seconds of processor time, which other work on the
machine disturbs least, and seconds by the clock. Then the modules that an import of `keras_acn.ACN`
brings along, by who asks for them.

    python benchmarks/start_up.py [--turns 3] [--data idx:DIR]

`--data` adds `keras-acn evaluate acn-mnist` up to its first figure.
"""

import argparse
import collections
import os
import re
import statistics
import subprocess
import sys
import tempfile

# What follows ends the process at the first training step, or at the first figure measured.
FIRST_STEP = """
import keras
from keras_acn.cli import main
class First(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        tell()
from keras_acn.models.base import LatentModel
fit = LatentModel.fit
def first(self, *args, callbacks=(), **options):
    return fit(self, *args, callbacks=[*callbacks, First()], **options)
LatentModel.fit = first
main(["train", "digits", "--out", sys.argv[1] + "/run"])
"""
FIRST_FIGURE = """
from keras_acn.cli import main
import keras_acn.evaluation.code_length as code_length
reconstruction = code_length.reconstruction_nats
def first(*args, **options):
    reconstruction(*args, **options)
    tell()
code_length.reconstruction_nats = first
main(["evaluate", "acn-mnist", "--data", sys.argv[2]])
"""
CASES = {
    "import tensorflow, keras": "import tensorflow, keras",
    "import keras_acn": "import keras_acn",
    "import keras_acn; keras_acn.ACN": "import keras_acn; keras_acn.ACN",
    "keras-acn --help": "from keras_acn.cli import main; main(['--help'])",
    "keras-acn train digits, to its first step": FIRST_STEP,
}
AROUND = """
import os, resource, sys, time
def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("SECONDS", used.ru_utime + used.ru_stime, time.time() - START, len(sys.modules))
    sys.stdout.flush()
    os._exit(0)
import atexit
atexit.register(tell)
"""


def run(code, arguments):
    """Return `(processor seconds, seconds by the clock, modules)` of a new process."""
    program = "import time; START = time.time()\n" + AROUND
    done = subprocess.run(
        [sys.executable, "-c", program + code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("SECONDS ")]
    if not told:
        raise SystemExit(done.stdout[-500:] + done.stderr[-2000:])
    processor, clock, modules = told[-1].split()[1:]
    return float(processor), float(clock), int(modules)


def imports():
    """Return a Counter of the seconds of imports by package, without what they import."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import keras_acn; keras_acn.ACN"],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    seconds = collections.Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)", done.stderr):
        seconds[name.split(".")[0]] += int(own) / 1e6
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--data", help="such as idx:DIR")
    arguments = parser.parse_args()
    cases = dict(CASES)
    if arguments.data:
        cases["keras-acn evaluate acn-mnist, to its first figure"] = FIRST_FIGURE
    found = collections.defaultdict(list)
    for _ in range(arguments.turns):
        for name, code in cases.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(run(code, [folder, arguments.data or ""]))
    print(f"{'':52s} processor, s   clock, s   modules")
    for name, each in found.items():
        processor, clock, modules = map(statistics.median, zip(*each, strict=True))
        print(f"{name:52s} {processor:12.2f} {clock:10.2f} {modules:9.0f}")
    print("\nimport keras_acn; keras_acn.ACN, seconds by package, without what they import:")
    for name, seconds in imports().most_common(12):
        print(f"  {name:28s} {seconds:6.2f}")


if __name__ == "__main__":
    main()
