"""A run: data and model from a config, a fit, and the folder that it leaves."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_acn import __version__
from keras_acn._base.atomic import (
    make_folder,
    remove_temporaries,
    replacing,
    temporary_files_beside,
    write_text,
)
from keras_acn._base.checks import without_non_finite
from keras_acn._base.errors import CannotWrite, NotFinite, UserError
from keras_acn._base.lock import FolderInUse, FolderLock
from keras_acn._base.shell import command, expanded
from keras_acn.data.batches import Batches
from keras_acn.data.readers.notices import tell
from keras_acn.experiment import (
    auto,
    build,
    checkpoint,
    loggers,
    precision,
    tensorboard,
    trained_on,
)
from keras_acn.experiment.callbacks import (
    Interrupted,
    Recorder,
    StopRequest,
    run_callbacks,
    stopped_early,
)
from keras_acn.experiment.checkpoint import Progress
from keras_acn.experiment.cluster import strategy as workers
from keras_acn.experiment.cluster import tf_config
from keras_acn.experiment.config import absolute, load_config
from keras_acn.experiment.folder import (
    BEST,
    CHECKPOINT,
    CONFIG,
    METRICS,
    MODEL,
    TENSORBOARD,
    Run,
    best_epoch,
    new_folder,
    open_run,
    require_unused,
)
from keras_acn.experiment.resume import restore_run, resumed_config, set_learning_rate
from keras_acn.experiment.schema import Config, TrainingSection
from keras_acn.models.finite import PARTS

if TYPE_CHECKING:
    from keras_acn.data import Data
    from keras_acn.models import LatentModel

_PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy")


def train(
    config: Config | None = None,
    out: str | os.PathLike | None = None,
    *,
    resume: str | os.PathLike | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    verbose: int = 0,
    on_choice: Callable[[auto.Choice], None] | None = None,
) -> Run:
    """Train a model as its config says, and write a run folder.

    The folder holds `config.yaml`, `data.json` (what was read, with a fingerprint), `model.keras`,
    `checkpoints/`, `history.csv`, `metrics.json` and, where TensorBoard is installed,
    `tensorboard/`. Each file is replaced in one step, so that a crash at any moment leaves the last
    good state, and `resume` goes on from it: the same weights and history as without the
    interruption.

    The columns `val_...` of the logs and of the history are measured on the validation split.
    Where there is none, the test split is measured, as `test_...`, so that no callback that looks
    for `val_loss` chooses a model by it.

    Where TF_CONFIG names several workers, each of them calls this, and they train together
    (see `keras_acn.distribute.keras_trainer`). The first of them, the chief, writes the folder,
    which the others must only see to resume; they return a `Run` whose model is not saved.

    Args:
      config: The settings. With `resume` it may be left out; it may then differ from the
        run's own in the number of epochs, which it may raise, and in what helps a training that
        has diverged (`experiment.resume.MAY_CHANGE`); a schedule other than constant then goes
        on as that of the longer run.
      out: The folder to make, by default `runs/<preset>-<date>-<time>`.
      resume: The run folder to go on with.
      callbacks: Further Keras callbacks.
      verbose: As in `keras.Model.fit`.
      on_choice: Called with what was chosen where `training.minutes` leaves it to the data, see
        `keras_acn.experiment.auto`. The run's `config.yaml` holds it.

    Returns:
      The run, with its `model` and `data`.

    Raises:
      UserError: If the config, the data or the folder cannot be used.
      NotFinite: If the training diverges; its last good checkpoint is kept. A `UserError`.
      WorkerLost: If another worker is gone. A `UserError`.
      Interrupted: After Ctrl-C, SIGTERM or SIGHUP, once everything is saved. A `KeyboardInterrupt`.
    """
    with contextlib.ExitStack() as held:
        return _train(config, out, resume, callbacks, verbose, held, on_choice)


def _train(
    config: Config | None,
    out: str | os.PathLike | None,
    resume: str | os.PathLike | None,
    callbacks: Iterable[keras.callbacks.Callback],
    verbose: int,
    held: contextlib.ExitStack,
    on_choice: Callable[[auto.Choice], None] | None,
) -> Run:
    team = tf_config.from_environment()
    chief = team is None or team.is_chief
    if resume is not None:
        folder = pathlib.Path(expanded(resume))
        if chief and (folder / CONFIG).exists():
            held.enter_context(FolderLock(folder, "The run", "wait for it to end"))
        config, begun = resumed_config(folder, config), resumed_config(folder)
        if (finished := open_run(folder)).finished and (
            finished.settings.training.epochs == config.training.epochs
        ):
            if chief:
                remove_temporaries(folder)
            return finished
        if (folder / MODEL).exists() and not (folder / CHECKPOINT).exists():
            raise UserError(
                f"The run {folder} has a model, and no {CHECKPOINT} to go on from: bring that "
                f"back, or begin a new run with its weights by --set training.start_from={folder}."
            )
    elif config is None:
        raise UserError("There is nothing to train: give a config, or a run to resume.")
    else:
        folder = new_folder(out, config) if chief else pathlib.Path(expanded(out or "RUN"))
    if team is not None and config.training.batch_size < team.size:
        raise UserError(
            f"A batch of {config.training.batch_size} has no row for each of {team.size} workers: "
            f"set --batch-size to at least {team.size}, or start fewer."
        )
    chooses = resume is None and config.training.minutes is not None
    if chooses and team is not None:
        raise UserError(
            "Workers would each measure and choose for themselves: name a preset that says all, "
            "or give each of them the config.yaml that a run on one machine has chosen."
        )
    if chief:
        loggers.require_installed(config.training.loggers)
    strategy = None if team is None else workers.join(team)
    config = absolute(config)
    if chooses:
        choice, data = auto.choose(config)
        config = choice.config
        if on_choice is not None:
            on_choice(choice)
    else:
        data = build.build_data(config)
    config = precision.chosen(config, alone=team is None)[0]
    differs = trained_on.difference(folder, data) if resume is not None else None
    if differs is not None:
        raise UserError(
            f"The run {folder} cannot go on, as its data are not those it began with: {differs}, "
            f"in {config.data.source}. Bring them back, or begin a new run."
        )
    check_validation(config.training, data.validation is not None)
    legs_before: list[int | None] = []
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        model = build.build_model(config, data.image_shape, len(data.train))
        if config.training.start_from is not None and resume is None:
            take_weights(model, config.training.start_from, parts=config.training.start_parts)
            legs_before = legs(open_run(config.training.start_from))
    if resume is None:
        config = build.noting_likelihood(config, model)
        tell_of_lost_values(config, data)
    config = config.model_copy(update={"versions": versions()})
    if chief and resume is None:
        folder = _take_folder(out, folder, config, held)
    held.enter_context(_telling_what_is_kept(folder))
    run = Run(folder, folder, folder / MODEL, config)
    run.model, run.data = model, data
    same_rate = resume is None or (begun.training.learning_rate == config.training.learning_rate)

    if chief:
        # First of all, so that whatever happens from here on there is a run to go on with.
        write_text(folder / CONFIG, config.to_yaml())
        make_folder(folder / CHECKPOINT.parent)
        remove_temporaries(folder)
        if not (folder / trained_on.TRAINED_ON).exists():
            trained_on.write(folder, data, config.data.source, legs_before)
    # To the very end: a request that comes while the model is written is for the one who goes on.
    with StopRequest() as request:
        try:
            with workers.noticing_a_loss(team, folder):
                progress = restore_run(run, writes=chief)
                if not same_rate:
                    set_learning_rate(run, progress, writes=chief)
                progress, interrupted = _fit(run, team, progress, request, callbacks, verbose)
            if not chief:
                return run
            if team is not None:
                # What is left is for one, and the others may go.
                run.model = build.build_model(config, data.image_shape, len(data.train))
                workers.copy_state(model, run.model)
            _finish(run, progress, team)
        except NotFinite as error:
            raise error.advising(_way_on(run, error)) from None
    if interrupted is not None:
        raise interrupted
    if request.requested:
        raise Interrupted(run.folder, request.requested)
    return run


def take_weights(
    model: LatentModel, source: str | os.PathLike, *, parts: Sequence[str] | None = None
) -> None:
    """Give a model the weights of a trained one, and its codes where there are as many.

    Args:
      model: A model.
      source: As for `open_run`.
      parts: The parts that take their weights, such as `["encoder", "decoder"]`; `None` for all
        of them.

    Raises:
      UserError: If there is no such model, or its parts are of another kind or size.
    """
    trained = open_run(source).model
    for name in PARTS if parts is None else parts:
        part, other = (getattr(each, name) for each in (model, trained))
        shapes = [[tuple(w.shape) for w in each.weights] if each else [] for each in (part, other)]
        if type(part) is not type(other) or shapes[0] != shapes[1]:
            raise UserError(
                f"The {name.replace('_', ' ')} of {source} is of another kind or size than the "
                "one that is asked for: give both the same options, or name the parts to begin "
                "with in training.start_parts."
            )
        if part is not None and other is not None:
            part.set_weights(other.get_weights())
    codebook, other = model.codebook, trained.codebook
    if codebook is not None and other is not None and other.size == codebook.size:
        codebook.codes.assign(other.codes)


def legs(run: Run) -> list[int | None]:
    """Return the epochs of the trainings, one after the other, that made a run's model.

    Each began with the weights of the one before, by `training.start_from`.

    Args:
      run: The run.

    Returns:
      Their epochs up to the one that the weights are of; `None` for one of which nobody knows.
    """
    metrics = run.metrics if run.config is not None else {}
    last = metrics.get("epoch_of_the_model") or metrics.get("epochs")
    if "legs" in metrics:
        # Where epochs are counted over all legs, as in `acn-mnist`, `last` is the sum of them.
        *before, final = metrics["legs"]
        return [*before, min(final, last or final)]
    if not metrics and run.config is not None and run.history:
        last = run.history[-1]["epoch"]
    return [*trained_on.legs_before(run.folder), last]


def _take_folder(
    out: str | os.PathLike | None,
    folder: pathlib.Path,
    config: Config,
    held: contextlib.ExitStack,
) -> pathlib.Path:
    """Make the folder of a new run and lock it; return its path."""
    while True:
        make_folder(folder)
        try:
            lock = held.enter_context(FolderLock(folder, "The run"))
            # Another process may have had it since it was looked at.
            require_unused(folder)
            return folder
        except UserError as error:
            if out is not None:
                raise
            if not isinstance(error, FolderInUse):
                lock.__exit__()
            # Nobody asked for this name, and the next one is as good.
            folder = new_folder(None, config)


def versions() -> dict[str, str]:
    """Return the versions of Python, keras-acn and what it computes with, by name."""
    found = {"python": platform.python_version(), "keras_acn": __version__}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package.replace("-", "_")] = importlib.metadata.version(package)
    return found


def tell_of_lost_values(config: Config, data: Data) -> None:
    """Warn where a preset makes images of another source than its own black and white."""
    if config.preset is None or not data.train.loses_values:
        return
    own = load_config(config.preset).data
    if config.data.binarize != own.binarize or config.data.source == own.source:
        return
    kind = "grey" if data.image_shape[2] == 1 else "in colour"
    tell(
        [
            f"The images of {config.data.source} are {kind}, and the preset {config.preset} makes "
            "them black and white: to keep their values, leave the preset out (keras-acn train "
            "SOURCE), or set data.binarize=none and a decoder.likelihood for 8 bits."
        ]
    )


def check_validation(training: TrainingSection, has_validation: bool) -> None:
    """Raise `UserError` if the training goes by a validation split that there isn't."""
    for option in ("keep_best", "early_stopping"):
        if getattr(training, option) and not has_validation:
            raise UserError(
                f"training.{option} goes by the validation split, and there is none: set "
                "data.validation, such as --set data.validation=0.1."
            )


def _fit(
    run: Run,
    team: tf_config.Cluster | None,
    progress: Progress,
    request: StopRequest,
    callbacks: Iterable[keras.callbacks.Callback],
    verbose: int,
) -> tuple[Progress, Interrupted | None]:
    """Fit from `progress` until the last epoch or Ctrl-C.

    Returns:
      `(progress, Interrupted or None)`.
    """
    training, model = run.settings.training, run.model
    chief = team is None or team.is_chief
    if team is not None:
        workers.check_agreement(model.distribute_strategy, run.settings, progress)
    recorder = Recorder(run, progress, request, writes=chief)
    try:
        with loggers.logging(run, writes=chief) as logs:
            callbacks = [*run_callbacks(run, writes=chief), *logs, recorder, *callbacks]
            if progress.step:
                model.continue_pass()
                _fit_epochs(run, progress, progress.epoch + 1, callbacks, verbose)
                if training.ema is not None and recorder.state is not None:
                    # The end of a fit puts the averages in the weights' place.
                    checkpoint.restore(model, recorder.state, run.folder / CHECKPOINT)
            done = progress.epoch >= training.epochs
            if not done and not (progress.history and stopped_early(training, progress.history)):
                _fit_epochs(run, progress, training.epochs, callbacks, verbose)
    except Interrupted as interrupted:
        return progress, interrupted
    return progress, None


@contextlib.contextmanager
def _telling_what_is_kept(folder: pathlib.Path) -> Iterator[None]:
    """A context in which an error of writing says how the run goes on."""
    try:
        yield
    except CannotWrite as error:
        kept = _kept(folder)
        again = f"go on then by {command('train', '--resume', folder)}"
        raise error.keeping(
            f"{kept}: {again}." if kept else "Nothing of the run is kept: begin it again then."
        ) from error


def _kept(folder: pathlib.Path) -> str | None:
    """Return up to where a run is kept, in words; `None` without a checkpoint."""
    try:
        progress = checkpoint.read(folder / CHECKPOINT)[0]
    except UserError:
        return None
    steps = f" and {progress.step} steps more" if progress.step else ""
    return f"The run is kept as it was after epoch {progress.epoch}{steps}"


def _kept_step(folder: pathlib.Path) -> int | None:
    """Return the step at which a run is kept; `None` without a checkpoint."""
    try:
        arrays = checkpoint.read(folder / CHECKPOINT)[1]
    except UserError:
        return None
    found = [int(array) for name, array in arrays.items() if name.endswith("/random_step")]
    return found[0] if found else None


def _way_on(run: Run, error: NotFinite) -> str:
    """Return what to do about a training that has diverged, in a sentence."""
    kept = _kept(run.folder) or "Nothing of it was worth keeping"
    rate = f"training.learning_rate={run.settings.training.learning_rate / 10:g}"
    # Then the last step before may have spoilt the weights that are kept.
    at_once = error.step is not None and error.step == _kept_step(run.folder)
    anew = " If that diverges at once too, begin a new run with it." if at_once else ""
    return (
        f"{kept}. What usually helps is training.clipnorm, a smaller training.learning_rate, or a "
        "warm-up of the KL (training.kl_warmup_epochs): go on with such a change by "
        f"{command('train', '--resume', run.folder, '--set', rate)}.{anew}"
    )


def _fit_epochs(
    run: Run,
    progress: Progress,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
    verbose: int,
) -> None:
    """Fit from where `progress` is to the end of epoch number `epochs`."""
    training, images = run.settings.training, run.data.train
    steps = build.steps_per_epoch(run.settings, len(images))
    # The order of the data is a function of the seed and the pass, so the number of
    # optimizer steps says where in which pass to go on.
    done = progress.epoch * steps + progress.step
    pass_steps = images.steps_per_epoch(training.batch_size)
    data_pass, data_step = divmod(done, pass_steps)
    last_pass = (epochs * steps - 1) // pass_steps
    validation = run.data.validation
    run.model.fit(
        Batches.of(
            images,
            training.batch_size,
            shuffle=True,
            seed=run.settings.seed,
            start_epoch=data_pass,
            start_step=data_step,
            epochs=last_pass - data_pass + 1,
            training=True,
        ),
        initial_epoch=progress.epoch,
        epochs=epochs,
        steps_per_epoch=steps - progress.step,
        validation_data=validation,
        validation_batch_size=training.batch_size,
        callbacks=callbacks,
        verbose=verbose,
    )


def _finish(run: Run, progress: Progress, team: tf_config.Cluster | None) -> None:
    """Write the model and its figures: of the best epoch where one is kept."""
    training, model = run.settings.training, run.model
    best_file = run.folder / BEST
    kept: int | None = progress.epoch
    if training.keep_best and best_file.exists():
        checkpoint.restore_weights(best_file, model)
        kept = best_epoch(progress.history)
    else:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    # The codes left by training are up to a pass old, and of the weights before any
    # averaging; the model that is kept has the codes of its own weights.
    model.settle(run.data.train)
    checkpoint.require_finite(checkpoint.state(model))
    with replacing(run.folder / MODEL) as temporary, temporary_files_beside(temporary):
        model.save(temporary)
    if tensorboard.installed():
        tensorboard.write_codes(
            run.folder / TENSORBOARD, model, run.data.train, seed=run.settings.seed
        )
    figures = _figures(run, progress, kept)
    if team is not None:
        figures["workers"] = team.size
    text = json.dumps(without_non_finite(figures), indent=2, allow_nan=False)
    write_text(run.folder / METRICS, text + "\n")


def _figures(run: Run, progress: Progress, kept: int | None) -> dict[str, Any]:
    training, rows = run.settings.training, progress.history
    row = next((r for r in rows if r["epoch"] == kept), {})
    names = [metric.name for metric in run.model.metrics]
    before = trained_on.legs_before(run.folder)
    early = bool(rows) and stopped_early(training, rows)
    figures: dict[str, Any] = {
        "is_code_length": run.model.is_code_length(run.data.train),
        "finished": progress.epoch >= training.epochs or early,
        "stopped_early": early and progress.epoch < training.epochs,
        "epochs": progress.epoch,
        **({"legs": [*before, progress.epoch]} if before else {}),
        "epoch_of_the_model": kept,
        "best_epoch": best_epoch(rows),
        "train": {name: row[name] for name in names if name in row},
    }
    monitored = run.data.validation or run.data.test
    if monitored is not None:
        split = "validation" if run.data.validation else "test"
        measured = run.model.evaluate(
            monitored, batch_size=training.batch_size, verbose=0, return_dict=True
        )
        figures[split] = {name: measured[name] for name in names if name in measured}
    labels = run.data.train.labels
    if run.model.pseudo_labels is not None and labels is not None:
        figures["pseudo_label_ami"] = run.model.pseudo_labels.agreement(labels)
    figures["codebook"] = {k: v for k, v in row.items() if k.startswith("codebook_")}
    if figures["codebook"]:
        strategy = type(run.model.codebook.search_strategy)
        figures["codebook"]["search"] = getattr(strategy, "short_name", strategy.__name__)
    sizes = {
        split: len(images)
        for split in ("train", "validation", "test")
        if (images := getattr(run.data, split)) is not None
    }
    data = run.settings.data
    classes = run.data.class_names
    named = {} if classes is None else {"class_names": list(classes)}
    return figures | {
        "seed": run.settings.seed,
        "data": {"source": data.source, "binarize": data.binarize} | sizes | named,
        "parameters": sum(v.numpy().size for v in run.model.trainable_variables),
        "seconds": round(sum(r["seconds"] for r in rows) + progress.seconds, 3),
        "versions": run.settings.versions,
    }
