"""Small faults made on purpose, one at a time: do the tests notice them?

    python tests/mutants.py --each 40 --seed 0

makes, in each of the modules named in `TARGETS`, up to so many mutants, chosen at random: a
comparison, a number, an operation, a condition or a returned value is another, a statement is
missing, a largest value is a smallest. The few test files of the module are run on each; a mutant
that they all pass has survived, and is printed: it is the same program, or a test is missing.

One process imports TensorFlow and the package, and forks a child for each mutant, which puts the
changed code in the place of the function's own and then runs pytest. So only what is inside
functions is changed, without error messages, annotations and default values.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import gc
import importlib
import linecache
import os
import pathlib
import random
import re
import resource
import signal
import sys
import time
import traceback
import types
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Module, which of its functions (all, unless a pattern says), and the tests that must notice.
TARGETS = {
    "priors/kl.py": ("", "priors/test_priors.py -k kl"),
    "codec/arrivals.py": (
        "",
        "codec/test_sets.py codec/test_edges.py -k multiset or by_kind or every_image or knows",
    ),
    "codec/stack.py": ("", "codec/test_stack.py"),
    "codec/bits_back.py": ("", "codec/test_bits_back.py"),
    "codebook/assign.py": ("", "codebook/test_assign.py"),
    "decoders/families/bernoulli.py": ("", "decoders/test_likelihood.py -k bernoulli or binary"),
    "decoders/families/categorical.py": ("", "decoders/test_likelihood.py -k categorical"),
    "decoders/families/logistic.py": (
        "",
        "decoders/test_likelihood.py decoders/test_prediction.py -k logistic or linked or moved",
    ),
    "decoders/families/continuous.py": ("", "decoders/test_continuous.py"),
    "decoders/families/base.py": ("", "decoders/test_likelihood.py"),
    "decoders/pixelcnn/blocks.py": ("", "decoders/test_blocks.py"),
    "decoders/pixelcnn/head.py": ("", "decoders/test_blocks.py decoders/test_pixelcnn.py"),
    "decoders/pixelcnn/distribution.py": (
        "",
        "decoders/test_pixelcnn.py decoders/test_incremental.py models/test_sampling.py",
    ),
    "models/base.py": (
        "latent_nats|nats|costs|beta_at|train_step|test_step|_apply|_optimize|_weighted|_update",
        "models/test_elbo.py models/test_not_finite.py",
    ),
    "models/acn.py": ("conditional_prior|latent_nats|_check_mixture", "models/test_elbo.py"),
    "codebook/codebook.py": ("call|_.*", "codebook/test_codebook.py"),
    "codebook/search/exact.py": ("", "codebook/test_exact.py"),
}
OTHER = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift},
    **{ast.RShift: ast.LShift, ast.BitXor: ast.BitAnd},
}
_PAIRS = [("max", "min"), ("maximum", "minimum"), ("reduce_max", "reduce_min")]
_PAIRS += [("reduce_sum", "reduce_mean"), ("floor", "ceil"), ("reduce_any", "reduce_all")]
_PAIRS += [("bisect_left", "bisect_right"), ("argmax", "argmin"), ("sum", "mean")]
NAMES = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A changed module.

    Attributes:
      line: Of the change, from 1.
      function: The outermost function that holds it, as `(name, its first line)`.
      told: What became of what.
      source: The module's text with the change, on as many lines.
    """

    line: int
    function: tuple[str, int]
    told: str
    source: str


# -- making mutants ----------------------------------------------------------------------------


def mutants(source: str, pattern: str = "") -> Iterator[Mutant]:
    """Yield all mutants of a module whose functions match a pattern."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    text = source.encode()

    def mutant(function, node, new, is_statement=False):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        old = text[begin:end].decode()
        lines = "\n" * old.count("\n")
        changed = new + lines if is_statement else f"({new}{lines})"
        whole = text[:begin] + changed.encode() + text[end:]
        told = f"{' '.join(old.split())[:70]}  ->  {new[:70]}"
        return Mutant(node.lineno, function, told, whole.decode())

    for function in _functions(tree):
        if not re.fullmatch(pattern or ".*", function.name):
            continue
        first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
        for statement in function.body:
            for node, new in _changes(statement):
                is_statement = isinstance(node, ast.stmt)
                yield mutant((function.name, first), node, new, is_statement)


def _functions(node) -> Iterator[ast.FunctionDef]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef):
            yield each
        elif isinstance(each, ast.ClassDef):
            yield from _functions(each)


def _changes(node) -> Iterator[tuple[ast.AST, str]]:
    """Yield `(node, its new text)` for a node and all that it holds."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, (ast.JoinedStr, ast.Assert)):
        return
    if isinstance(node, (ast.Expr, ast.AugAssign, ast.Raise)) or (
        isinstance(node, ast.Assign) and not isinstance(node.targets[0], (ast.Name, ast.Tuple))
    ):
        yield node, "pass"
    if isinstance(node, ast.Raise):
        return  # what it says
    if isinstance(node, ast.FunctionDef):
        for each in node.body:
            yield from _changes(each)
        return
    if isinstance(node, ast.Return) and node.value is not None:
        yield node, "return None"
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield node, _unparsed(node, ops=[OTHER[type(node.ops[0])]()])
    if isinstance(node, ast.BoolOp):
        yield node, _unparsed(node, op=OTHER[type(node.op)]())
    if isinstance(node, ast.BinOp) and type(node.op) in OTHER:
        yield node, _unparsed(node, op=OTHER[type(node.op)]())
    if isinstance(node, ast.UnaryOp):
        yield node, ast.unparse(node.operand)
    if isinstance(node, (ast.If, ast.IfExp)):
        yield node.test, f"not ({ast.unparse(node.test)})"
    if isinstance(node, ast.Constant) and type(node.value) in (bool, int, float):
        value = node.value
        yield node, repr(not value if isinstance(value, bool) else value + 1)
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield node, NAMES[node.id]
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield node, _unparsed(node, attr=NAMES[node.attr])
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # of zip: what it would tell of does not happen
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.arguments) and child is not getattr(node, "annotation", None):
            yield from _changes(child)


def _unparsed(node, **changed):
    fields = {name: getattr(node, name) for name in node._fields}
    return ast.unparse(type(node)(**fields | changed))


# -- running them ------------------------------------------------------------------------------


def put(mutant: Mutant, path: pathlib.Path) -> bool:
    """Give the function of this process the mutant's code; return whether there was one."""
    name, line = mutant.function

    def codes(code):
        for each in code.co_consts:
            if isinstance(each, types.CodeType):
                yield each
                yield from codes(each)

    module = compile(mutant.source, str(path), "exec", dont_inherit=True)
    new = next(c for c in codes(module) if (c.co_name, c.co_firstlineno) == (name, line))
    changed = False
    for each in gc.get_objects():
        if isinstance(each, types.FunctionType):
            old = each.__code__
            if (old.co_filename, old.co_name, old.co_firstlineno) == (str(path), name, line):
                each.__code__ = new
                changed = True
    # TensorFlow reads the source of what it turns into a graph, and from the disk if it can.
    lines, read = mutant.source.splitlines(keepends=True), linecache.updatecache

    def updatecache(name, *rest):
        if name != str(path):
            return read(name, *rest)
        linecache.cache[name] = (len(mutant.source), None, lines, name)
        return lines

    linecache.updatecache = updatecache
    updatecache(str(path))
    return changed


def tested(mutant: Mutant | None, path: pathlib.Path, files: list[str], seconds: float) -> str:
    """Run tests in a child with a mutant, or without one.

    Returns:
      `"survived"`, `"killed"`, `"killed (time)"` or `"killed (crash)"`; `"no such function"`.
    """
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 99
        with contextlib.suppress(BaseException):
            limit = int(seconds) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            number = os.open(
                os.environ.get("MUTANTS_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND
            )
            os.dup2(number, 1)
            os.dup2(number, 2)
            if mutant is not None and not put(mutant, path):
                os._exit(98)
            import pytest

            try:
                options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
                code = int(pytest.main([*options, *files]))
            except BaseException:
                traceback.print_exc()
        os._exit(code)
    until = time.monotonic() + 8 * seconds + 60
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            until += 1000
        time.sleep(0.05)
    code = os.waitstatus_to_exitcode(status)
    if code in (0, 98):
        return "no such function" if code else "survived"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "killed (time)"
    return "killed" if code > 0 else "killed (crash)"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--each", type=int, default=40, help="mutants of a module at most")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--seconds", type=float, default=120, help="of processor a run may take")
    arguments.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    given = arguments.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    for name in threads:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for each in ("pytest", "numpy", "sklearn.neighbors", "tensorflow_probability", "constriction"):
        importlib.import_module(each)
    for name in TARGETS:
        importlib.import_module("keras_acn." + name.removesuffix(".py").replace("/", "."))
    for each in ("keras_acn.codec", "keras_acn.experiment.run", "keras_acn.testing"):
        importlib.import_module(each)
    print(f"{'module':<34}{'all':>6}{'tried':>7}{'killed':>8}{'survived':>10}   score", flush=True)
    for name in given.only:
        pattern, files = TARGETS[name]
        path = ROOT / "keras_acn" / name
        words, _, only = files.partition(" -k ")
        tests = [f"tests/{each}" for each in words.split()] + [f"keras_acn/{name}"]
        tests += ["-k", only] if only else []
        began = time.monotonic()
        if tested(None, path, tests, given.seconds) != "survived":
            print(f"{name:<34} its tests fail as it is", flush=True)
            continue
        took = time.monotonic() - began
        every = list(mutants(path.read_text(), pattern))
        chosen = random.Random(given.seed).sample(every, min(given.each, len(every)))
        results = []
        for each in sorted(chosen, key=lambda each: each.line):
            result = tested(each, path, tests, given.seconds)
            results.append(result)
            if not result.startswith("killed"):
                print(f"    {name}:{each.line}: {each.told}  ({result})", flush=True)
        killed = sum(result.startswith("killed") for result in results)
        survived = results.count("survived")
        score = 100 * killed / max(1, killed + survived)
        row = f"{name:<34}{len(every):>6}{len(results):>7}{killed:>8}{survived:>10}{score:>7.0f} %"
        print(f"{row}   ({took:.0f} s a run)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
