"""What the map of the codes shows: where each lies, its picture, and where a daydream goes on."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from keras_acn._base.batches import in_batches
from keras_acn._base.errors import UserError
from keras_acn._base.noise import Noise
from keras_acn.plots.projection import fit_pca, pca_axis_names, project

# t-SNE is fitted to so many codes at most; the others are put among their nearest of these.
FITTED = 4000
AMONG = 3
# Pictures on a sheet: a browser decodes a sheet when the first of them is asked for.
SHEET_COLUMNS = 32
# The longest side of a picture, in pixels.
THUMBNAIL = 64
# Ways on from each code, so that not every daydream through it is the same.
WAYS = 2


def code_map(
    model: Any,
    images: np.ndarray,
    classes: np.ndarray | None,
    *,
    projection: str = "tsne",
    points: int = 60_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the content of a map of codes, as JSON has it.

    Args:
      model: A trained model.
      images: float in [0, 1], `[N, H, W, C]`: those whose codes are shown.
      classes: The name of each image's class, `[N]`, or `None`.
      projection: `"tsne"` or `"pca"`.
      points: The most codes that are shown, drawn by the seed.
      seed: Seed of all that is drawn.

    Returns:
      Dict of `x`, `y` (lists of N numbers), `axes` (their names), `classes` (names),
      `class_of` (N numbers, or `None`), `rows` (the images' rows), `codes` (base64 of float32
      `[N, d]`), `dims`, `sheets` (data addresses of pictures), `tile` (width and height),
      `columns`, and `ways` (base64 of int32 `[N, WAYS]`, where a daydream goes from each; `None`
      without associations).

    Raises:
      UserError: If there are fewer than three images, or the projection is unknown.
    """
    if len(images) < 3:
        raise UserError(f"A map of codes needs three images at least, not {len(images)}.")
    rows = np.arange(len(images))
    if len(images) > points:
        rows = np.sort(np.random.default_rng(seed).choice(len(images), points, replace=False))
    codes = model.codes(images[rows])
    placed, axes = places(codes, projection, seed)
    sheets, (width, height) = sheets_of(images, rows)
    names, class_of = [], None
    if classes is not None:
        found, class_of = np.unique(np.asarray(classes)[rows], return_inverse=True)
        names, class_of = found.astype(str).tolist(), class_of.tolist()
    return {
        "x": np.round(placed[:, 0].astype(float), 4).tolist(),
        "y": np.round(placed[:, 1].astype(float), 4).tolist(),
        "axes": list(axes),
        "classes": names,
        "class_of": class_of,
        "rows": rows.tolist(),
        "codes": _base64(codes, "<f4"),
        "dims": codes.shape[1],
        "sheets": sheets,
        "tile": [width, height],
        "columns": SHEET_COLUMNS,
        "ways": _base64(ways_on(model, codes, seed), "<i4") if model.codebook is not None else None,
    }


def places(codes: np.ndarray, projection: str, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    """Return where codes lie on a page, `[N, 2]`, and the names of its axes.

    t-SNE is fitted to `FITTED` of them; each other code is put at the mean of its nearest fitted
    ones, weighted by how near they are.

    Example:
      >>> codes = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
      >>> placed, axes = places(codes, "pca", seed=0)
      >>> placed.shape, axes[0][:4]
      ((50, 2), 'PC 1')
    """
    if codes.shape[1] == 1:
        return np.concatenate([codes, np.zeros_like(codes)], axis=1), ("z[0]", "")
    if projection == "pca" or codes.shape[1] == 2 or len(codes) < 5:
        if codes.shape[1] == 2:
            return codes, ("z[0]", "z[1]")
        pca = fit_pca(codes)
        return pca(codes), pca_axis_names(pca)
    if len(codes) <= FITTED:
        return project(codes, projection, seed)
    from sklearn.neighbors import NearestNeighbors

    fitted = np.sort(np.random.default_rng(seed).choice(len(codes), FITTED, replace=False))
    placed, axes = project(codes[fitted], projection, seed)
    distance, index = NearestNeighbors(n_neighbors=AMONG).fit(codes[fitted]).kneighbors(codes)
    weight = 1 / np.maximum(distance, 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    everywhere = (weight[:, :, None] * placed[index]).sum(axis=1)
    everywhere[fitted] = placed
    return everywhere, axes


def ways_on(model: Any, codes: np.ndarray, seed: int) -> np.ndarray:
    """Return where a daydream goes on from each code, int32 `[N, WAYS]`.

    A latent is drawn from the prior p(z|c), and the code that is nearest to it is where the dream
    arrives: a step of section 3 of Graves et al. 2018 among the codes that there are.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1).fit(codes)

    def draw(code, key):
        return model.latents_batch(code, Noise(key))

    ways = [
        search.kneighbors(
            in_batches(draw, codes, size=1024, seed=seed + way), return_distance=False
        )[:, 0]
        for way in range(WAYS)
    ]
    return np.stack(ways, axis=1).astype(np.int32)


def sheets_of(images: np.ndarray, rows: np.ndarray) -> tuple[list[str], tuple[int, int]]:
    """Return sheets of pictures as data addresses, and a picture's `(width, height)` on them.

    Pictures of two values take a bit a pixel, grey and coloured ones a byte a channel; larger
    ones than `THUMBNAIL` are made smaller.
    """
    high, wide, channels = images.shape[1:]
    scale = min(1.0, THUMBNAIL / max(high, wide))
    width, height = max(1, round(wide * scale)), max(1, round(high * scale))
    per_sheet = SHEET_COLUMNS**2
    sheets = []
    for start in range(0, len(rows), per_sheet):
        levels = np.round(images[rows[start : start + per_sheet]] * 255).astype(np.uint8)
        lines = -(-len(levels) // SHEET_COLUMNS)
        full = np.zeros((lines * SHEET_COLUMNS, *levels.shape[1:]), np.uint8)
        full[: len(levels)] = levels
        full = full.reshape(lines, SHEET_COLUMNS, high, wide, channels).swapaxes(1, 2)
        full = full.reshape(lines * high, SHEET_COLUMNS * wide, channels)
        picture = Image.fromarray(full[..., 0] if channels == 1 else full)
        if scale < 1:
            size = (SHEET_COLUMNS * width, lines * height)
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        elif channels == 1 and np.isin(full, (0, 255)).all():
            picture = picture.convert("1", dither=Image.Dither.NONE)
        sheets.append(png_address(picture))
    return sheets, (width, height)


def png_address(picture: Image.Image) -> str:
    """Return a picture as a `data:` address of a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return address(file.getvalue(), "image/png")


def address(content: bytes, kind: str) -> str:
    """Return bytes as a `data:` address of a media type, such as `"image/gif"`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _base64(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()
