"""`model.export`: a trained model for TensorFlow Serving."""

from keras_acn._base.errors import UserError, did_you_mean
from keras_acn._base.lazy import late


class Exporting:
    """The method that takes the place of Keras's own `export`.

    Keras's would trace `call`, which here returns a distribution and no tensor, and write
    one signature into the folder itself. This one writes a version folder with a signature
    for everything that the model can do.
    """

    def export(
        self,
        folder,
        version=None,
        quantize=None,
        codebook=True,
        name=None,
        config=None,
        metrics=None,
        examples=None,
        **unknown,
    ):
        """Writes a SavedModel that TensorFlow Serving loads, at `folder/VERSION/`.

        Args:
          folder: The folder that the server is pointed at; made where it is missing.
          version: A number, by default the next free one.
          quantize: `"float16"` stores kernels and codes in half precision.
          codebook: Whether the codebook comes along. Without it the export is smaller, and
            has neither `neighbors` nor `nats`.
          name: The model's name for the server, the folder's by default.
          config: The `keras_acn.experiment.Config` of the training: it says what is done
            to PNG and JPEG files.
          metrics: The model's figures, as in a run's `metrics.json`, for the model card.
          examples: Images for the warm-up requests.

        Returns:
          A `keras_acn.serving.Export`: the path, the version, the signatures, the sizes.

        Raises:
          UserError: If an option is unknown or does not fit, the version exists already,
            or the model has not been trained.
        """
        known = {
            "version": version,
            "quantize": quantize,
            "codebook": codebook,
            "name": name,
            "config": config,
            "metrics": metrics,
            "examples": examples,
        }
        for key in unknown:
            raise UserError(
                f'export() of a {type(self).__name__} has no option "{key}": known are '
                f"{', '.join(known)}.{did_you_mean(key, known)}"
            )
        return late("export_model")(self, folder, **known)
