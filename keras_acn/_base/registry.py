"""Parts by name, by config, or as they are: one resolver for every room."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from keras_acn._base.errors import UserError, did_you_mean, short, unknown_name


def _snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def options(cls: Any) -> list[str]:
    """Return the names of the options that the initialiser of `cls` takes, in order."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    initialiser = cls.__init__
    parameters = inspect.signature(initialiser).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.name != "self"]


def _name_and_options(identifier):
    """Return the name (or `None`) and the options of a name, a dict or `None`."""
    if isinstance(identifier, dict):
        given = dict(identifier)
        return given.pop("name", None), given
    return identifier, {}


class Registry:
    """The classes of one kind of part, under their names.

    Args:
      kind: The kind in the user's words, such as `"encoder"`.
      classes: The classes. Each is known under its class name, the same in snake
        case, and its `short_name` attribute where it has one.
      base: Instances of this class are passed through as they are.
      aliases: Further class names (and the same in snake case): a dict from the name to a
        class and the options that the name stands for.
      carried: Options that describe the model rather than one of its parts, such as a
        posterior's `variance`: `get` takes the default part's for a part of another class.
      adopt: Makes a part of a Keras model or layer that is none: called with it, and with those
        of the sizes that it takes.

    Example:
      >>> from keras_acn.encoders import registry
      >>> registry.find("conv").__name__
      'ConvEncoder'
      >>> part = registry.get({"name": "mlp", "hidden": [64]}, image_shape=(8, 8, 1))
      >>> part.hidden
      (64,)
    """

    def __init__(
        self,
        kind: str,
        classes: list[type],
        base: type,
        *,
        aliases: dict[str, tuple[type, dict]] | None = None,
        carried: tuple[str, ...] = (),
        adopt: Callable[..., Any] | None = None,
    ):
        self.kind = kind
        self.base = base
        self.carried = carried
        self.adopt = adopt
        self.by_name = {}
        for cls in classes:
            for name in (cls.__name__, _snake(cls.__name__), getattr(cls, "short_name", None)):
                if name:
                    self.by_name[name] = cls
        self._aliases = {}
        for title, (cls, fixed) in (aliases or {}).items():
            for name in (title, _snake(title)):
                self.by_name[name] = cls
                self._aliases[name] = (title, fixed)

    def names(self) -> list[str]:
        """Return the class names, aliases included, sorted."""
        titles = {title for title, _ in self._aliases.values()}
        return sorted({cls.__name__ for cls in self.by_name.values()} | titles)

    def find(self, name: str) -> type:
        """Return the class called `name`, or raises `UserError` naming the nearest."""
        if name not in self.by_name:
            raise unknown_name(self.kind, name, self.by_name)
        return self.by_name[name]

    def options_of(self, name: str) -> list[str]:
        """Return the options that can be given with a name, without those that it stands for."""
        fixed = self._aliases.get(name, ("", {}))[1]
        return [each for each in options(self.find(name)) if each not in fixed]

    def check_options(self, cls: type, given: dict) -> None:
        """Raise `UserError` if `given` holds an option that `cls` does not take."""
        self._check(cls.__name__, options(cls), given)

    def _check(self, title, known, given):
        for key in given:
            if key not in known:
                raise UserError(
                    f'Unknown option "{short(key)}" of the {self.kind} {title}: known are '
                    f"{', '.join(known)}.{did_you_mean(key, known)}"
                )

    def get(self, identifier, default: str | dict | None = None, **sizes):
        """Return a part from an instance, a name, or a config.

        A part is made with, from the weakest claim to the strongest: the `sizes` that its
        class takes; the options of the `default`; the options given. Of the default's options
        all count where the identifier names the same class as the default, or names none, so
        that `"conv"` and `{"filters": [8]}` differ from `None` in nothing but what they say.
        Where it names another class, only those in `carried` count that this class takes: a
        model that learns its posterior's variance does so with any encoder, while the width
        of one kind of network says nothing about another.

        Args:
          identifier: An instance (returned as it is), a name, a dict
            `{"name": ..., option: value, ...}`, a dict as written by
            `keras.saving.serialize_keras_object`, or `None` for the default.
          default: Name or dict of the default part.
          **sizes: Options that follow from the model, such as `latent_dim`.

        Raises:
          UserError: If the name or an option is unknown, with the nearest known one.
        """
        import keras

        if identifier is None:
            identifier = default
        if isinstance(identifier, dict) and "class_name" in identifier:
            identifier = keras.saving.deserialize_keras_object(identifier)
        if not isinstance(identifier, (str, dict)):
            return self._accepted(identifier, sizes)
        name, given = _name_and_options(identifier)
        default_name, kept = _name_and_options(default)
        kept = {**self._aliases.get(default_name, ("", {}))[1], **kept}
        cls = self.find(name or default_name)
        title, fixed = self._aliases.get(name, (cls.__name__, {}))
        known = options(cls)
        self._check(title, [each for each in known if each not in fixed], given)
        if default_name is not None and self.find(default_name) is not cls:
            kept = {key: kept[key] for key in self.carried if key in kept and key in known}
        sizes = {key: value for key, value in sizes.items() if key in known}
        return cls(**{**sizes, **kept, **fixed, **given})

    def _accepted(self, part, sizes):
        import keras

        if isinstance(part, self.base):
            return part
        if self.adopt is None or not isinstance(part, keras.Layer):
            network = "" if self.adopt is None else "a Keras model, "
            raise UserError(
                f"The {self.kind} must be a {self.base.__name__}, {network}a name or a dict with "
                f'a "name", not {type(part).__name__}.'
            )
        taken = inspect.signature(self.adopt).parameters
        return self.adopt(part, **{key: value for key, value in sizes.items() if key in taken})
