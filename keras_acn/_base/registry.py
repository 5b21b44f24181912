"""Parts by name, by config, or as they are: one resolver for every room."""

import inspect
import re

from keras_acn._base.errors import UserError, did_you_mean, unknown_name


def _snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def options(cls):
    """Returns the names of the options that the initialiser of `cls` takes, in order."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(cls.__init__).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.name != "self"]


class Registry:
    """The classes of one kind of part, under their names.

    Args:
      kind: The kind in the user's words, such as `"encoder"`.
      classes: The classes. Each is known under its class name, the same in snake
        case, and its `short_name` attribute where it has one.
      base: Instances of this class are passed through as they are.
    """

    def __init__(self, kind, classes, base):
        self.kind = kind
        self.base = base
        self.by_name = {}
        for cls in classes:
            for name in (cls.__name__, _snake(cls.__name__), getattr(cls, "short_name", None)):
                if name:
                    self.by_name[name] = cls

    def names(self):
        """Returns the class names, sorted."""
        return sorted({cls.__name__ for cls in self.by_name.values()})

    def find(self, name):
        """Returns the class called `name`, or raises `UserError` naming the nearest."""
        if name not in self.by_name:
            raise unknown_name(self.kind, name, self.by_name)
        return self.by_name[name]

    def check_options(self, cls, given):
        """Raises `UserError` if `given` holds an option that `cls` does not take."""
        known = options(cls)
        for key in given:
            if key not in known:
                raise UserError(
                    f'Unknown option "{key}" of the {self.kind} {cls.__name__}: known are '
                    f"{', '.join(known)}.{did_you_mean(key, known)}"
                )

    def get(self, identifier, default=None, **defaults):
        """Returns a part from an instance, a name, or a config.

        Args:
          identifier: An instance (returned as it is), a name, a dict
            `{"name": ..., option: value, ...}`, a dict as written by
            `keras.saving.serialize_keras_object`, or `None` for the default.
          default: Name or dict used when `identifier` is `None`, and whose name is
            used when a dict comes without one.
          **defaults: Options filled in where neither the caller nor the class's own
            signature rules them out, such as `latent_dim`.

        Raises:
          UserError: If the name or an option is unknown, with the nearest known one.
        """
        import keras

        if identifier is None:
            identifier = default
        if isinstance(identifier, self.base):
            return identifier
        if isinstance(identifier, str):
            identifier = {"name": identifier}
        if not isinstance(identifier, dict):
            raise UserError(
                f"The {self.kind} must be a {self.base.__name__}, a name or a dict with a "
                f'"name", not {type(identifier).__name__}.'
            )
        if "class_name" in identifier:
            part = keras.saving.deserialize_keras_object(identifier)
            if not isinstance(part, self.base):
                raise UserError(
                    f"The {self.kind} must be a {self.base.__name__}, not {type(part).__name__}."
                )
            return part
        given = dict(identifier)
        fallback = default if isinstance(default, str) else (default or {}).get("name")
        cls = self.find(given.pop("name", fallback))
        self.check_options(cls, given)
        taken = options(cls)
        merged = {k: v for k, v in defaults.items() if k in taken}
        merged.update(given)
        return cls(**merged)
