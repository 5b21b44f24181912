"""`npy:FILE` and `npz:FILE`."""

import os

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.data.parts import assemble, checked


def _open(path, kind):
    if not os.path.exists(path):
        raise UserError(f'There is no file "{path}": check the path after "{kind}:".')
    if os.path.isdir(path):
        raise UserError(f'"{path}" is a folder: give a .{kind} file after "{kind}:".')
    broken = f'"{path}" is not a readable .{kind} file of plain numbers'
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            content = {"": content}
        else:
            with content:
                content = {key: content[key] for key in content.files}
    except PermissionError as error:
        raise UserError(f'"{path}" may not be read: check its permissions.') from error
    except Exception as error:
        # A damaged file raises anything: EOFError, BadZipFile, zlib.error, a failed
        # allocation, a syntax error of the header. All mean the same to the user.
        raise UserError(f"{broken}: it is damaged, or holds Python objects.") from error
    if ("" in content) != (kind == "npy"):
        other = "npz" if kind == "npy" else "npy"
        raise UserError(f'"{path}" is an .{other} file: write "{other}:{path}".')
    return content


def read_npy(path, request):
    """Reads an `.npy` file of images `[N, H, W]` or `[N, H, W, C]`.

    Returns:
      `(Parts, whether the file has a test part of its own)`.

    Raises:
      UserError: If the file is missing, damaged, or does not hold images.
    """
    images = _open(path, "npy")[""]
    return assemble(checked(images, None, f'"{path}"'), None, request), False


def read_npz(path, request):
    """Reads an `.npz` file with `x_train` and its kin, or `images` and `labels`.

    Returns:
      `(Parts, whether the file has a test part of its own)`.

    Raises:
      UserError: If the file is missing, damaged, or does not hold images.
    """
    content = _open(path, "npz")
    where = f'in "{path}"'
    if "x_train" in content:
        names = ("x_train", "y_train")
    elif "images" in content:
        names = ("images", "labels")
    else:
        found = ", ".join(content) or "nothing"
        raise UserError(
            f'"{path}" holds {found}: name the arrays x_train, y_train, x_test, y_test, or '
            "images, labels."
        )
    train = checked(content[names[0]], content.get(names[1]), f"{names[0]} {where}")
    test = None
    if "x_test" in content:
        test = checked(content["x_test"], content.get("y_test"), f"x_test {where}")
    return assemble(train, test, request), test is not None
