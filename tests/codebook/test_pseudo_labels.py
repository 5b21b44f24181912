"""Pseudo-labels: clusters of the codes, their weighting, and their role as a callback."""

import keras
import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from keras_acn import VHE, PseudoLabels, UserError
from keras_acn.codebook import class_lists
from keras_acn.testing import check_config

RNG = np.random.default_rng(0)
IMAGES = (RNG.random((30, 4, 4, 1)) < 0.4).astype(np.float32)
MLP = {"name": "mlp", "hidden": [8]}


def make(size=60, **kwargs):
    return PseudoLabels(**{"clusters": 3, "size": size, "class_dim": 2, "latent_dim": 2, **kwargs})


def model(**kwargs):
    keras.utils.set_random_seed(0)
    made = VHE(
        (4, 4, 1),
        2,
        encoder=MLP,
        class_encoder=MLP,
        decoder={"name": "bernoulli_mlp", "hidden": [8]},
        supervised=False,
        pseudo_labels={"clusters": 3, **kwargs},
    )
    made.compile(keras.optimizers.Adam(1e-2))
    return made


def test_codes_start_at_a_standard_normal():
    codes = make(2000).codes.numpy()
    assert codes.shape == (2000, 4)
    assert abs(codes.mean()) < 0.05 and abs(codes.std() - 1) < 0.05


def test_clusters_are_found_and_listed():
    """Two groups that c tells apart, two that z does: the weight says which count."""
    c, z = np.repeat([0, 1], 30), np.tile([0, 1], 30)
    codes = np.stack([8.0 * c, 0 * c, 8.0 * z, 0 * z], 1) + 0.1 * RNG.normal(size=(60, 4))
    for weight, truth in ((1.0, c), (0.0, z), (0.9, c), (0.1, z)):
        labels = make(clusters=2, c_weight=weight)
        labels.codes.assign(codes)
        labels.cluster()
        assert labels.agreement(truth) == pytest.approx(1.0)
        assert labels.agreement(truth) == adjusted_mutual_info_score(truth, labels.labels.numpy())
        for got, want in zip(labels.lists, class_lists(labels.labels.numpy(), 2), strict=True):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(labels.nearest(codes), labels.labels.numpy())


def test_the_weightings():
    assert make(c_weight=0.3)._next_weight() == 0.3
    annealed = make(weighting="annealed", c_weight=0.8, c_weight_start=0.2, anneal_epochs=3)
    weights = []
    for _ in range(5):
        annealed.cluster()
        weights.append(float(annealed.weight_of_c.numpy()))
    np.testing.assert_allclose(weights, [0.2, 0.4, 0.6, 0.8, 0.8], rtol=1e-6)
    gradient = make(weighting="gradient", c_weight=0.4)
    gradient.begin_pass()
    assert float(gradient.weight_of_c.numpy()) == pytest.approx(0.4)
    gradient.record_gradients(1.0, 2.0)
    gradient.record_gradients(0.5, 2.5)
    gradient.begin_pass()
    assert float(gradient.weight_of_c.numpy()) == pytest.approx(1.5 / 6)
    assert (gradient.gradients.numpy() == 0).all()


def test_the_callback_clusters_before_each_epoch_and_training_records_codes():
    vhe = model()
    vhe.optimizer.learning_rate = 0.0
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                kept = vhe.pseudo_labels
                seen.append((kept.labels.numpy(), int(kept.passes.numpy()), kept.codes.numpy()))

    truth = np.arange(30) % 3
    history = vhe.fit(IMAGES, truth, epochs=3, callbacks=[Watch()], verbose=0).history
    assert [passes for _, passes, _ in seen] == [1, 2, 3]
    for (labels, _, _), ami in zip(seen, history["pseudo_label_ami"], strict=True):
        assert ami == pytest.approx(adjusted_mutual_info_score(truth, labels))
    assert all(1 <= each <= 3 for each in history["pseudo_classes"])
    # Without learning, the z and c recorded are those of the weights there are: c is the
    # mean of q(c|D), an average of the class encoder's means; z that of q(z|c,x).
    codes = vhe.pseudo_labels.codes.numpy()
    assert (codes != seen[0][2]).all()
    means = vhe.class_encoder(IMAGES).mean().numpy()
    assert (codes[:, :2] >= means.min(0) - 1e-5).all()
    assert (codes[:, :2] <= means.max(0) + 1e-5).all()


@pytest.mark.slow
def test_true_labels_change_nothing_but_the_agreement():
    histories = [
        model().fit(IMAGES, y, epochs=2, verbose=0).history for y in (None, [0, 1, 2] * 10)
    ]
    assert "pseudo_label_ami" not in histories[0]
    del histories[1]["pseudo_label_ami"]
    assert histories[0] == histories[1]


def test_recode_writes_the_codes_of_the_weights_of_now():
    vhe = model()
    vhe.fit(IMAGES, verbose=0)
    old, passes = vhe.pseudo_labels.codes.numpy(), int(vhe.pseudo_labels.passes.numpy())
    vhe.settle(IMAGES)
    assert np.abs(vhe.pseudo_labels.codes.numpy() - old).max() > 1e-3
    assert int(vhe.pseudo_labels.passes.numpy()) == passes + 1
    with pytest.raises(UserError, match="holds 30 codes"):
        vhe.recode(IMAGES[:9])


def test_continue_pass_keeps_the_clusters():
    labels = make()
    labels.begin_pass()
    before = labels.labels.numpy()
    labels.codes.assign(-labels.codes.numpy()[::-1])
    labels.continue_pass()
    labels.on_epoch_begin(0)
    np.testing.assert_array_equal(labels.labels.numpy(), before)
    labels.on_epoch_begin(1)
    assert (labels.labels.numpy() != before).any()


def test_config():
    check_config(make(weighting="annealed"))
    check_config(PseudoLabels())


def test_bad_inputs():
    with pytest.raises(UserError, match='Did you mean "annealed"'):
        make(weighting="anneal")
    for wrong in ({"clusters": 0}, {"c_weight": 1.5}, {"c_weight_start": -1}, {"anneal_epochs": 0}):
        with pytest.raises(UserError, match=next(iter(wrong)).removesuffix("s")):
            make(**wrong)
    with pytest.raises(UserError, match="60 data cannot fall into 61 clusters"):
        make(clusters=61)
    broken = make()
    broken.codes.assign(np.full((60, 4), np.nan))
    with pytest.raises(UserError, match="not finite"):
        broken.cluster()
    with pytest.raises(UserError, match="no pseudo-labels yet"):
        make().nearest(np.zeros((1, 4)))
    with pytest.raises(UserError, match="is empty"):
        PseudoLabels().lists  # noqa: B018
