"""Runs: a validated configuration, training that can be resumed, and the run folder.

The names below are imported on first use: reading a configuration or a run's figures needs no
TensorFlow.
"""

from keras_acn._base import lazy as _lazy

_PUBLIC = {
    # A run.
    "Config": "keras_acn.experiment.schema:Config",
    "load_config": "keras_acn.experiment.config:load_config",
    "preset_names": "keras_acn.experiment.presets:preset_names",
    "train": "keras_acn.experiment.run:train",
    "Run": "keras_acn.experiment.folder:Run",
    "open_run": "keras_acn.experiment.folder:open_run",
    "run_summary": "keras_acn.experiment.summary:run_summary",
    # Callbacks, and how a training may end.
    "EpochLines": "keras_acn.experiment.summary:EpochLines",
    "EpochBar": "keras_acn.experiment.summary:EpochBar",
    "Snapshots": "keras_acn.experiment.snapshots:Snapshots",
    "Interrupted": "keras_acn.experiment.callbacks:Interrupted",
    "WorkerLost": "keras_acn.experiment.cluster.strategy:WorkerLost",
    # Many runs: `sweep.plan`, `sweep.run`, `sweep.table`.
    "sweep": "keras_acn.experiment.sweep",
    "SweepLines": "keras_acn.experiment.summary:SweepLines",
    "sweep_summary": "keras_acn.experiment.summary:sweep_summary",
}

__getattr__, __dir__, __all__ = _lazy.names(__name__, _PUBLIC)
