"""Code lengths against a float64 NumPy version and against closed forms."""

import math

import numpy as np
import pytest
from scipy import special, stats

from keras_acn._base.errors import UserError
from keras_acn.codebook.tour import greedy_tour
from keras_acn.evaluation.code_length import (
    CodeLengths,
    code_lengths,
    nearest_codes,
    ordering_bound_nats,
)
from keras_acn.evaluation.costs import (
    Posteriors,
    by_rows,
    encode_images,
    kl_to_prior,
    reconstruction_nats,
)
from keras_acn.evaluation.importance_bound import importance_weighted_bound
from keras_acn.evaluation.unconditional import StandardNormalPrior

NORMAL = {"standard_normal": StandardNormalPrior()}


def gaussian_kl(mean, stddev, prior_mean, prior_stddev):
    """KL between diagonal Gaussians in float64."""
    ratio = (stddev / prior_stddev) ** 2
    shift = ((mean - prior_mean) / prior_stddev) ** 2
    return 0.5 * np.sum(ratio + shift - 1 - np.log(ratio), axis=-1)


def codes_of(model, images):
    flat = images.reshape(-1, 6).astype(np.float64) - model.bias
    return flat @ model.gain.T.astype(np.float64), model.stddev.astype(np.float64)


def test_posteriors_are_the_encoders(linear_gaussian):
    model = linear_gaussian()
    images = model.data(53)
    q = encode_images(model, images, batch_size=10)
    mean, stddev = codes_of(model, images)
    np.testing.assert_allclose(q.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(q.stddev, np.tile(stddev, (53, 1)), rtol=1e-6)
    expected = stats.norm(0, stddev).entropy().sum()
    np.testing.assert_allclose(q.entropy_nats(), expected, rtol=1e-6)
    z = q.sample(3)
    np.testing.assert_allclose(
        q.log_prob(z), stats.norm.logpdf(z, q.mean, q.stddev).sum(axis=1), atol=1e-5
    )


def test_samples_of_a_posterior_depend_on_seed_and_draw_only():
    q = Posteriors(np.zeros((4000, 2), np.float32), np.full((4000, 2), 2.0, np.float32))
    assert np.array_equal(q.sample(1, 2), q.sample(1, 2))
    assert not np.array_equal(q.sample(1, 2), q.sample(1, 3))
    assert not np.array_equal(q.sample(1, 2), q.sample(2, 2))
    assert abs(q.sample(0).std() - 2.0) < 0.1


def test_batches_are_joined_and_the_filling_cut_off():
    told = []
    twice, row = by_rows(
        lambda x: (2 * x, x[:, 0]),
        np.arange(14.0).reshape(7, 2),
        batch_size=3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert np.array_equal(twice, 2 * np.arange(14.0).reshape(7, 2))
    assert np.array_equal(row, np.arange(0.0, 14.0, 2))
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_reconstruction_averages_to_its_closed_form(linear_gaussian):
    model = linear_gaussian()
    images = model.data(20)
    q = encode_images(model, images)
    got = reconstruction_nats(model, images, q, samples=400, seed=1)
    # E ||x - Wz - b||^2 = ||x - W m - b||^2 + sum_d stddev_d^2 ||W_d||^2
    flat = images.reshape(-1, 6).astype(np.float64)
    residual = np.sum((flat - q.mean @ model.weight - model.bias) ** 2, axis=1)
    spread = np.sum(model.stddev**2 * np.sum(model.weight**2, axis=1))
    expected = 0.5 * (residual + spread) / 0.25 + 6 * (math.log(0.5) + 0.5 * math.log(2 * math.pi))
    np.testing.assert_allclose(got, expected, atol=0.35)
    assert abs(got.mean() - expected.mean()) < 0.05


@pytest.mark.parametrize("components", [1, 2])
def test_every_cost_against_numpy(linear_gaussian, components):
    model = linear_gaussian(components=components)
    images = model.data(60)
    samples = 1 if components == 1 else 3
    lengths = code_lengths(
        model, images, NORMAL, neighbors=(1, 5, 10), samples=samples, seed=4, batch_size=16
    )
    q = encode_images(model, images)
    code, stddev = q.mean.astype(np.float64), q.stddev.astype(np.float64)

    def kl(rows, given):
        """KL(q_rows || p(z|c_given)), from the definition of the prior."""
        if components == 1:
            return gaussian_kl(code[rows], stddev[rows], 0.9 * code[given], 0.5)
        total = -q.entropy_nats()[rows]
        for draw in range(samples):
            z = q.sample(4, draw)[rows].astype(np.float64)
            near = math.log(0.7) + stats.norm.logpdf(z, 0.9 * code[given], 0.4)
            far = math.log(0.3) + stats.norm.logpdf(z, 0.5 * code[given], 1.0)
            total = total - np.sum(np.logaddexp(near, far), axis=-1) / samples
        return total

    distance = np.sum((code[:, None] - code[None]) ** 2, axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)
    everyone = np.arange(60)
    for k in (1, 5, 10):
        expected = np.mean([kl(everyone, nearest[:, j]) for j in range(k)], axis=0)
        np.testing.assert_allclose(lengths.per_image[f"kl_k{k}_nats"], expected, atol=2e-4)

    order = greedy_tour(code, seed=4)
    assert np.array_equal(lengths.order, order)
    tour = np.empty(60)
    tour[order[1:]] = kl(order[1:], order[:-1])
    tour[order[0]] = gaussian_kl(code, stddev, 0.0, 1.0)[order[0]]
    np.testing.assert_allclose(lengths.per_image["kl_tour_nats"], tour, atol=2e-4)

    reconstruction = np.mean(
        [
            -stats.norm.logpdf(
                images.reshape(-1, 6), q.sample(4, draw) @ model.weight + model.bias, 0.5
            ).sum(axis=1)
            for draw in range(samples)
        ],
        axis=0,
    )
    unconditional = gaussian_kl(code, stddev, 0.0, 1.0)
    for name, expected in {
        "reconstruction_nats": reconstruction,
        "kl_standard_normal_nats": unconditional,
        "ordered_nats": reconstruction + tour,
        "unordered_nats": reconstruction + unconditional,
    }.items():
        np.testing.assert_allclose(lengths.per_image[name], expected, rtol=1e-4, atol=3e-4)
        assert lengths.mean(name) == pytest.approx(expected.mean(), rel=1e-4)
        assert lengths.standard_error(name) == pytest.approx(
            expected.std(ddof=1) / math.sqrt(60), rel=1e-3
        )
    assert lengths.set_nats == pytest.approx(
        lengths.mean("unordered_nats") - math.log(math.factorial(len(lengths))) / len(lengths)
    )
    assert lengths.bits_per_dim("ordered_nats") == pytest.approx(
        lengths.mean("ordered_nats") / 6 / math.log(2)
    )
    assert lengths.gap_nats == pytest.approx(
        lengths.mean("unordered_nats") - lengths.mean("ordered_nats")
    )


def test_the_sampled_kl_averages_to_the_closed_form():
    rng = np.random.default_rng(0)
    q = Posteriors(
        rng.normal(size=(50, 3)).astype(np.float32),
        rng.uniform(0.3, 1.5, size=(50, 3)).astype(np.float32),
    )

    class Sampled:
        def log_prob(self, z):
            return stats.norm.logpdf(z).sum(axis=1)

    exact = kl_to_prior(q, StandardNormalPrior())
    np.testing.assert_allclose(exact, gaussian_kl(q.mean, q.stddev, 0.0, 1.0), rtol=1e-5)
    sampled = kl_to_prior(q, Sampled(), samples=2000, seed=1)
    np.testing.assert_allclose(sampled, exact, atol=0.25)
    assert abs(sampled.mean() - exact.mean()) < 0.05


def test_the_better_unconditional_prior_is_used_and_named(linear_gaussian):
    model = linear_gaussian()

    class Bad:
        def log_prob(self, z):
            return np.full(len(z), -1000.0)

    lengths = code_lengths(model, model.data(20), {"bad": Bad(), **NORMAL})
    assert lengths.unconditional == "standard_normal"
    assert lengths.mean("unordered_nats") < 100 < lengths.mean("kl_bad_nats")
    first = lengths.order[0]
    assert lengths.per_image["kl_tour_nats"][first] == pytest.approx(
        lengths.per_image["kl_standard_normal_nats"][first]
    )


def test_same_seed_same_figures(linear_gaussian):
    model = linear_gaussian(components=2)
    images = model.data(40)
    first = code_lengths(model, images, NORMAL, seed=1).per_image
    again = code_lengths(model, images, NORMAL, seed=1).per_image
    other = code_lengths(model, images, NORMAL, seed=2).per_image
    for name, values in first.items():
        assert np.array_equal(values, again[name])
    assert not np.array_equal(first["reconstruction_nats"], other["reconstruction_nats"])


def test_neighbors_from_the_training_codes(linear_gaussian):
    model = linear_gaussian()
    images = model.data(15)
    codes = encode_images(model, model.data(300, seed=9)).mean
    lengths = code_lengths(model, images, NORMAL, neighbors=(1,), neighbor_codes=codes)
    q = encode_images(model, images)
    nearest = np.argmin(np.sum((q.mean[:, None] - codes[None]) ** 2, axis=2), axis=1)
    expected = gaussian_kl(q.mean, q.stddev, 0.9 * codes[nearest], 0.5)
    np.testing.assert_allclose(lengths.per_image["kl_k1_nats"], expected, atol=2e-4)


def test_a_training_image_is_no_neighbor_of_its_own(linear_gaussian):
    model = linear_gaussian()
    trained = encode_images(model, model.data(300, seed=9))
    rows = np.arange(40, 60)
    lengths = code_lengths(
        model,
        model.data(300, seed=9)[rows],
        NORMAL,
        neighbors=(1, 5),
        neighbor_codes=trained.mean,
        own_rows=rows,
    )
    distance = np.sum((trained.mean[rows, None] - trained.mean[None]) ** 2, axis=2)
    distance[np.arange(20), rows] = np.inf
    near = np.argsort(distance, axis=1)
    kl = [
        gaussian_kl(trained.mean[rows], trained.stddev[rows], 0.9 * trained.mean[near[:, j]], 0.5)
        for j in range(5)
    ]
    np.testing.assert_allclose(lengths.per_image["kl_k1_nats"], kl[0], atol=2e-4)
    np.testing.assert_allclose(lengths.per_image["kl_k5_nats"], np.mean(kl, axis=0), atol=2e-4)
    mixed = nearest_codes(trained.mean[:2], trained.mean, k=1, own=[0, -1])
    assert mixed[0, 0] != 0 and mixed[1, 0] == 1


def test_bytes_cost_what_their_floats_do(linear_gaussian):
    model = linear_gaussian()
    pixels = np.random.default_rng(0).integers(256, size=(20, 2, 3, 1)).astype(np.uint8)
    floats = (pixels / np.float32(255)).astype(np.float32)
    of_bytes, of_floats = (
        code_lengths(model, each, NORMAL).per_image["ordered_nats"] for each in (pixels, floats)
    )
    np.testing.assert_array_equal(of_bytes, of_floats)
    bounds = [
        importance_weighted_bound(model, each, StandardNormalPrior(), samples=2).elbo_nats
        for each in (pixels, floats)
    ]
    np.testing.assert_array_equal(*bounds)


def test_a_plain_vae_has_no_tour(linear_gaussian):
    model = linear_gaussian(associative=False)
    lengths = code_lengths(model, model.data(20), NORMAL)
    assert sorted(lengths.per_image) == [
        "kl_standard_normal_nats",
        "reconstruction_nats",
        "unordered_nats",
    ]
    assert lengths.gap_nats is None and lengths.warning is None and lengths.order is None


@pytest.mark.parametrize("count,ks", [(1, []), (2, [1]), (6, [1, 5])])
def test_few_images(linear_gaussian, count, ks):
    model = linear_gaussian()
    lengths = code_lengths(model, model.data(count), NORMAL)
    assert [f"kl_k{k}_nats" in lengths.per_image for k in (1, 5, 10)] == [
        k in ks for k in (1, 5, 10)
    ]
    assert np.array_equal(np.sort(lengths.order), np.arange(count))
    if count == 1:  # a single image has no order to forget
        assert lengths.gap_nats == pytest.approx(0.0)
        assert lengths.ordering_bound_nats == 0.0
        assert lengths.standard_error("ordered_nats") is None


def test_ordering_bound():
    for count, known in ((10_000, 8.21), (50_000, 9.82), (60_000, 10.00)):
        assert ordering_bound_nats(count) == pytest.approx(known, abs=0.005)
    assert ordering_bound_nats(5) == pytest.approx(math.log(120) / 5)
    assert ordering_bound_nats(0) == 0.0
    assert ordering_bound_nats(7) == pytest.approx(special.gammaln(8) / 7)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("costs", [[1.0, math.inf], [math.inf, math.inf], [1e300, -1e300]])
def test_costs_beyond_numbers_have_an_error_without_a_warning(costs):
    lengths = CodeLengths({"reconstruction_nats": np.array(costs)}, 784, None)
    assert not math.isfinite(lengths.standard_error("reconstruction_nats"))


def test_a_gap_above_the_bound_is_told():
    def lengths(gap):
        ordered = np.array([70.0, 80.0, 90.0])
        costs = {"ordered_nats": ordered, "unordered_nats": ordered + gap}
        return CodeLengths({"reconstruction_nats": ordered, **costs}, 784, "gaussian_mixture")

    bound = math.log(6) / 3
    assert lengths(bound - 0.01).warning is None
    assert "more than the ln(N!)/N = 0.60 nats" in lengths(bound + 0.01).warning
    assert lengths(2.0).summary()["gap_nats"] == pytest.approx(2.0)


def test_what_is_a_diagnostic_is_called_one(linear_gaussian):
    model = linear_gaussian()
    rows = code_lengths(model, model.data(20), NORMAL).summary()["costs"]
    diagnostics = {name for name, row in rows.items() if row["kind"] == "diagnostic"}
    assert diagnostics == {"kl_k1_nats", "kl_k5_nats", "kl_k10_nats"}


def test_neighbors_of_duplicates_are_never_oneself():
    codes = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 9, axis=0).astype(np.float32)
    index = nearest_codes(codes, k=5)
    assert index.shape == (27, 5)
    assert not np.any(index == np.arange(27)[:, None])
    assert np.all(index // 9 == np.arange(27)[:, None] // 9)
    assert all(len(set(row)) == 5 for row in index.tolist())


def test_all_of_the_training_codes_can_be_neighbors():
    codes = np.array([[0.0], [1.0], [5.0]])
    index = nearest_codes(np.array([[4.0], [0.2]]), codes, k=3)
    assert index.tolist() == [[2, 1, 0], [0, 1, 2]]


def test_bad_input(linear_gaussian):
    model = linear_gaussian()
    with pytest.raises(UserError, match="no images"):
        encode_images(model, model.data(3)[:0])
    with pytest.raises(UserError, match="unconditional"):
        code_lengths(model, model.data(3), {})
    with pytest.raises(UserError, match="samples must be at least 1, not 0"):
        code_lengths(model, model.data(3), NORMAL, samples=0)
    broken = model.data(3)
    broken[1] = np.nan
    with pytest.raises(UserError, match="codes hold NaN or infinity.*training went astray"):
        encode_images(model, broken)
    with pytest.raises(UserError, match="neighbours"):
        nearest_codes(np.zeros((3, 2)), k=3)
