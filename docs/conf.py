"""How Sphinx builds the site: `sphinx-build -W --keep-going docs docs/_build`, offline."""

import inspect
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import generate  # noqa: E402
from docutils import nodes  # noqa: E402

import keras_acn  # noqa: E402

project = "keras-acn"
author = "The keras-acn authors"
version = release = keras_acn.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "keras-acn"
html_static_path = ["style"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
# Two hyphens begin an option here.
smartquotes = False
# Links such as codec.md#sizes go to headings.
myst_heading_anchors = 3
# Docstrings mark code as Markdown does.
default_role = "literal"
autodoc_typehints = "none"
autodoc_default_options = {"exclude-members": "from_config, get_config, call, build"}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False


def before_napoleon(app, what, name, obj, options, lines):
    """Say of indented blocks of docstrings that they are code, as their readers see.

    A block follows an empty line and stands deeper than the paragraph before, which may end in a
    colon, in a full stop, or in the middle of a sentence that a formula is part of.
    """
    marked = []
    for number, line in enumerate(lines):
        marked.append(line)
        if number + 2 >= len(lines) or not line.strip() or lines[number + 1].strip():
            continue
        following, indent = lines[number + 2], len(line) - len(line.lstrip())
        deeper = len(following) - len(following.lstrip()) > indent
        if not deeper or not following.strip() or following.lstrip()[:3] == ">>>":
            continue
        if line.endswith(":"):
            marked[-1] = line + ":"
        else:
            marked += ["", " " * indent + "::"]
    lines[:] = marked


def after_napoleon(app, what, name, obj, options, lines):
    """Keep what reStructuredText would take for its own marks in plain text."""
    # Napoleon leaves several lines in one.
    lines[:] = "\n".join(lines).split("\n")
    in_code = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if in_code is not None and line.strip() and indent <= in_code:
            in_code = None
        if in_code is None and not line.lstrip().startswith((">>>", "...", ":", "..")):
            lines[number] = escaped(line)
        elif in_code is None and line.lstrip().startswith(":"):
            field, text = re.match(r"(\s*:[^:]*(?:\\:[^:]*)*:)(.*)", line).groups()
            lines[number] = field + escaped(text)
        if in_code is None and line.rstrip().endswith("::"):
            in_code = indent


def escaped(line):
    """Return a line in which only backticks mark anything."""
    bullet = re.match(r"\s*[*-] ", line)
    if bullet:
        return bullet[0] + escaped(line[bullet.end() :])
    pieces = re.split(r"(`+[^`]*`+|\\.)", line)
    return "".join(
        each if each[:1] in ("`", "\\") else re.sub(r"([*|])|(?<=\w)(_)(?!\w)", r"\\\g<0>", each)
        for each in pieces
    )


def skip_others(app, what, name, obj, skip, options):
    """Leave out what a class has from Keras or TensorFlow, under a docstring of theirs."""
    function = obj.fget if isinstance(obj, property) else obj
    module = getattr(function, "__module__", None) or "keras_acn"
    is_field = type(obj).__name__ == "_tuplegetter"
    return True if is_field or not module.startswith("keras_acn") else None


def signature_of_init(app, what, name, obj, options, signature, returns):
    """Give a class the signature of its initialiser, not of Keras's `__new__`."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    _, *parameters = inspect.signature(obj.__init__).parameters.values()
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(inspect.Signature(plain)), None


def links_to_the_top(app, docname, source):
    """Turn links to pages of the repository's top folder into links to their copies."""
    up = "../" * docname.count("/")
    pattern = r"\]\((?:\.\./)+(CHANGELOG|CONTRIBUTING|SECURITY)\.md"
    there = up + "_generated/project/"
    source[0] = re.sub(pattern, lambda name: f"]({there}{name[1].lower()}.md", source[0])


def unbroken(app, docname, source):
    """Keep a number, its error and its unit on one line: 91.6 ± 0.9, 96.5 %."""
    pieces = re.split(r"(^ *```.*?^ *```|`[^`\n]*`)", source[0], flags=re.M | re.S)
    pieces[::2] = [
        re.sub(r"(?<=\d) (?=%)", "\u00a0", text.replace(" ± ", "\u00a0±\u00a0"))
        for text in pieces[::2]
    ]
    source[0] = "".join(pieces)


def mark_long_code(app, doctree):
    """Mark code in lines of which a word is wider than a telephone: see `style/site.css`."""
    for each in doctree.findall(nodes.literal):
        if any(len(word) > 38 for word in each.astext().split()):
            each["classes"].append("long")


def setup(app):
    """Make the generated pages before Sphinx looks for pages."""
    generate.write(HERE / "_generated")
    app.connect("source-read", links_to_the_top)
    app.connect("source-read", unbroken)
    app.connect("doctree-read", mark_long_code)
    app.connect("autodoc-skip-member", skip_others)
    app.connect("autodoc-process-signature", signature_of_init)
    app.connect("autodoc-process-docstring", before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", after_napoleon, priority=900)
