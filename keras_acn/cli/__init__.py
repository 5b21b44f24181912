"""The command line: `keras-acn`, one thin file a command.

A command reads its options, calls what a notebook would call, and prints what comes back.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence

import click

from keras_acn import __version__
from keras_acn._base import lazy, progress
from keras_acn._base.errors import DataWarning, UserError, short, unknown_name

# One command a line. The help stands here so that listing the commands imports none.
COMMANDS = {
    "train": "Train a model on a preset or your own YAML.",
    "sweep": "Train a preset once for every point of a grid.",
    "presets": "List the presets, or show one.",
    "datasets": "List the data sources.",
    "evaluate": "Measure a trained model.",
    "plot": "Draw a trained model's figures.",
    "report": "Write one HTML file of trained models, with a map to click in.",
    "daydream": "Let a trained model daydream: a GIF, a strip and a grid.",
    "export": "Export a trained model for TensorFlow Serving.",
    "compress": "Compress images with a trained model.",
    "pack": "Train a model on images, and compress both into one file.",
    "decompress": "Get the images of an .acn file back.",
    "info": "Show what an .acn file holds.",
}


# What to do about what the system says of a file that no command had in view.
_FIXES = {
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EISDIR: "move that folder away, or give a file",
    errno.ENOTDIR: "move that file away, or give a folder",
    errno.ENOENT: "bring it back, or give another one",
    errno.ELOOP: "mend its links, or give another one",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "ask for the right to it, or give another one"),
}


class CommandGroup(click.Group):
    """A group whose command `name` is `keras_acn.cli.name.name`, imported when it is called."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:
                # A shell asks what the word may become.
                return None
            raise unknown_name("command", cmd_name, COMMANDS)
        return lazy.load(f"keras_acn.cli.{cmd_name}:{cmd_name}")

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"keras-acn {__version__}")
        ctx.exit()


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def command_line():
    """Train and use Associative Compression Networks.

    \b
    keras-acn train                 train an ACN on a piece of MNIST
    keras-acn train blog-acn --data idx:DIR
    keras-acn presets               what else there is to train
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Bad input ends with one sentence on stderr and code 2, a training that diverged with one and
    code 3; Ctrl-C, SIGTERM and SIGHUP with 128
    and the signal's number, as a shell has it: 130, 143 and 129.

    Args:
      argv: The arguments, those of the process by default.
    """
    _ready_streams()
    # What TensorFlow's C++ side says of its own start. What goes wrong there reaches Python as
    # an exception; what it merely logs as an error (which instructions a processor lacks, that
    # there is no GPU) would stand before our own sentences. Whoever wants it sets the level.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The one back end there is; which one the user's own Keras runs on doesn't matter here.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Figures are written to files, for which no window is needed that could be missing.
    os.environ["MPLBACKEND"] = "agg"
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say
            warnings.simplefilter("default", DataWarning)
            # What NumPy says of numbers beyond its own is no sentence: a result shows them.
            warnings.filterwarnings("ignore", r"[a-z ]+ encountered in \w+", RuntimeWarning)
            # What Pillow says of a camera's notes, of which the orientation alone is read.
            warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")
            result = command_line.main(args=argv, prog_name="keras-acn", standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        return 0
    except click.ClickException as error:
        return _fail(error.format_message())
    except KeyboardInterrupt as asked:
        return _stopped(asked)
    except click.Abort as error:
        # click makes an end of file an abort too, and that one is no Ctrl-C.
        if isinstance(error.__cause__, EOFError):
            raise error.__cause__ from None
        return _stopped(error.__cause__)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has left.
        _drop_output()
        return 0
    except OSError as error:
        if error.strerror is None:
            raise
        if not _drop_output() or error.filename is None:
            # Files are named, or told as `CannotWrite`.
            return _fail(
                f"The standard output cannot be written ({error.strerror.lower()}): what it goes "
                "to is not whole, so make room there and give the command again."
            )
        fix = _FIXES.get(error.errno or 0, "check it, or give another one")
        return _fail(
            f"{short(error.filename, 500)} cannot be used ({error.strerror.lower()}): {fix}."
        )
    return result if isinstance(result, int) else 0


def _ready_streams() -> None:
    """Open what the caller has closed (`2>&-`), and let no name of a file stop a sentence.

    Else the next file that is opened would take the stream's number, and be written into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            # A shell's script may have been opened under the number, to be read only.
            os.write(number, b"") if number else os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                continue  # such as a full disk, of which there is something to say
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding, or a name that is no UTF-8.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> bool:
    """Forget what standard output still holds if it cannot be written: Python would complain.

    Returns:
      Whether it could be written.
    """
    try:
        sys.stdout.flush()
        return True
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False


def _stopped(asked: BaseException | None) -> int:
    return 128 + int(getattr(asked, "signal", signal.SIGINT))


def _say(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning on a line of its own, without the place in our code that it came from."""
    note = f"Note: {' '.join(str(message).split())}"
    click.echo(progress.apart(note, sys.stderr), err=True)


def _fail(sentence: str, code: int = UserError.exit_code) -> int:
    error = f"Error: {short(' '.join(sentence.split()), 4000)}"
    click.echo(progress.apart(error, sys.stderr), err=True)
    return code
