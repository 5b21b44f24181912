"""The documentation: links lead somewhere, code parses, generated pages leave nothing out."""

import ast
import importlib.util
import pathlib
import re
import subprocess
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_generated" not in path.parts),
]
named = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def without_code(text):
    """A page's prose: no blocks of code, and no code within lines."""
    text = re.sub(r"^( *)(```+).*?^\1\2 *$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def blocks(page, *languages):
    """The blocks of code in these languages, each with the number of its first line."""
    text = page.read_text()
    for found in re.finditer(r"^( *)```(\w+)\n(.*?)^\1```", text, re.M | re.S):
        if found[2] in languages:
            yield text[: found.start()].count("\n") + 2, textwrap.dedent(found[3])


def test_the_pages_are_found():
    assert len(PAGES) > 15
    assert sum(1 for page in PAGES for _ in blocks(page, "python", "bash")) > 20


def test_every_page_is_on_the_site():
    listed = (ROOT / "docs" / "index.md").read_text().splitlines()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        if name != "index" and not name.startswith(("_generated", "_build")):
            assert name in listed, f"docs/index.md lists no {name}"


@pytest.mark.slow
@named
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        there = (page.parent / place).resolve() if place else page
        # Pages made when the site is built have no file before.
        if "_generated" in there.parts:
            continue
        assert there.exists(), f"{page.name} links {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links {target}"


@pytest.mark.slow
@named
def test_blocks_of_code_parse(page):
    for line, block in blocks(page, "python"):
        try:
            ast.parse(block)
        except SyntaxError as error:
            raise AssertionError(f"{page.name}, the block at line {line}: {error}") from error
    for line, block in blocks(page, "bash"):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert not done.stderr, f"{page.name}, the block at line {line}: {done.stderr}"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_indented_blocks_of_docstrings_are_code():
    """Run what `docs/conf.py` does to a docstring before Sphinx reads it."""
    tree = ast.parse((ROOT / "docs" / "conf.py").read_text())
    wanted = [each for each in tree.body if getattr(each, "name", "") == "before_napoleon"]
    names = {}
    exec(compile(ast.Module(wanted, []), "conf.py", "exec"), names)
    text = """The loss is

        a + b

    for all. Three lines of it:

        x = 1
        y = 2

    Args:
      x: A number
        in two lines.
      y: Another.

    Example:

      >>> 1
      1"""
    lines = textwrap.dedent("    " + text).splitlines()
    names["before_napoleon"](None, "class", "A", None, None, lines)
    assert lines[:6] == ["The loss is", "", "::", "", "    a + b", ""]
    assert lines[6:8] == ["for all. Three lines of it::", ""]
    assert "\n".join(lines).count("::") == 2


def test_every_command_and_option_is_on_the_page(generate):
    page = generate.commands_page()
    for name in generate.COMMANDS:
        command = generate.lazy.load(f"keras_acn.cli.{name}:{name}")
        about = page.split(f"## keras-acn {name}\n")[1].split("\n## ")[0]
        for option in command.params:
            for opt in option.opts if option.param_type_name == "option" else []:
                assert opt in about, (name, opt)
        undescribed = re.findall(r"^\| `-.*\|  \|$", about, re.M)
        assert not undescribed, (name, undescribed)


def test_every_option_of_a_configuration_is_on_the_page_with_its_meaning(generate):
    page = generate.configuration_page()
    config = generate.schema.Config
    for name, field in config.model_fields.items():
        section = generate._model(field.annotation)
        if section is None:
            assert f"| `{name}` |" in page
            continue
        about = page.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
        # The name of a part's class stands above its table.
        known = set(section.model_fields) - {"name"}
        assert {each for each in known if f"| `{each}` |" in about} == known
    rows = [row for row in page.splitlines() if re.match(r"\| `\w+` \|", row)]
    assert len(rows) > 80
    for row in rows:
        assert re.search(r"\w", row.split(" | ")[-1]), row


def test_every_public_name_is_in_the_reference(generate):
    import keras_acn

    pages = generate.api_pages()
    listed = "\n".join(pages.values())
    for name in keras_acn.__all__:
        assert re.search(rf"\b{name}\b", pages["index.md"]), name
    for room in generate.ROOMS:
        names = generate.public_names(room)
        assert names, room
        for name in names:
            assert f"keras_acn.{room}.{name}\n" in listed or f"`{name}` is" in pages[f"{room}.md"]
    # A room that is added gets a page.
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "keras_acn").iterdir()}
    public = {name for name in rooms if not name.startswith("_")} - {"cli", "py.typed"}
    assert public - {"distribute"} <= set(generate.ROOMS)
