"""Pydantic's errors, each as one sentence for the user."""

import typing

from pydantic import BaseModel

from keras_acn._base.errors import UserError, did_you_mean

_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a section with options",
    "model_type": "a section with options",
    "model_attributes_type": "a section with options",
}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _section(model, loc):
    """Returns the pydantic class of the section that `loc` lies in, under `model`."""
    for key in loc:
        field = model.model_fields.get(key)
        classes = [] if field is None else (field.annotation, *typing.get_args(field.annotation))
        inner = [c for c in classes if isinstance(c, type) and issubclass(c, BaseModel)]
        if not inner:
            break
        model = inner[0]
    return model


def user_error(validation_error, model):
    """Returns the `UserError` for the first problem of a pydantic `ValidationError`.

    Args:
      validation_error: The error that validating raised.
      model: The pydantic class that was to be made.
    """
    problem = validation_error.errors()[0]
    kind, loc = problem["type"], [part for part in problem["loc"] if isinstance(part, str)]
    context = problem.get("ctx", {})
    value = problem.get("input")
    name = ".".join(loc)
    if kind == "value_error":
        return UserError(str(context["error"]))
    if kind == "extra_forbidden":
        *outer, key = loc
        known = sorted(_section(model, outer).model_fields)
        where = f'option "{key}" of {".".join(outer)}' if outer else f'section "{key}"'
        return UserError(
            f"Unknown {where}: known are {', '.join(known)}.{did_you_mean(key, known)}"
        )
    if kind == "missing":
        return UserError(f"{name} is missing: give it a value.")
    shown = "a section" if isinstance(value, dict) else f'"{value}"'
    if kind == "literal_error":
        known = context["expected"].replace("'", '"')
        near = did_you_mean(value, known.replace('"', "").replace(" or ", ", ").split(", "))
        return UserError(f"{name} must be {known}, not {shown}.{near}")
    for bound, words in _BOUNDS.items():
        if bound in context:
            return UserError(f"{name} must be {words} {context[bound]}, not {shown}.")
    wanted = _WANTED.get(kind)
    if wanted is None:
        return UserError(f"{name}: {problem['msg']}.")
    return UserError(f"{name} must be {wanted}, not {shown}.")
