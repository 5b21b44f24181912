"""Colours that stay apart for readers with a colour-vision deficiency."""

# Petroff's ten-colour sequence, "Accessible Color Sequences for Data Visualization",
# arXiv 2107.02270, which matplotlib calls "petroff10".
TEN = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
# Okabe and Ito's colours for lines, without the yellow that a white page swallows.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")


def class_colors(classes):
    """Returns {class: "#rrggbb"}; above ten classes, even steps through a colour map."""
    if len(classes) <= len(TEN):
        return dict(zip(classes, TEN, strict=False))
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    steps = colormaps["turbo"]
    return {name: to_hex(steps(i / (len(classes) - 1))) for i, name in enumerate(classes)}


def line_colors(names):
    """Returns {name: "#rrggbb"} for the lines of a chart."""
    if len(names) <= len(LINES):
        return dict(zip(names, LINES, strict=False))
    return class_colors(names)
