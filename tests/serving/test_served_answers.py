"""A served model answers as the Python model, where neither Keras nor we can be imported.

The process that answers loads the export as TensorFlow Serving does. The oracle is the Python
model's own API, asked row by row; it knows nothing of the signatures.
"""

import numpy as np
import pytest
from python_answers import answer, png
from served_models import BATCH_SIZES, MAKERS, pictures, serve

# Float32 sums in another order, as between batch sizes: relative to the largest value.
TOLERANCE = 2e-5


def requests_of(export):
    """One request for each signature and batch size: a list of `(signature, inputs)`."""
    requests = []
    for signature, (specs, _) in export.signatures.items():
        for batch in BATCH_SIZES:
            images = pictures(batch, seed=batch)
            values = {
                "image": images,
                "seed": np.random.default_rng(batch).integers(-(2**31), 2**31, batch, np.int32),
                "latent": np.random.default_rng(2).normal(size=(batch, 4)).astype(np.float32),
            }
            if "code" in specs:
                values["code"] = 1 - values["latent"][:, : specs["code"].shape[1]]
            if "image_bytes" in specs:
                values["image_bytes"] = np.array([png(image) for image in images], object)
            requests.append((signature, {name: values[name] for name in specs}))
    return requests


@pytest.fixture(scope="module")
def served(exported, tmp_path_factory):
    jobs, requests = {}, {}
    for kind in MAKERS:
        export = exported(kind).export
        requests[kind] = requests_of(export)
        jobs[kind] = (export.path, requests[kind])
    answers, report = serve(jobs, tmp_path_factory.mktemp("jobs"))
    return requests, answers, report


def compare(got, want, context):
    assert got.shape == want.shape and got.dtype == want.dtype, context
    scale = max(1.0, np.abs(want).max())
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * scale, err_msg=str(context))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_answers_equal_the_python_models(served, exported, kind):
    requests, answers, _ = served
    model = exported(kind).model
    for (signature, inputs), outputs in zip(requests[kind], answers[kind], strict=True):
        batch = len(next(iter(inputs.values())))
        assert {len(value) for value in outputs.values()} == {batch}, signature
        for row in {0, batch // 2, batch - 1}:
            want = answer(model, signature, inputs, row)
            assert set(want) == set(outputs)
            for name, value in want.items():
                compare(outputs[name][row], value, (signature, batch, row, name))


@pytest.mark.fast("acn")
@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_row_in_two_batches(in_session, kind):
    images = pictures(40)
    seed = np.arange(40, dtype=np.int32)
    whole = in_session(kind)("daydream_step", {"image": images, "seed": seed})["image"]
    part = in_session(kind)("daydream_step", {"image": images[20:23], "seed": seed[20:23]})
    np.testing.assert_array_equal(part["image"], whole[20:23])
    # Another seed is another draw, and the same one the same.
    other = in_session(kind)("daydream_step", {"image": images, "seed": seed + 1})["image"]
    assert (other != whole).any(axis=(1, 2, 3)).mean() > 0.9
    again = in_session(kind)("daydream_step", {"image": images, "seed": seed})["image"]
    np.testing.assert_array_equal(again, whole)


@pytest.mark.slow
def test_the_process_imported_no_keras(served):
    assert served[2]["imported"] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_warm_up_replayed(served, exported, kind):
    # The messages of the file are those of this package.
    pytest.importorskip("tensorflow_serving")
    export = exported(kind).export
    replayed = served[2][kind]["warm_up"]
    # One request each, for this model by its name, answered with one row.
    assert replayed == {name: [kind, 1] for name in export.signatures}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_only_standard_ops(served, kind):
    found = served[2][kind]
    assert found["unknown_ops"] == []
    assert len(found["ops"]) > 30 and "MatMul" in found["ops"]
    calling_python = {op for op in found["ops"] if "PyFunc" in op or "Python" in op}
    assert not calling_python
