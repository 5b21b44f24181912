"""A run's folder: finding one, and reading what is in it."""

import functools
import json
import pathlib

from keras_acn._base.errors import UserError, did_you_mean
from keras_acn._base.shipped import pretrained_folders
from keras_acn.experiment import config as config_lib
from keras_acn.experiment import history, yaml

CONFIG, MODEL, HISTORY, METRICS = "config.yaml", "model.keras", "history.csv", "metrics.json"
CHECKPOINT = pathlib.PurePath("checkpoints", "last.npz")


class Run:
    """A trained model with what is known about how it was trained.

    Attributes:
      path: The run folder, or the `.keras` file.
      folder: The folder that holds the model.
      config: The `Config` it was trained with, `None` for a model file on its own.
    """

    def __init__(self, path, folder, model_file, config):
        self.path = path
        self.folder = folder
        self.config = config
        self._model_file = model_file

    @functools.cached_property
    def model(self):
        """The model, as saved; of a run cut short, as of its last checkpoint."""
        if self._model_file.exists():
            return _load_model(self._model_file)
        from keras_acn.experiment import build, checkpoint

        last = self.folder / CHECKPOINT
        if not last.exists():
            raise UserError(
                f"The run {self.path} holds no model yet: go on with keras-acn train "
                f"--resume {self.path}."
            )
        model = build.build_model(self.config, self.data.image_shape, len(self.data.train))
        checkpoint.restore(model, checkpoint.read(last)[1], last)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        return model

    @functools.cached_property
    def data(self):
        """The `keras_acn.data.Data` it was trained on."""
        return self.load_data()

    def load_data(self, source=None, data_dir=None, classes=None):
        """Returns the run's data, or other data treated likewise.

        Args:
          source: As for `keras_acn.data.load`; the run's own by default.
          data_dir: Likewise.
          classes: Likewise, the labels of the classes to keep.

        Raises:
          UserError: If neither the run nor the caller names a source.
        """
        from keras_acn.experiment import build

        config = self.config
        if config is None:
            if source is None:
                raise UserError(
                    f"{self.path} does not say what it was trained on: name the data with --data."
                )
            config = config_lib.Config()
        changed = {"source": source, "data_dir": data_dir, "classes": classes}
        changed = {key: value for key, value in changed.items() if value is not None}
        section = config.data.model_copy(update=changed)
        return build.build_data(config.model_copy(update={"data": section}))

    @property
    def history(self):
        """The rows of `history.csv`, one dict an epoch; empty where there is none."""
        path = self.folder / HISTORY
        return history.read(path) if path.exists() else []

    @property
    def metrics(self):
        """What `metrics.json` holds; empty where there is none."""
        path = self.folder / METRICS
        try:
            metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:
            raise UserError(f"{path} is damaged: delete it, and resume the run.") from error
        counted = isinstance(metrics, dict) and isinstance(metrics.get("epochs", 0), int)
        if not counted or (metrics.get("finished") and "epochs" not in metrics):
            raise UserError(f"{path} is damaged: delete it, and resume the run.")
        return metrics

    @property
    def finished(self):
        """Whether the run has done all the epochs of its config."""
        metrics = self.metrics
        return bool(metrics.get("finished")) and (
            bool(metrics.get("stopped_early")) or metrics["epochs"] >= self.config.training.epochs
        )


def open_run(model):
    """Returns the `Run` for a run folder, a `.keras` file, or a saved model.

    Args:
      model: Path of a run folder or a `.keras` file, or the path or the name of a folder
        under `saved_models/`.

    Raises:
      UserError: If there is none, or it was written by a newer version.
    """
    path = pathlib.Path(model)
    if not path.exists():
        path = _saved_model(model)
    if path.is_file():
        if path.suffix != ".keras":
            raise UserError(f"{path} is no model: give a run folder or a .keras file.")
        return Run(path, path.parent, path, _config_beside(path))
    config = _read_config(path / CONFIG)
    if config is None:
        raise UserError(
            f"{path} is no run folder, as it has no {CONFIG}: give a run folder, a .keras file "
            "or the name of a saved model."
        )
    return Run(path, path, path / MODEL, config)


def _read_config(path):
    return config_lib.load_config(file=path) if path.exists() else None


def _config_beside(model_file):
    """Returns the config beside a model file; `None` where that is someone else's file."""
    path = model_file.parent / CONFIG
    try:
        known = str(yaml.read(path).get("format")).isdigit()
    except UserError:
        return None
    return _read_config(path) if known else None


def _saved_model(name):
    folders = pretrained_folders()
    beside = pathlib.Path("saved_models")
    if beside.is_dir():
        folders |= {each.name: each for each in beside.iterdir() if (each / MODEL).exists()}
    if str(name) in folders:
        return folders[str(name)]
    raise UserError(
        f'There is no model "{name}": give a run folder, a .keras file or the name of a saved '
        f"model.{did_you_mean(name, folders)}"
    )


def _load_model(path):
    from keras_acn import models

    return models.load_model(path)
