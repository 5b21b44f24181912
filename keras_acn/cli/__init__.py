"""The command line: `keras-acn`, one thin file a command."""

import os
import sys

import click

from keras_acn._base.errors import UserError
from keras_acn.cli.group import CommandGroup, version


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, param, value: version(ctx) if value else None,
    help="Show the version and exit.",
)
def command_line():
    """Train and use Associative Compression Networks.

    \b
    keras-acn train                 train an ACN on scikit-learn's digits
    keras-acn train blog-acn --data idx:DIR
    keras-acn presets               what else there is to train
    """


def main(argv=None):
    """Runs the command line and returns its exit code.

    Bad input ends with one sentence on stderr and code 2, Ctrl-C with code 130.

    Args:
      argv: The arguments, those of the process by default.
    """
    # The chatter of TensorFlow's start: information and warnings of its C++ side. Errors
    # are level 2, and stay, save where workers may lose each other: that is said in a sentence.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if os.environ.get("TF_CONFIG") else "2")
    # The one back end there is; which one the user's own Keras runs on doesn't matter here.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        result = command_line.main(args=argv, prog_name="keras-acn", standalone_mode=False)
    except UserError as error:
        return _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        return 0
    except click.ClickException as error:
        return _fail(error.format_message())
    except KeyboardInterrupt:
        return 130
    except click.Abort as error:
        # click makes an end of file an abort too, and that one is no Ctrl-C.
        if isinstance(error.__cause__, EOFError):
            raise error.__cause__ from None
        return 130
    except BrokenPipeError:
        # The reader of a pipe, such as head, has left; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.strerror is None:
            raise
        return _fail(f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
    return result if isinstance(result, int) else 0


def _fail(sentence):
    click.echo(f"Error: {' '.join(sentence.split())}", err=True)
    return 2
