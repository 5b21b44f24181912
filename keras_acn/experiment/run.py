"""A run: data and model from a config, a fit, and the folder that it leaves."""

import contextlib
import json
import pathlib

from keras_acn._base.atomic import make_folder, replacing, write_text
from keras_acn._base.errors import UserError
from keras_acn.data.batches import Batches
from keras_acn.experiment import build, checkpoint, history, tensorboard
from keras_acn.experiment.begin import new_folder, resumed_config
from keras_acn.experiment.callbacks import TENSORBOARD, own_callbacks
from keras_acn.experiment.checkpoint import Progress
from keras_acn.experiment.cluster import strategy as workers
from keras_acn.experiment.cluster import tf_config
from keras_acn.experiment.folder import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    MODEL,
    Run,
)
from keras_acn.experiment.folder import open_run as open_run
from keras_acn.experiment.interrupt import Interrupted, StopRequest
from keras_acn.experiment.recorder import Recorder, stopped_early, unfinished_metrics
from keras_acn.experiment.versions import versions


def train(config=None, out=None, resume=None, callbacks=(), verbose=0):
    """Trains a model as its config says, and writes a run folder.

    The folder holds `config.yaml`, `model.keras`, `checkpoints/`, `history.csv`,
    `metrics.json` and, where TensorBoard is installed, `tensorboard/`. Each file is
    replaced in one step, so that a crash at any moment leaves the last good state, and
    `resume` goes on from it: the same weights and history as without the interruption.

    The columns `val_...` are measured on the validation split, and on the test split where
    there is none; only the validation split is ever chosen by.

    Args:
      config: The `Config`. With `resume` it may be left out; it may then differ from the
        run's own in the number of epochs alone, which it may raise; a schedule other
        than constant then goes on as that of the longer run.
      out: The folder to make, by default `runs/<preset>-<date>-<time>`.
      resume: The run folder to go on with.
      callbacks: Further Keras callbacks.
      verbose: As in `keras.Model.fit`.

    Returns:
      The `Run`, with its `model` and `data`.

    Where TF_CONFIG names several workers, each of them calls this, and they train together
    (see `keras_acn.distribute.keras_trainer`). The first of them, the chief, writes the folder,
    which the others must only see to resume; they return a `Run` whose model is not saved.

    Raises:
      UserError: If the config, the data or the folder cannot be used.
      WorkerLost: If another worker is gone. A `UserError`.
      Interrupted: After Ctrl-C, once everything is saved. A `KeyboardInterrupt`.
    """
    team = tf_config.from_environment()
    chief = team is None or team.is_chief
    if resume is None:
        folder = new_folder(out, config) if chief else pathlib.Path(out or "RUN")
    else:
        folder = pathlib.Path(resume)
        config = resumed_config(folder, config)
        if (finished := open_run(folder)).finished and (
            finished.config.training.epochs == config.training.epochs
        ):
            return finished
    if team is not None and config.training.batch_size < team.size:
        raise UserError(
            f"A batch of {config.training.batch_size} has no row for each of {team.size} workers: "
            f"set --batch-size to at least {team.size}, or start fewer."
        )
    strategy = None if team is None else workers.join(team)
    data = build.build_data(config)
    check_validation(config.training, data.validation is not None)
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        model = build.build_model(config, data.image_shape, len(data.train))
    config = config.model_copy(update={"versions": versions()})
    run = Run(folder, folder, folder / MODEL, config)
    run.model, run.data = model, data

    if chief:
        make_folder(folder)
        make_folder(folder / CHECKPOINT.parent)
        write_text(folder / CONFIG, config.to_yaml())
    with StopRequest() as request, workers.noticing_a_loss(team, folder):
        progress, interrupted = _fit(run, team, request, callbacks, verbose)
    if not chief:
        return run
    if team is not None:
        # What is left is for one, and the others may go.
        run.model = build.build_model(config, data.image_shape, len(data.train))
        workers.copy_state(model, run.model)
    _finish(run, progress, team)
    if interrupted is not None:
        raise interrupted
    return run


def check_validation(training, has_validation):
    """Raises `UserError` if the training goes by a validation split that there isn't."""
    for option in ("keep_best", "early_stopping"):
        if getattr(training, option) and not has_validation:
            raise UserError(
                f"training.{option} goes by the validation split, and there is none: set "
                "data.validation, such as --set data.validation=0.1."
            )


def _fit(run, team, request, callbacks, verbose):
    """Fits until the last epoch or Ctrl-C; returns `(progress, Interrupted or None)`."""
    training, model = run.config.training, run.model
    chief = team is None or team.is_chief
    last = run.folder / CHECKPOINT
    progress, metrics = Progress(), None
    if last.exists():
        progress, arrays = checkpoint.read(last)
        checkpoint.restore(model, arrays, last)
        metrics = unfinished_metrics(arrays, progress)
        if chief:
            history.write(run.folder / "history.csv", progress.history)
    if team is not None:
        workers.check_agreement(model.distribute_strategy, run.config, progress)
    recorder = Recorder(run.folder, training, progress, request, metrics, writes=chief)
    callbacks = [*own_callbacks(run, chief), recorder, *callbacks]
    try:
        if progress.step:
            model.continue_pass()
            _fit_epochs(run, progress, progress.epoch + 1, callbacks, verbose)
            if training.ema is not None:
                # The end of a fit puts the averages in the weights' place.
                checkpoint.restore(model, recorder.state, last)
        done = progress.epoch >= training.epochs
        if not done and not (progress.history and stopped_early(training, progress.history)):
            _fit_epochs(run, progress, training.epochs, callbacks, verbose)
    except Interrupted as interrupted:
        return progress, interrupted
    return progress, None


def _fit_epochs(run, progress, epochs, callbacks, verbose):
    """Fits from where `progress` is to the end of epoch number `epochs`."""
    training, images = run.config.training, run.data.train
    steps = build.steps_per_epoch(run.config, len(images))
    # The order of the data is a function of the seed and the pass, so the number of
    # optimizer steps says where in which pass to go on.
    done = progress.epoch * steps + progress.step
    pass_steps = images.steps_per_epoch(training.batch_size)
    data_pass, data_step = divmod(done, pass_steps)
    last_pass = (epochs * steps - 1) // pass_steps
    monitored = run.data.validation or run.data.test
    run.model.fit(
        Batches.of(
            images,
            training.batch_size,
            shuffle=True,
            seed=run.config.seed,
            start_epoch=data_pass,
            start_step=data_step,
            epochs=last_pass - data_pass + 1,
            training=True,
        ),
        initial_epoch=progress.epoch,
        epochs=epochs,
        steps_per_epoch=steps - progress.step,
        validation_data=monitored,
        validation_batch_size=training.batch_size,
        callbacks=callbacks,
        verbose=verbose,
    )


def _finish(run, progress, team=None):
    """Writes the model and its figures: of the best epoch where one is kept."""
    training, model = run.config.training, run.model
    best_file = run.folder / "checkpoints" / "best.npz"
    kept = progress.epoch
    if training.keep_best and best_file.exists():
        checkpoint.restore_weights(best_file, model)
        kept = history.best_epoch(progress.history)
    else:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    # The codes left by training are up to a pass old, and of the weights before any
    # averaging; the model that is kept has the codes of its own weights.
    model.settle(run.data.train)
    with replacing(run.folder / MODEL) as temporary:
        model.save(temporary)
    if tensorboard.installed():
        tensorboard.write_codes(
            run.folder / TENSORBOARD, model, run.data.train, seed=run.config.seed
        )
    figures = _figures(run, progress, kept)
    if team is not None:
        figures["workers"] = team.size
    write_text(run.folder / METRICS, json.dumps(figures, indent=2) + "\n")


def _figures(run, progress, kept):
    training, rows = run.config.training, progress.history
    row = next((r for r in rows if r["epoch"] == kept), {})
    names = [metric.name for metric in run.model.metrics]
    early = bool(rows) and stopped_early(training, rows)
    figures = {
        "finished": progress.epoch >= training.epochs or early,
        "stopped_early": early and progress.epoch < training.epochs,
        "epochs": progress.epoch,
        "epoch_of_the_model": kept,
        "best_epoch": history.best_epoch(rows),
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
    if getattr(run.model, "pseudo_labels", None) is not None and labels is not None:
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
    return figures | {
        "seed": run.config.seed,
        "data": {"source": run.config.data.source, "binarize": run.config.data.binarize} | sizes,
        "parameters": sum(v.numpy().size for v in run.model.trainable_variables),
        "seconds": round(sum(r["seconds"] for r in rows) + progress.seconds, 3),
        "versions": run.config.versions,
    }
