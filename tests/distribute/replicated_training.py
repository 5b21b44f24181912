"""Trains tiny models in a process of its own, under a strategy, and writes what came of it.

    python replicated_training.py OUT.npz REPLICAS KIND...

With a TF_CONFIG it is one of several workers; else REPLICAS are devices of this process. A KIND
is trained on its own, and leaves `KIND/history/NAME`, `KIND/weights/I` and so on.
"""

import contextlib
import os
import sys

import numpy as np
import tensorflow as tf

OUT, REPLICAS, KINDS = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
WORKERS = bool(os.environ.get("TF_CONFIG"))

if WORKERS:
    STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()
elif REPLICAS > 1:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * REPLICAS,
    )
    STRATEGY = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(REPLICAS)])
else:
    STRATEGY = None

import keras  # noqa: E402

import keras_acn  # noqa: E402
from keras_acn.codebook import GraphSearch, KNNCodebook  # noqa: E402
from keras_acn.distribute import batches, exchange  # noqa: E402

SHAPE = (4, 4, 1)
# Batches of 8 of 41 images end with a batch of one row: most replicas have none of it.
COUNT, BATCH, EPOCHS = 41, 8, 2


def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, COUNT)
    images = rng.uniform(size=(COUNT, *SHAPE)) < 0.2 + 0.3 * labels[:, None, None, None]
    return images.astype("float32"), labels


def build(kind):
    mlp = {"name": "mlp", "hidden": (8,)}
    learned = {**mlp, "variance": "learned"}
    given = {"image_shape": SHAPE, "latent_dim": 3, "seed": 3}
    given["decoder"] = {"name": "bernoulli_mlp", "hidden": (8,)}
    prior = {"name": "mixture", "components": 2, "hidden": (8,)}
    if kind.startswith("vhe"):
        return keras_acn.VHE(
            encoder=learned,
            class_encoder=learned,
            supervised="unsupervised" not in kind,
            pseudo_labels={"clusters": 3} if "unsupervised" in kind else None,
            **given,
        )
    if kind.startswith("vae"):
        return keras_acn.VAE(encoder=learned, **given)
    if kind.startswith("autoencoder"):
        return keras_acn.Autoencoder(encoder=mlp, **given)
    search = GraphSearch(exact_below=0, recent=16, probes=2) if "graph" in kind else "exact"
    codebook = KNNCodebook(k=3, unique="unique" in kind, search=search)
    objective = "mixture" if "mixture" in kind else "pick"
    return keras_acn.ACN(encoder=mlp, prior=prior, codebook=codebook, objective=objective, **given)


def train(kind):
    """Returns what a training leaves, by name. Words in KIND after its model are options."""
    images, labels = data()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_float16" if "half" in kind else "float32")
    with contextlib.nullcontext() if STRATEGY is None else STRATEGY.scope():
        model = build(kind)
        optimizer = keras.optimizers.Adam(
            1e-2, clipnorm=0.5, use_ema="averaged" in kind, ema_momentum=0.8
        )
        model.compile(optimizer, steps_per_execution=3 if "several-steps" in kind else 1)
    keras.config.set_dtype_policy("float32")
    callbacks = [keras.callbacks.SwapEMAWeights()] if "averaged" in kind else []
    if "dataset" in kind:
        x = keras_acn.data.from_arrays(images, labels).dataset(BATCH, shuffle=True, seed=3)
        history = model.fit(x, epochs=EPOCHS, verbose=0, callbacks=callbacks)
    else:
        history = model.fit(
            images,
            labels,
            batch_size=BATCH,
            epochs=EPOCHS,
            validation_data=None if "quick" in kind else (images[:11], labels[:11]),
            callbacks=callbacks,
            verbose=0,
        )
    found = {f"history/{name}": np.asarray(v) for name, v in history.history.items()}
    found |= {f"weights/{i:03d}": np.asarray(v) for i, v in enumerate(model.variables)}
    found["steps"] = model.random_step.numpy()
    if model.codebook is not None:
        found["picked"] = model.codebook.health.numpy()[1]
        found["used"] = model.codebook.used.numpy().sum()
    if "quick" not in kind:
        evaluated = model.evaluate(images, labels, batch_size=9, verbose=0, return_dict=True)
        found |= {f"evaluated/{name}": np.asarray(value) for name, value in evaluated.items()}
        found["reconstructed"] = model.predict(images[:5], verbose=0)
    return found


def exchanges():
    """Returns what the functions of `replicas` make of batches that leave parts short."""
    found = {}
    for rows in (1, 2, 4, 7):
        rng = np.random.default_rng(rows)
        batch = {
            "index": np.arange(rows, dtype=np.int32) + 5,
            "x": rng.normal(size=(rows, 2)).astype("float32"),
            "y": rng.normal(size=(rows, 1)).astype("float32"),
            "flag": rng.uniform(size=(rows, 3)) < 0.5,
        }
        dataset = STRATEGY.distribute_datasets_from_function(
            lambda context, batch=batch: batches.parts(
                tf.data.Dataset.from_tensors(batch), 1, REPLICAS, context
            )
        )

        def step(part, slope):
            with exchange.part_of_batch(part) as local, tf.GradientTape() as tape:
                tape.watch(slope)
                loss = exchange.mean(tf.reduce_sum((local["x"] @ slope - local["y"]) ** 2, axis=1))
                gradient = tape.gradient(loss, slope)
                everyone = exchange.gather(local["index"], local["x"], local["flag"])
                return {
                    "gradient": exchange.total(gradient)[0],
                    "loss": exchange.total(loss)[0],
                    "index": everyone[0],
                    "x": everyone[1],
                    "flag": everyone[2],
                    "again": exchange.gather(exchange.own(everyone[1])),
                    "first": exchange.first_index(local["index"]),
                    "anywhere": exchange.anywhere(tf.reduce_any(local["index"] == 5)),
                }

        slope = tf.constant([[0.5], [-2.0]])
        run = tf.function(lambda part, slope=slope: STRATEGY.run(step, args=(part, slope)))
        for part in dataset:
            out = run(part)
            for name, value in out.items():
                copies = STRATEGY.experimental_local_results(value)
                found |= {f"{rows}/{name}/{i}": copy.numpy() for i, copy in enumerate(copies)}
        found |= {f"{rows}/given_{name}": value for name, value in batch.items()}
    return found


def different_data():
    """Returns what a model says to workers that do not have the same batches."""
    with STRATEGY.scope():
        model = build("vae")
        model.compile()
    images = keras_acn.data.from_arrays(data()[0])
    rank = STRATEGY.cluster_resolver.task_id
    try:
        model.fit(images.dataset(BATCH, shuffle=True, seed=rank), verbose=0)
    except ValueError as error:
        return str(error)
    return "none"


def plain_keras():
    """Returns what Keras says without the overrides, `none` where it does not fail."""

    def outcome(overridden=(), devices=False):
        class Plain(keras.Model):
            def __init__(self):
                super().__init__()
                self.layer = keras.layers.Dense(1)
                self.layer.build((None, 2))
                self.built = True

            def call(self, x):
                return self.layer(x)

            def train_step(self, batch):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean(self(batch["x"]) ** 2)
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
                return {"own": tf.reshape(loss, [1]) if "logs" in overridden else loss}

        if "build" in overridden:
            Plain._maybe_symbolic_build = lambda self, **kwargs: None
        with STRATEGY.scope():
            model = Plain()
            model.compile("sgd", steps_per_execution=2 if devices else 1)
        x = tf.data.Dataset.from_tensor_slices({"x": np.ones((8, 2), "float32")}).batch(4)
        try:
            model.fit(x.repeat(), steps_per_epoch=2, verbose=0)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "none"

    if WORKERS:
        return {
            "different-data": different_data(),
            "nothing": outcome(),
            "build": outcome(("build",)),
            "both": outcome(("build", "logs")),
        }
    return {"steps_per_execution": outcome(("build",), devices=True)}


def main():
    found = {}
    for kind in KINDS:
        results = {"exchanges": exchanges, "plain-keras": plain_keras}.get(kind)
        results = train(kind) if results is None else results()
        found |= {f"{kind}/{name}": value for name, value in results.items()}
    np.savez(OUT, **found)


main()
