"""Few-shot classification: episodes, baselines, intervals; homoencoders in a report."""

import numpy as np
import pytest
from scipy import stats

from keras_acn import VAE, VHE, Autoencoder, UserError
from keras_acn.evaluation import FewShotResult, evaluate_model, few_shot_accuracy
from keras_acn.evaluation.few_shot import Episodes

RNG = np.random.default_rng(0)
LABELS = np.repeat([3, 5, 8, 9], 6)
PATTERNS = RNG.random((10, 4, 4, 1)) < 0.5
IMAGES = (PATTERNS[LABELS] ^ (RNG.random((24, 4, 4, 1)) < 0.05)).astype(np.float32)
MLP = {"name": "mlp", "hidden": [8]}
PARTS = {"encoder": MLP, "decoder": {"name": "bernoulli_mlp", "hidden": [8]}}


class ByPixels:
    """A stand-in whose code lengths are distances to the mean of a set."""

    class_dim = 2

    def code_lengths_given(self, images, sets, samples, seed, batch_size):
        means = np.stack([np.mean(each, axis=0) for each in sets])
        return ((images[:, None] - means[None]) ** 2).sum((2, 3, 4))


def test_episodes():
    episodes = Episodes(LABELS, ways=3, shots=2, queries=3, seed=1)
    for number in range(20):
        shown, asked = episodes.draw(number)
        assert shown.shape == (3, 2) and asked.shape == (3, 3)
        assert len(set(shown.ravel()) | set(asked.ravel())) == 15
        of = LABELS[np.concatenate([shown, asked], axis=1)]
        assert (of == of[:, :1]).all() and len(set(of[:, 0])) == 3
        np.testing.assert_array_equal(episodes.draw(number)[0], shown)
    assert (episodes.draw(0)[0] != episodes.draw(1)[0]).any()


def test_accuracy_and_its_interval():
    result = few_shot_accuracy(ByPixels(), IMAGES, LABELS, ways=3, episodes=30, seed=2)
    # With one shot the mean of the set is the neighbour itself.
    np.testing.assert_array_equal(result.model, result.pixels)
    summary = result.summary()
    assert summary["chance"] == pytest.approx(1 / 3) and summary["episodes"] == 30
    assert summary["model"]["mean"] > 0.9
    made = FewShotResult(5, 1, np.array([0.2, 0.6, 1.0, 0.4]), np.zeros(4), 5, 1)
    low, high = stats.t.interval(0.95, 3, 0.55, stats.sem([0.2, 0.6, 1.0, 0.4]))
    np.testing.assert_allclose(made.summary()["model"]["interval"], [low, high])
    assert made.summary()["model_less_pixels"]["mean"] == pytest.approx(0.55)
    text = made.to_text()
    assert "55.0" in text and "chance" in text and "20.0" in text


def test_other_codes_are_measured_in_the_same_episodes():
    codes = {"the classes": np.eye(10)[LABELS], "nothing": np.zeros([len(IMAGES), 3])}
    options = {"ways": 3, "shots": 2, "queries": 2, "episodes": 20, "seed": 2}
    result = few_shot_accuracy(ByPixels(), IMAGES, LABELS, features=codes, **options)
    assert (result.features["the classes"] == 1).all()
    # All distances are zero, so that the first class is chosen whatever is asked.
    assert (result.features["nothing"] == 1 / 3).all()
    plain = few_shot_accuracy(ByPixels(), IMAGES, LABELS, **options)
    np.testing.assert_array_equal(result.pixels, plain.pixels)
    assert result.summary()["nearest_neighbor_in"]["the classes"]["mean"] == 1
    assert "nearest neighbour in nothing" in result.to_text()
    with pytest.raises(UserError, match="'few' are of 3 images"):
        few_shot_accuracy(ByPixels(), IMAGES, LABELS, features={"few": np.zeros([3, 1])}, ways=3)


def test_a_homoencoder_in_episodes():
    model = VHE((4, 4, 1), 2, class_encoder=MLP, **PARTS)
    results = [
        few_shot_accuracy(model, IMAGES, LABELS, ways=2, shots=2, episodes=3, samples=2)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(results[0].model, results[1].model)
    assert ((results[0].model >= 0) & (results[0].model <= 1)).all()


def test_errors_name_the_fix():
    with pytest.raises(UserError, match="5-way classification needs 5 classes"):
        few_shot_accuracy(ByPixels(), IMAGES, LABELS)
    with pytest.raises(UserError, match="needs 3 classes of at least 7"):
        few_shot_accuracy(ByPixels(), IMAGES, LABELS, ways=3, shots=6)
    with pytest.raises(UserError, match="needs labels"):
        few_shot_accuracy(ByPixels(), IMAGES, None)
    with pytest.raises(UserError, match="shots must be at least 1, not 0"):
        few_shot_accuracy(ByPixels(), IMAGES, LABELS, shots=0)
    with pytest.raises(UserError, match="this is a VAE"):
        few_shot_accuracy(VAE((4, 4, 1), 2, **PARTS), IMAGES, LABELS)


@pytest.mark.parametrize("cls", [VHE, Autoencoder])
def test_a_report_gives_what_applies(cls):
    more = {"class_encoder": MLP} if cls is VHE else {}
    model = cls((4, 4, 1), 2, **PARTS, **more)
    report = evaluate_model(
        model, (IMAGES, LABELS), (IMAGES[::2], LABELS[::2]), samples=1, paper=True
    )
    lengths = report.code_lengths
    each = model.image_nats(IMAGES[::2], LABELS[::2])
    assert lengths.mean("reconstruction_nats") == pytest.approx(each["reconstruction_nats"].mean())
    text = report.to_text()
    if cls is VHE:
        total = (each["reconstruction_nats"] + each["kl_nats"]).mean()
        assert lengths.mean("unordered_nats") == pytest.approx(total)
        assert "KL of c, over the size of its class" in text and "known to the receiver" in text
        rows = [line.split("  ")[0] for line in text.splitlines()]
        assert "total: reconstruction + KL of z + KL of c" in rows and "bits per dim, total" in rows
        assert "> VHE (classes known)" in rows and "best unconditional" not in text
    else:
        assert "unordered_nats" not in lengths.per_image
        assert "no code length" in text and "training loss" in text
    assert report.probes["knn_accuracy"] > 0.2 and report.importance_bound is None


def test_the_total_of_a_homoencoder_beside_another_model():
    models = VHE((4, 4, 1), 2, class_encoder=MLP, **PARTS), VAE((4, 4, 1), 2, **PARTS)
    parts = (IMAGES, LABELS), (IMAGES[::2], LABELS[::2])
    options = {"samples": 1, "iwae_samples": 0, "probes": False, "paper": True}
    both = evaluate_model(models[0], *parts, compare=models[1], **options).to_text()
    assert "unordered; of a VHE: reconstruction + KL of z + KL of c" in both
    assert "> VHE (classes known)" in both and "> VAE (unordered)" in both
    alone = evaluate_model(models[1], *parts, **options).to_text()
    assert "unordered: reconstruction + best unconditional" in alone and "VHE" not in alone


def test_no_probes_on_classes_that_training_never_saw():
    model = VHE((4, 4, 1), 2, class_encoder=MLP, **PARTS)
    old, new = LABELS < 6, LABELS > 6
    parts = (IMAGES[old], LABELS[old]), (IMAGES[new], LABELS[new])
    assert evaluate_model(model, *parts, samples=1).probes is None
