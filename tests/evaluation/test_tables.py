"""One evaluation from end to end, and the text and dict that it becomes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from keras_acn import data
from keras_acn._base.errors import UserError
from keras_acn.data.image_set import UnitRows
from keras_acn.decoders import get_likelihood
from keras_acn.evaluation import (
    Report,
    code_lengths,
    encode_images,
    evaluate_model,
    fit_gaussian_mixture,
    importance_weighted_bound,
    linear_probe,
    pca_probe,
    tables,
)
from keras_acn.evaluation.inputs import is_mnist

OPTIONS = {"iwae_samples": 4, "iwae_images": 30, "seed": 1}


def labelled(model, count, seed):
    images = model.data(count, seed)
    return images, (images[:, 0, 0, 0] > model.bias[0]).astype(np.int32)


@pytest.fixture(scope="module")
def both(linear_gaussian):
    """A report on an associative model, with one on a plain VAE beside it."""
    acn, vae = linear_gaussian(components=2), linear_gaussian(associative=False)
    return evaluate_model(
        acn,
        labelled(acn, 600, 1),
        labelled(acn, 200, 2),
        name="ours",
        compare=vae,
        paper=True,
        **OPTIONS,
    )


def test_every_figure_is_there_and_survives_json(both):
    found = json.loads(json.dumps(both.to_dict()))
    costs = found["code_length"]["costs"]
    assert set(costs) == {
        "reconstruction_nats",
        "kl_k1_nats",
        "kl_k5_nats",
        "kl_k10_nats",
        "kl_tour_nats",
        "kl_gaussian_mixture_nats",
        "kl_mixture_of_codes_nats",
        "ordered_nats",
        "unordered_nats",
    }
    assert all(
        set(row) == {"nats", "standard_error", "bits_per_dim", "kind"} for row in costs.values()
    )
    assert costs["ordered_nats"]["nats"] == pytest.approx(
        costs["reconstruction_nats"]["nats"] + costs["kl_tour_nats"]["nats"]
    )
    unconditional = min(
        costs["kl_gaussian_mixture_nats"]["nats"], costs["kl_mixture_of_codes_nats"]["nats"]
    )
    assert costs["unordered_nats"]["nats"] == pytest.approx(
        costs["reconstruction_nats"]["nats"] + unconditional
    )
    assert found["code_length"]["ordering_bound_nats"] == pytest.approx(4.316, abs=0.01)
    assert found["importance_weighted"]["images"] == 30
    assert found["active_dimensions"] == 2
    assert found["unconditional_priors"]["mixture_of_codes"]["truncation_nats"] < 0.01
    assert 0.8 < found["probes"]["codes"]["accuracy"] <= 1.0
    assert 0 < found["probes"]["codes"]["standard_error"] < 0.05
    assert found["compare"]["associative"] is False
    assert set(found["compare"]["code_length"]["costs"]) >= {"kl_standard_normal_nats"}
    assert tables.render(found) == both.to_text()


def test_the_bound_lies_near_the_exact_likelihood(linear_gaussian):
    model = linear_gaussian(associative=False)
    report = evaluate_model(
        model, model.data(2000, 1), model.data(300, 2), iwae_samples=100, iwae_images=None
    )
    exact = -model.log_likelihood(model.data(300, 2)).mean()
    assert report.to_dict()["importance_weighted"]["nats"] == pytest.approx(exact, abs=0.05)
    assert report.code_lengths.mean("unordered_nats") > exact


def test_the_papers_rows_stand_beside_ours(both):
    text = both.to_text()
    for label, value in tables.PAPER_TABLE_1:
        assert f"{label}" in text and value in text
    for value in ("70.3", "2.6", "3.5", "4.1", "3.6", "10.6", "73.9", "80.9", "8.21"):
        assert value in text
    for value in ("82.8", "89.4", "95.4", "97.9", "98.5"):
        assert value in text
    row = next(line for line in text.splitlines() if line.startswith("KL, greedy tour"))
    assert f"{both.code_lengths.mean('kl_tour_nats'):.2f}" in row and "code length" in row
    row = next(line for line in text.splitlines() if line.startswith("KL, K=5 nearest"))
    assert row.endswith("diagnostic")
    assert "> ours (unordered)" in text and "> LinearGaussian (unordered)" in text
    assert all(len(line) <= 110 for line in text.splitlines() if not line.startswith("Note"))


def test_the_papers_rows_stand_beside_mnist_alone(linear_gaussian):
    model = linear_gaussian(components=2)
    text = evaluate_model(
        model, labelled(model, 90, 1), labelled(model, 40, 2), **OPTIONS
    ).to_text()
    assert not any(word in text for word in ("paper", "Table 1", "PixelVAE", "80.9", "0.1489"))
    assert "Table 2." in text and "Table 3." in text
    row = next(line for line in text.splitlines() if line.startswith("KL, greedy tour"))
    assert row.split()[-3:-2] != ["3.6"] and row.endswith("code length")


@pytest.mark.parametrize("binarize", ["none", "threshold", "static"])
def test_mnist_is_known_by_its_images(binarize):
    mini = data.load("mnist-mini", binarize=binarize, limit=60).test
    assert is_mnist(mini)
    if binarize != "static":
        assert is_mnist(mini.arrays()) and is_mnist(mini.arrays()[0])
    assert not is_mnist(mini.images[:, :, ::-1])
    assert not is_mnist(np.zeros([5, 28, 28, 1])) and not is_mnist(mini.images[:, :20])


def test_what_features_are_good_for_stands_in_a_table(both):
    text = both.to_text().split("Table 4.")[1].split("\n\n")[0]
    heading = text.splitlines()[1]
    columns = ("ours codes", "LinearGaussian codes", "PCA, 16", "pixels")
    assert [heading.index(title) for title in columns] == sorted(map(heading.index, columns))
    for label in (
        "1 nearest, %",
        "10 nearest, %",
        "5 nearest, whitened, %",
        "linear, 100 labels, %",
    ):
        row = next(line for line in text.splitlines() if line.startswith(label))
        assert row.count("±") == 4
    found = both.representation["codes"]["labels"]["100"]
    assert f"{100 * found['accuracy']:.1f} ±{100 * found['standard_error']:.1f}" in text
    for label in ("AMI of k-means with classes", "effective rank", "active dimensions"):
        assert label in text
    assert both.compare.representation["pixels"] == both.representation["pixels"]


def test_a_report_of_before_table_4_is_still_rendered(both):
    old = both.to_dict()
    for each in (old, old["compare"]):
        del each["representation"]
        del each["probes"]["codes"]["standard_error"], each["probes"]["knn_standard_error"]
    assert "Table 4" not in tables.render(old) and "Table 3" in tables.render(old)


def test_the_set_stands_beside_the_tour(both):
    text, found = both.to_text(), both.to_dict()
    row = next(line for line in text.splitlines() if line.startswith("set: unordered - ln(N!)/N"))
    expected = both.code_lengths.mean("unordered_nats") - 4.3158  # ln(200!) / 200
    assert f"{expected:.2f}" in row and row.endswith("code length")
    # The VAE has a set's price, too.
    assert row.count(".") == 2 and found["compare"]["code_length"]["set_nats"] is not None
    # The sentence stands where it is true.
    is_better = expected <= both.code_lengths.mean("ordered_nats")
    assert any("all N! orders are paid back" in note for note in both.notes) == is_better
    # A report of an earlier version has no such figure.
    for each in (found, found["compare"]):
        del each["code_length"]["set_nats"]
    assert "set: unordered" not in tables.render(found)


def test_table_1_is_sorted_by_cost(both):
    lines = both.to_text().split("Table 1.")[1].split("Table 3.")[0].splitlines()[3:]
    values = [float(line.split()[-1].lstrip("<=")) for line in lines if line.strip()]
    assert len(values) == len(tables.PAPER_TABLE_1) + 4
    assert values == sorted(values, reverse=True)


def test_columns_are_aligned():
    lines = tables.align([["a", "bb", "c"], ["long label", "1.5", "22"]]).splitlines()
    assert lines == ["a            bb   c", "-------------------", "long label  1.5  22"]


@pytest.mark.slow
def test_same_seed_same_report(linear_gaussian):
    model = linear_gaussian(components=2)
    parts = labelled(model, 100, 1), labelled(model, 50, 2)
    first, again = (evaluate_model(model, *parts, **OPTIONS).to_dict() for _ in range(2))
    assert first == again


def test_without_labels_the_probes_are_left_out(linear_gaussian):
    model = linear_gaussian()
    report = evaluate_model(model, model.data(50), model.data(20, 1), **OPTIONS)
    assert report.probes is None and "Table 3" not in report.to_text()
    asked = evaluate_model(
        model, labelled(model, 50, 1), labelled(model, 20, 2), probes=False, **OPTIONS
    )
    assert asked.probes is None and asked.representation is None
    # How many dimensions are in use can be told without labels.
    assert "effective rank" in report.to_text() and "nearest, %" not in report.to_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": 2**31}, r"seed must be less than 2\*\*31"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"samples": 0}, "samples must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"iwae_samples": -1}, "iwae_samples must be at least 0"),
        ({"limit": 0}, "number of images to evaluate must be at least 1"),
        ({"iwae_images": 2.5}, "number of images to evaluate must be a whole number"),
    ],
)
def test_numbers_out_of_range_are_told_in_a_sentence(linear_gaussian, options, sentence):
    model = linear_gaussian()
    with pytest.raises(UserError, match=sentence):
        evaluate_model(model, model.data(9), model.data(9, 1), **{**OPTIONS, **options})


def test_the_largest_seed_is_one(linear_gaussian):
    model, options = linear_gaussian(), {**OPTIONS, "seed": 2**31 - 1, "limit": 8}
    report = evaluate_model(model, model.data(9), model.data(9, 1), **options)
    assert np.isfinite(report.code_lengths.mean("ordered_nats"))


@pytest.mark.parametrize("seed", [-1, 2**31, "0"])
def test_every_seed_of_the_room_is_checked(linear_gaussian, seed):
    model = linear_gaussian()
    images, labels = model.data(9), np.arange(9) % 2
    q = encode_images(model, images)
    for measure in (
        lambda: code_lengths(model, images, {"normal": None}, q=q, seed=seed),
        lambda: fit_gaussian_mixture(q, components=(1,), seed=seed),
        lambda: importance_weighted_bound(model, images, None, seed=seed),
        lambda: linear_probe(images, labels, images, labels, seed=seed),
        lambda: pca_probe(images, labels, images, labels, components=2, seed=seed),
    ):
        with pytest.raises(UserError, match="The seed must be"):
            measure()


def test_one_class_has_no_probe(linear_gaussian):
    model = linear_gaussian()
    one = np.zeros(30, np.int32)
    report = evaluate_model(model, (model.data(30), one), (model.data(30, 1), one), **OPTIONS)
    assert report.probes is None


@pytest.mark.parametrize("count", [1, 3])
def test_tiny_data(linear_gaussian, count):
    model = linear_gaussian()
    report = evaluate_model(model, model.data(count), model.data(count, 1), **OPTIONS)
    assert isinstance(report, Report)
    assert "KL, K=10" not in report.to_text()
    assert np.isfinite(report.code_lengths.mean("ordered_nats"))
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))


def test_limit_is_of_what_is_measured_and_not_of_the_training_codes(linear_gaussian):
    model = linear_gaussian(components=2)
    parts = labelled(model, 90, 1), labelled(model, 80, 2)
    report = evaluate_model(model, *parts, limit=25, **OPTIONS)
    assert (report.train_images, len(report.code_lengths)) == (90, 25)
    assert report.to_dict()["importance_weighted"]["images"] == 25
    # Those 25 cost what they cost among all 80, to the priors of the same 90 training codes.
    whole = evaluate_model(model, *parts, **OPTIONS)
    assert report.priors["mixture_of_codes"]["codes"] == 90
    assert report.priors["gaussian_mixture"] == whole.priors["gaussian_mixture"]


def test_of_training_data_no_code_tells_of_itself(linear_gaussian):
    model = linear_gaussian()
    images = model.data(60)
    # Nothing in the codes says which label it is, so a datum's own vote is all there is to find.
    labels = np.arange(60) % 4
    report = evaluate_model(model, (images, labels), (images[:50], labels[:50]), **OPTIONS)
    assert "kl_mixture_of_codes_nats" not in report.code_lengths.per_image
    assert report.code_lengths.unconditional == "gaussian_mixture"
    codes = encode_images(model, images).mean.astype(np.float64)
    distance = np.sum((codes[:50, None] - codes[None]) ** 2, axis=2)
    distance[np.arange(50), np.arange(50)] = np.inf
    votes = labels[np.argsort(distance, axis=1)[:, :5]]
    chosen = [np.bincount(each, minlength=4).argmax() for each in votes]
    assert report.probes["knn_accuracy"] == pytest.approx(np.mean(chosen == labels[:50]))
    assert "50 of the 50 images measured are training images too" in report.notes[0]
    assert "own codes are left out" in report.to_text()
    limited = evaluate_model(model, images, images, limit=10, **OPTIONS)
    assert "10 of the 10 images" in limited.notes[0]


def test_some_training_images_among_others_are_told_of(linear_gaussian):
    model = linear_gaussian()
    images, others = model.data(60), model.data(40, 1)
    report = evaluate_model(model, images, np.concatenate([images[:10], others]), **OPTIONS)
    assert "10 of the 50 images measured are training images too" in report.notes[0]
    assert "kl_mixture_of_codes_nats" in report.code_lengths.per_image
    few = evaluate_model(model, images, np.concatenate([images[:1], others]), **OPTIONS)
    assert not any("training images too" in note for note in few.notes)


def test_training_images_are_made_some_at_a_time(linear_gaussian, monkeypatch):
    """As floats, a million images take 3 GB."""
    model, asked, rows = linear_gaussian(), [], UnitRows.__getitem__

    def recorded(self, which):
        made = rows(self, which)
        asked.append((len(self), made.size // int(np.prod(self.shape[1:]))))
        return made

    monkeypatch.setattr(UnitRows, "__getitem__", recorded)
    monkeypatch.setattr("keras_acn.evaluation.probe.MOST_FITTED", 50)
    evaluate_model(model, model.data(300), model.data(20, 1), batch_size=16, **OPTIONS)
    # Only principal components need more of them, and of very many a part.
    assert sorted(count for total, count in asked if total == 300)[-2:] == [50, 50]


def test_progress_is_told_by_stage(linear_gaussian):
    model, told, stages = linear_gaussian(), [], []
    evaluate_model(
        model,
        labelled(model, 60, 1),
        labelled(model, 30, 2),
        compare=linear_gaussian(associative=False),
        progress=lambda done, total: told.append((done, total)),
        stage=lambda name: stages.append((name, told[-1][0] if told else 0)),
        **OPTIONS,
    )
    assert told == sorted(told) and told[-1] == (1000, 1000)
    assert {total for _, total in told} == {1000}
    names = [name for name, _ in stages]
    assert names[:6] == names[6:] and names[0] == "encode training" and names[5] == "probes"
    assert [begun for _, begun in stages] == [1000 * part // 12 for part in range(12)]


def test_progress_by_stage_works_for_one_version_more(linear_gaussian):
    model, told = linear_gaussian(), []
    with pytest.warns(DeprecationWarning, match=r"progress\(done, total\)"):
        evaluate_model(
            model,
            model.data(30),
            model.data(20, 1),
            progress=lambda stage, done, total: told.append((stage, done, total)),
            **OPTIONS,
        )
    assert told[-1] == ("evaluation", 1000, 1000)
    with pytest.warns(DeprecationWarning, match="`tell` of encode_images is now called `progress`"):
        encode_images(model, model.data(3), tell=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


def test_terms_of_the_mixture_are_added_until_the_rest_is_cheap(linear_gaussian):
    model = linear_gaussian()
    report = evaluate_model(model, model.data(500), model.data(40, 1), nearest=1, **OPTIONS)
    mixture = report.priors["mixture_of_codes"]
    assert mixture["truncation_nats"] < 0.01 and (mixture["nearest"] or 500) > 1


def test_grey_values_under_a_bernoulli_are_no_code_length(linear_gaussian):
    model = linear_gaussian()
    model.decoder.likelihood = get_likelihood("bernoulli")
    report = evaluate_model(model, model.data(30), model.data(30, 1), **OPTIONS)
    text = report.to_text()
    assert "not a code length" in text and "Table 2. Training loss, no code length" in text
    rows = text.split("Table 2.")[1].split("\n\n")[0].splitlines()[3:]
    assert all(row.endswith(("training loss", "bound", "gap")) for row in rows)
    assert not any(row.startswith(("bits per dim", "set:")) for row in rows)
    costs = report.to_dict()["code_length"]["costs"].values()
    assert {(cost["bits_per_dim"], cost["kind"]) for cost in costs} == {(None, "training loss")}
    assert (
        "not a code length"
        not in evaluate_model(
            linear_gaussian(), model.data(30), model.data(30, 1), **OPTIONS
        ).to_text()
    )


def test_bytes_are_scaled(linear_gaussian):
    model = linear_gaussian()
    grey = np.random.default_rng(0).integers(256, size=(40, 2, 3, 1)).astype(np.uint8)
    as_bytes = evaluate_model(model, grey, grey, **OPTIONS).to_dict()
    scaled = (grey / 255).astype(np.float32)
    as_floats = evaluate_model(model, scaled, scaled, **OPTIONS).to_dict()
    assert as_bytes["code_length"]["costs"]["ordered_nats"]["nats"] == pytest.approx(
        as_floats["code_length"]["costs"]["ordered_nats"]["nats"], rel=1e-4
    )


def test_bad_input(linear_gaussian):
    model = linear_gaussian()
    images = model.data(5)
    with pytest.raises(UserError, match="no test images"):
        evaluate_model(model, images, None)
    with pytest.raises(UserError, match="shape"):
        evaluate_model(model, images, images[:, :1])
    with pytest.raises(UserError, match="N >= 1"):
        evaluate_model(model, images, images[:0])


def test_import_is_light():
    code = (
        "import sys, keras_acn.evaluation\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
