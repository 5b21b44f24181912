"""Bits-back against its equation, and the costs that are told of it."""

import types

import numpy as np
import pytest
from codec_models import noise, small_model
from scipy import special, stats

from keras_acn import codec
from keras_acn.codec import bits_back as room
from keras_acn.codec.bits_back import Costs, StepCost, bits_back
from keras_acn.codec.blocks import BlockCodec
from keras_acn.codec.grid import LatentGrid
from keras_acn.codec.priors import JointPrior
from keras_acn.codec.stack import Stack, bernoulli, categorical, uniform


def filled(words=200, seed=0):
    return Stack(np.random.default_rng(seed).integers(1, 2**32, words).astype(np.uint32))


def tables(n, exact):
    """p(z), p(x|z) and q(z|x) of `n` pairs of a z in 0..3 and an x in 0, 1."""
    rng = np.random.default_rng(1)
    prior, ones = rng.dirichlet(np.ones(4)), rng.uniform(0.1, 0.9, 4)
    joint = prior * np.stack([1 - ones, ones])  # [x, z]
    posterior = joint / joint.sum(axis=1, keepdims=True)
    if not exact:
        posterior = 0.5 * posterior + 0.125
    return np.tile(prior, (n, 1)), ones, posterior, joint


@pytest.mark.parametrize("exact", [True, False])
def test_it_costs_what_the_equation_says(exact):
    n = 4000
    prior, ones, posterior, joint = tables(n, exact)

    def q(x):
        return categorical(posterior[x])

    mixture = bits_back(q, lambda z: bernoulli(ones[z]), categorical(prior))
    x = (np.random.default_rng(2).random(n) < joint[1].sum()).astype(int)
    stack = filled(2000)
    before, words = stack.bits, stack.words()
    mixture.push(stack, x)
    # Its mean is the negative ELBO, which is -log2 p(x) where the posterior is exact.
    cost = -np.sum(posterior * np.log2(joint / posterior), axis=1)  # [x]
    if exact:
        np.testing.assert_allclose(cost, -np.log2(joint.sum(axis=1)))
    assert stack.bits - before == pytest.approx(cost[x].sum(), abs=4 * np.sqrt(n))
    np.testing.assert_array_equal(mixture.pop(stack), x)
    np.testing.assert_array_equal(stack.words(), words)


def step(prior, latents, images=4, opening=False):
    return StepCost(images, opening, float(prior), float(latents))


def test_lane_bits_without_openings():
    assert Costs([]).lane_bits() == Costs([step(90, 50)]).lane_bits() == 0
    assert Costs([step(90, 50), step(110, 0), step(130, 7)]).lane_bits() == 30
    assert Costs([step(90, 50), step(80, 50)]).lane_bits() == 0
    # By the image, whatever the number of lanes still running.
    assert Costs([step(20, 0, images=1), step(100, 0)]).lane_bits() == 20


def test_lane_bits_where_the_last_step_is_an_opening():
    # The others take 40 bits a step from the posterior to the prior, and the opening 52.
    costs = Costs([step(90, 50), step(110, 70), step(60, 8, opening=True)])
    assert costs.lane_bits() == 12
    assert Costs([step(60, 8, opening=True)]).lane_bits() == 0
    assert Costs([step(50, 8, opening=True)] * 2).lane_bits() == 0


def test_lane_bits_of_a_file_whose_last_step_is_an_opening(monkeypatch):
    """The step pushed last is not the last one that was no opening."""
    model, images = small_model(), noise(40)
    plain = BlockCodec(model, "tour", lanes=4).encode(images)
    too_little, steps, told = room._too_little, [], []

    def last_is_opening(stack, grid, x):
        steps.append(len(x))
        return len(steps) == 10 or too_little(stack, grid, x)

    append = Costs.append
    monkeypatch.setattr(Costs, "append", lambda self, cost: (told.append(cost), append(self, cost)))
    monkeypatch.setattr(room, "_too_little", last_is_opening)
    job = BlockCodec(model, "tour", lanes=4)
    coded = job.encode(images)
    assert len(steps) == 10 and told[-1].opening and not told[-2].opening
    assert coded.initial_bits > plain.initial_bits
    others = [cost for cost in told[:-1] if not cost.opening]
    net = [cost.prior_bits - cost.latent_bits for cost in (*others, told[-1])]
    expected = net[-1] - np.mean(net[:-1])
    assert coded.lane_bits == pytest.approx(max(0.0, expected))
    np.testing.assert_array_equal(job.decode(coded.block), images[coded.order])


@pytest.mark.parametrize("more, opens", [(-2.0, True), (2.0, False)])
def test_a_step_opens_where_the_stack_holds_less_than_its_latents_take(more, opens):
    """They take the entropy of their cells' masses; and a few bits of each image are spared."""
    rng = np.random.default_rng(0)
    grid = LatentGrid((2, 0, 3, 1), 400)
    mean, stddev = rng.normal(size=(5, 4)) * 3, rng.uniform(0.6, 4, (5, 4))
    stddev[:, 3] = 1e-6  # of one cell, which takes nothing
    mean[:, 3] = 1.0
    x = room.Images(np.zeros((5, 1, 1, 1), np.uint8), mean, stddev)
    centre, spread = grid.gaussian(mean, stddev)
    edges = np.arange(-400, 402) - 0.5
    mass = np.diff(stats.norm.cdf(edges[:, None, None], centre, spread), axis=0)
    taken = special.entr(mass).sum() / np.log(2)
    stack = types.SimpleNamespace(bits=taken + room.SPARE_BITS * 5 + more)
    assert room._too_little(stack, grid, x) is opens


def test_openings_only(monkeypatch):
    monkeypatch.setattr(room, "_too_little", lambda *arguments: True)
    model, images = small_model(), noise(12)
    data = codec.compress(images, model, mode="tour", lanes=4)
    assert data.report.lane_bits == 0 < data.report.initial_bits
    # All openings and nothing else went into the choice of latents.
    assert sorted(map(bytes, codec.decompress(data, model))) == sorted(map(bytes, images))


def test_a_joint_mixture_costs_what_its_density_says():
    """With unequal weights, over many latents: -log2 of the mass of their cells."""
    rng = np.random.default_rng(0)
    weight, count = np.array([0.9, 0.08, 0.02]), 4000
    mean = np.array([[0.0, 0.0], [6.0, -3.0], [-5.0, 8.0]])
    stddev = np.array([[1.0, 0.5], [0.7, 2.0], [1.5, 1.0]])
    of = rng.choice(3, count, p=weight)
    z = mean[of] + stddev[of] * rng.normal(size=(count, 2))
    grid = LatentGrid((5, 5), 2**10)
    cells = np.rint(z * 32).astype(np.int32)
    stack = Stack()
    # Bits to draw components from.
    uniform(np.full(400, 2**20)).push(stack, rng.integers(0, 2**20, 400))
    before = 32 * len(stack.words())
    codec = JointPrior(np.log(weight), mean, stddev, count).on(grid)
    codec.push(stack, cells)
    bits = 32 * len(stack.words()) - before
    each = stats.norm.logpdf(grid.values(cells)[:, None], mean, stddev).sum(axis=-1)
    nats = -special.logsumexp(np.log(weight) + each, axis=1) + 2 * np.log(32)
    assert bits == pytest.approx(nats.sum() / np.log(2), rel=2e-3)
    np.testing.assert_array_equal(codec.pop(stack), cells)
    assert 32 * len(stack.words()) == before
