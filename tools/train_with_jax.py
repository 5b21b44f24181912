"""Trains an ACN on a machine that has JAX and an accelerator, but no TensorFlow.

The encoder, the prior network and the decoder are plain Keras, so the very same layers train
under Keras's JAX back end. Algorithm 1, the optimizer and the schedules are those of
`keras_acn`, in the few lines below. Three steps, the second on the other machine:

    python tools/train_with_jax.py prepare WORK NAME --preset paper-mnist-small --data idx:DIR \
        --set decoder.block=2 --set training.epochs=100
    KERAS_BACKEND=jax python tools/train_with_jax.py train WORK OUT NAME [NAME ...]
    python tools/train_with_jax.py finish WORK OUT NAME RUN

`prepare` writes the images and what a job needs; further jobs share the images. `train` needs
keras, jax, NumPy and scikit-learn; it prints the validation figures of each job, estimated on
fewer images than `keras-acn evaluate` takes, and writes OUT/NAME.npz and OUT/NAME.jsonl.
`finish` puts the weights into the TensorFlow model, compares what the networks answer, fills the
codebook, and writes a run folder for evaluate, plot, export and compress. The folder
tools/mnist-blocks holds the first of acn-mnist's two trainings so (docs/experiments.md):

    cd tools && python train_with_jax.py finish mnist-blocks mnist-blocks codes RUN --data idx:DIR

Limits: an ACN with the prior `mixture`, a decoder `pixelcnn` of Bernoulli pixels, the optimizer
`adam`, one device, and exact search. Where `training.ema` is set, the average forgets the initial
weights faster at first than Keras's does.
"""

import argparse
import importlib.abc
import importlib.machinery
import json
import math
import os
import pathlib
import sys
import time
import types

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
PARTS = ("encoder", "prior", "decoder")


# -- before, with TensorFlow -----------------------------------------------------------------


def prepare(args):
    from keras_acn.experiment import build, load_config

    overrides = [*args.set, "training.precision=float32"]
    config = load_config(args.preset, overrides=[f"data.source={args.data}", *overrides])
    data = build.build_data(config)
    model = build.build_model(config, data.image_shape, len(data.train))
    steps = math.ceil(len(data.train) / config.training.batch_size)
    at = np.arange(steps * config.training.epochs)
    rate = model.optimizer._learning_rate
    work = pathlib.Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    (work / f"{args.name}.yaml").write_text(config.to_yaml())
    job = {
        "parts": {part: getattr(model, part).get_config() for part in PARTS},
        "k": model.codebook.k,
        "seed": config.seed,
        "epochs": config.training.epochs,
        "batch_size": config.training.batch_size,
        "clipnorm": config.training.clipnorm,
        "ema": config.training.ema,
        "dynamic": config.data.binarize == "dynamic",
        "shift": args.shift,
        "start": args.start,
    }
    # A batch normalisation has a state, which the functions below do without: they standardize
    # the codes themselves.
    job["code_stddev"] = job["parts"]["encoder"].pop("code_stddev", None)
    (work / f"{args.name}.json").write_text(json.dumps(job))
    np.savez_compressed(
        work / f"{args.name}-schedule.npz",
        learning_rate=_along(rate, at) if callable(rate) else np.full(len(at), float(rate)),
        beta=_along(model.beta, at) if callable(model.beta) else np.full(len(at), model.beta),
        hidden=_between(args.hide_context, at / steps),
        encoder=_between(args.encoder_rate, at / steps),
    )
    if not (work / "images.npz").exists():
        # In black and white as evaluation sees them: one draw an image, from the seed.
        arrays = {"grey": data.train.images}
        for part in ("train", "validation"):
            chosen = getattr(data, part)
            arrays[part] = chosen.arrays()[0].astype(np.uint8)
            arrays[f"{part}_labels"] = chosen.labels
        np.savez_compressed(work / "images.npz", **arrays)
    print(f"{args.name}: {config.training.epochs} epochs of {steps} steps")


def _between(points, epochs):
    """Return a number or the values between points `[[epoch, value], ...]` at some epochs."""
    points = json.loads(points)
    if not isinstance(points, list):
        points = [[0, points]]
    return np.interp(epochs, *np.asarray(points, float).T)


def _along(schedule, steps):
    import tensorflow as tf

    # Schedules are functions of one step, some with a branch in them.
    at = tf.function(lambda steps: tf.map_fn(schedule, steps))
    return at(tf.constant(steps, tf.float32)).numpy()


# -- there, with JAX ---------------------------------------------------------------------------


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands for TensorFlow where there is none: every name in it is an empty class.

    What computes with TensorFlow in the modules of the parts is not called here.
    """

    names = ("tensorflow", "tensorflow_probability")

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        class Module(types.ModuleType):
            def __getattr__(self, name):
                if name.startswith("__"):
                    raise AttributeError(name)
                if name in ("distributions", "util", "math", "random"):
                    return importlib.import_module(f"{self.__name__}.{name}")
                return type(name, (), {"__init__": lambda self, *args, **kwargs: None})

        return Module(spec.name)

    def exec_module(self, module):
        pass


def build_parts(job):
    """Return the encoder, the prior and the decoder of a job, their weights drawn from its seed."""
    import keras

    from keras_acn.decoders import GatedPixelCNN
    from keras_acn.encoders import ConvEncoder
    from keras_acn.priors import MixturePrior

    keras.utils.set_random_seed(job["seed"])
    classes = dict(zip(PARTS, (ConvEncoder, MixturePrior, GatedPixelCNN), strict=True))
    made = {}
    for part, cls in classes.items():
        config = {**job["parts"][part], "dtype": "float32"}
        made[part] = cls.from_config(config)
    return made


def train(args):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    sys.meta_path.insert(0, _Absent())
    end = time.monotonic() + args.seconds
    for name in args.names:
        if time.monotonic() > end - 5:
            print(f"{name}: no time left", flush=True)
            continue
        job = Training(pathlib.Path(args.work), pathlib.Path(args.out), name, args.every)
        job.run(end, args.stretch, args.snapshots)


class Training:
    """One job: Algorithm 1 of Graves et al. 2018, a `lax.scan` an epoch."""

    def __init__(self, work, out, name, every):
        import jax.numpy as jnp

        self.out, self.name, self.every = out, name, every
        self.job = json.loads((work / f"{name}.json").read_text())
        schedule = np.load(work / f"{name}-schedule.npz")
        steps = len(schedule["beta"]) // self.job["epochs"]
        self.schedules = {
            name: schedule[name].reshape(-1, steps).astype(np.float32)
            for name in ("learning_rate", "beta", "hidden", "encoder")
        }
        self.steps = steps
        self.encoder_rests = not self.schedules["encoder"].any()
        arrays = np.load(work / "images.npz")
        self.labels = arrays["train_labels"], arrays["validation_labels"]
        self.images, self.validation = map(jnp.asarray, (arrays["train"], arrays["validation"]))
        if self.job["dynamic"]:
            self.grey = jnp.asarray(arrays["grey"])
        self.parts = build_parts(self.job)
        self.variables = [v for part in PARTS for v in self.parts[part].trainable_variables]
        self.in_encoder = [
            any(v is each for each in self.parts["encoder"].trainable_variables)
            for v in self.variables
        ]
        if self.job.get("start"):
            arrays = np.load(work / self.job["start"])
            names = sorted(name for name in arrays.files if name.isdigit())
            for variable, name in zip(self.variables, names, strict=True):
                variable.assign(arrays[name].astype("float32"))
        self.others = [
            v
            for part in PARTS
            for v in self.parts[part].variables
            if all(v is not known for known in self.variables)
        ]

    # -- the networks as functions of their weights

    def _scope(self, weights, key=None):
        import keras

        mapping = list(zip(self.variables, weights, strict=True))
        if key is not None:
            import jax

            for i, variable in enumerate(self.others):  # the states of dropout's generators
                drawn = jax.random.randint(jax.random.fold_in(key, i), (2,), 0, 2**31 - 1)
                mapping.append((variable, drawn.astype("uint32")))
        return keras.StatelessScope(state_mapping=mapping)

    def means(self, weights, image, training=False, key=None):
        with self._scope(weights, key):
            return self.parts["encoder"].parameters(image, training=training)

    def log_prior(self, weights, z, code):
        """Return log p(z|code), [B]."""
        import jax
        import jax.numpy as jnp

        with self._scope(weights):
            logits, mean, stddev = self.parts["prior"].parameters(code)
        scaled = (z[..., None] - mean) / stddev
        each = jax.nn.log_softmax(logits) - 0.5 * scaled**2 - jnp.log(stddev)
        each = each - 0.5 * math.log(2 * math.pi)
        return jnp.sum(jax.nn.logsumexp(each, axis=-1), axis=-1)

    def reconstruction(self, weights, image, z, training=False, key=None, seen=None):
        """Return -log r(x|z), [B]; `seen` is what the decoder sees of the pixels before."""
        import jax
        import jax.numpy as jnp

        with self._scope(weights, key):
            logits = self.parts["decoder"].parameters(image, z, training, context=seen)
        return jnp.sum(jax.nn.softplus(logits) - image * logits, axis=(1, 2, 3))

    # -- a step

    def nearest(self, codes, code, own, k):
        """Return the rows of the k nearest codes, [B, k], the own one left out."""
        import jax
        import jax.numpy as jnp

        score = jnp.dot(code, codes.T, precision="highest") - 0.5 * jnp.sum(codes**2, 1)
        score = score.at[jnp.arange(len(code)), own].set(-jnp.inf, mode="drop")
        # The k best are in the k groups whose best ones are best.
        group = 100
        padded = jnp.pad(score, ((0, 0), (0, -score.shape[1] % group)), constant_values=-jnp.inf)
        grouped = padded.reshape(len(code), -1, group)
        _, chosen = jax.lax.top_k(grouped.max(-1), min(k, grouped.shape[1]))  # [B, k]
        among = jnp.take_along_axis(grouped, chosen[..., None], axis=1)
        _, best = jax.lax.top_k(among.reshape(len(code), -1), k)
        return jnp.take_along_axis(chosen, best // group, axis=1) * group + best % group

    def standardized(self, mean):
        """Return codes whose dimensions have one deviation in the batch, if the job says so.

        An encoder that does not learn keeps the scale that its weights give.
        """
        import jax.numpy as jnp

        from keras_acn.encoders.base import CODE_EPSILON

        wanted = self.job["code_stddev"]
        if wanted is None or self.encoder_rests:
            return mean
        return wanted * (mean - mean.mean(0)) / jnp.sqrt(mean.var(0) + CODE_EPSILON)

    def folded(self, weights):
        """Return weights whose encoder gives codes that are standardized over all images."""
        wanted = self.job["code_stddev"]
        if wanted is None or self.encoder_rests:
            return weights
        found = np.asarray(self.codes(weights, self.images))
        scale, centre = wanted / np.sqrt(found.var(0)), found.mean(0)
        head = self.parts["encoder"].mean_head
        weights = list(weights)
        for i, variable in enumerate(self.variables):
            if variable is head.kernel:
                weights[i] = weights[i] * scale
            elif variable is head.bias:
                weights[i] = (weights[i] - centre) * scale
        return weights

    def loss(self, weights, codes, rows, image, key, beta, hidden):
        import jax
        import jax.numpy as jnp

        to_pick, to_sample, to_drop = jax.random.split(key, 3)
        mean, stddev = self.means(weights, image, training=True, key=to_drop)
        mean = self.standardized(mean)
        code = jax.lax.stop_gradient(mean)
        codes = codes.at[rows].set(code)
        near = self.nearest(codes, code, rows, self.job["k"])
        rank = jax.random.randint(to_pick, (len(rows), 1), 0, near.shape[1])
        picked = codes[jnp.take_along_axis(near, rank, axis=1)[:, 0]]
        z = mean + stddev * jax.random.normal(to_sample, mean.shape)
        entropy = jnp.sum(jnp.log(stddev) + 0.5 * math.log(2 * math.pi * math.e), axis=-1)
        kl = jnp.mean(-entropy - self.log_prior(weights, z, picked))
        # The context of some images is grey, so that their pixels are read from the code alone.
        dark = jax.random.uniform(jax.random.fold_in(to_drop, 1), (len(rows), 1, 1, 1)) < hidden
        seen = jnp.where(dark, 0.5, image)
        reconstruction = jnp.mean(self.reconstruction(weights, image, z, True, to_drop, seen))
        return reconstruction + beta * kl, (codes, jnp.stack([reconstruction, kl]))

    def step(self, state, given):
        import jax
        import jax.numpy as jnp

        weights, first, second, average, codes, count = state
        rows, key, (rate, beta, hidden, of_encoder) = given
        to_draw, key = jax.random.split(key)
        to_shift, to_draw = jax.random.split(to_draw)
        image = (self.grey if self.job["dynamic"] else self.images)[rows].astype(jnp.float32)
        if self.job["shift"]:
            image = _shifted(image, to_shift, self.job["shift"])
        if self.job["dynamic"]:
            image = (jax.random.uniform(to_draw, image.shape) * 255 < image).astype(jnp.float32)
        gradients, (codes, costs) = jax.grad(self.loss, has_aux=True)(
            weights, codes, rows, image, key, beta, hidden
        )
        if self.job["clipnorm"]:  # of each variable by itself, as Keras's clipnorm
            norms = [jnp.sqrt(jnp.sum(g**2)) for g in gradients]
            limit = self.job["clipnorm"]
            gradients = [
                g * jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
                for g, norm in zip(gradients, norms, strict=True)
            ]
        count = count + 1
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g**2 for v, g in zip(second, gradients, strict=True)]
        scale = rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        weights = [
            w - scale * (of_encoder if inside else 1.0) * m / (jnp.sqrt(v) + 1e-7)
            for w, m, v, inside in zip(weights, first, second, self.in_encoder, strict=True)
        ]
        keep = jnp.minimum(self.job["ema"] or 0.0, (1 + count) / (10 + count))
        average = [keep * a + (1 - keep) * w for a, w in zip(average, weights, strict=True)]
        return (weights, first, second, average, codes, count), costs

    def run(self, end, stretch=False, snapshots=()):
        import jax
        import jax.numpy as jnp

        began = time.monotonic()
        epochs = self.job["epochs"]
        weights = [jnp.asarray(v.value) for v in self.variables]
        zeros = [jnp.zeros_like(w) for w in weights]
        key = jax.random.key(self.job["seed"])
        count, batch = len(self.images), self.job["batch_size"]
        dim = self.job["parts"]["encoder"]["latent_dim"]
        codes = jax.random.normal(jax.random.fold_in(key, 10**6), (count, dim))
        state = (weights, zeros, zeros, weights, codes, jnp.zeros((), jnp.float32))
        epoch = jax.jit(lambda state, given: jax.lax.scan(self.step, state, given))
        rng = np.random.default_rng(self.job["seed"])
        history = []
        number, lap = -1, 0.0
        while (number := number + 1) < epochs:
            if stretch and number == 3:
                epochs = max(4, number + int(0.98 * (end - 12 - time.monotonic()) / lap))
                print(f"{self.name}: {epochs} epochs of {lap:.2f} s", flush=True)
                self._stretch(number, epochs)
            started = time.monotonic()
            order = rng.permutation(count).astype(np.int32)
            # The last batch is filled up with the first images: every step has one shape.
            order = np.resize(order, self.steps * batch).reshape(self.steps, batch)
            keys = jax.random.split(jax.random.fold_in(key, number), self.steps)
            values = tuple(each[number] for each in self.schedules.values())
            state, costs = epoch(state, (order, keys, values))
            row = {"epoch": number + 1, "beta": float(self.schedules["beta"][number, -1])}
            costs = np.asarray(costs, np.float64).mean(0)
            row |= {"reconstruction_nats": costs[0], "kl_nats": costs[1]}
            lap = time.monotonic() - started
            row["seconds"] = round(time.monotonic() - began, 1)
            late = time.monotonic() > end
            if self.every and ((number + 1) % self.every == 0 or late or number + 1 == epochs):
                row |= self.evaluate(self.folded(state[3]))
                row["seconds"] = round(time.monotonic() - began, 1)
                print(self.name, json.dumps(row), flush=True)
            elif number < 3 or number % 10 == 9:
                print(self.name, json.dumps(row), flush=True)
            if not math.isfinite(row["reconstruction_nats"]):
                print(f"{self.name}: no number any more", flush=True)
                break
            history.append(row)
            share = (number + 1) / epochs
            while snapshots and share >= snapshots[0]:
                self.save(f"{self.name}-{snapshots[0]:g}", self.folded(state[3]), history)
                snapshots = snapshots[1:]
            if late:
                print(f"{self.name}: out of time after epoch {number + 1}", flush=True)
                break
        self.save(self.name, self.folded(state[3]), history)

    def _stretch(self, done, epochs):
        """Make the rest of the schedules last for so many epochs in all."""
        size = self.schedules["beta"].size
        at = np.linspace(done * self.steps, size - 1, (epochs - done) * self.steps)
        known = np.arange(size)

        def stretched(values):
            rest = np.interp(at, known, values.reshape(-1)).reshape(-1, self.steps)
            return np.concatenate([values[:done], rest]).astype(np.float32)

        self.schedules = {name: stretched(each) for name, each in self.schedules.items()}

    def save(self, name, weights, history):
        """Write weights and history, and some answers of the networks for `finish` to compare."""
        import jax
        import jax.numpy as jnp

        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in history))
        image = self.validation[:8].astype(jnp.float32)
        with jax.default_matmul_precision("highest"):
            mean, _ = jax.jit(self.means)(weights, image)
            nats = jax.jit(self.reconstruction)(weights, image, mean)
            prior = jax.jit(self.log_prior)(weights, mean, mean[::-1])
        answers = {"answer_code": mean, "answer_nats": nats, "answer_prior": prior}
        arrays = {f"{i:03d}": np.asarray(w) for i, w in enumerate(weights)}
        answers = {name: np.asarray(value) for name, value in answers.items()}
        np.savez(self.out / f"{name}.npz", images=np.asarray(image), **answers, **arrays)

    # -- figures of the validation images

    def codes(self, weights, images):
        import jax
        import jax.numpy as jnp

        encode = self._compiled("means", jax.jit(self.means))
        blocks = [images[at : at + 1000] for at in range(0, len(images), 1000)]
        return jnp.concatenate([encode(weights, b.astype(jnp.float32))[0] for b in blocks])

    def _compiled(self, name, function):
        # A new `jit` of the same method would be compiled anew.
        return self.__dict__.setdefault(f"_jit_{name}", function)

    def evaluate(self, weights):
        import jax
        import jax.numpy as jnp

        trained = self.codes(weights, self.images)
        tested = self.codes(weights, self.validation)
        key = jax.random.key(1)
        noise = jax.random.normal(key, tested.shape)
        z = tested + noise  # unit variance
        cost = self._compiled("cost", jax.jit(self.reconstruction))
        blocks = [slice(at, at + 1000) for at in range(0, len(z), 1000)]
        held = self.validation.astype(jnp.float32)
        nats = jnp.concatenate([cost(weights, held[rows], z[rows]) for rows in blocks])
        prior = self._compiled("prior", jax.jit(self.log_prior))
        before = self._compiled("tour", jax.jit(_tour))(tested)
        entropy = 0.5 * math.log(2 * math.pi * math.e) * tested.shape[1]
        tour = -entropy - prior(weights, z, tested[before])
        some = min(2000, len(z))
        mixed = self._compiled("mixed", jax.jit(self.mixture))
        mixture = -entropy - mixed(weights, z[:some], trained)
        nobody = jnp.full(1000, len(trained))
        near = self._compiled("near", jax.jit(self.nearest, static_argnums=3))
        found = [near(trained, tested[rows], nobody[: len(tested[rows])], 5) for rows in blocks]
        found = jnp.concatenate(found)
        votes = jnp.asarray(self.labels[0])[found]
        counts = jax.nn.one_hot(votes, int(self.labels[0].max()) + 1).sum(1)
        knn = float(np.mean(np.asarray(counts.argmax(1)) == self.labels[1]))
        reconstruction = float(nats.mean())
        return {
            "val_reconstruction": round(reconstruction, 3),
            "ordered": round(reconstruction + float(tour.mean()), 3),
            "unordered": round(reconstruction + float(mixture.mean()), 3),
            "kl_mixture": round(float(mixture.mean()), 3),
            "knn": round(knn, 4),
            "linear": round(_linear(trained, tested, self.labels), 4),
        }

    def mixture(self, weights, z, codes):
        """Return the log of the mean of p(z|c) over all codes, [B]."""
        import jax
        import jax.numpy as jnp

        with self._scope(weights):
            logits, mean, stddev = self.parts["prior"].parameters(codes)
        weight = jax.nn.softmax(logits) / (stddev * math.sqrt(2 * math.pi))

        def more(total, part):
            weight, mean, stddev = part  # [100, d, M]
            scaled = (z[:, None, :, None] - mean) / stddev
            density = jnp.sum(weight * jnp.exp(-0.5 * scaled**2), axis=-1)
            each = jnp.sum(jnp.log(density + 1e-35), axis=-1)  # [B, 100]
            return jnp.logaddexp(total, jax.nn.logsumexp(each, axis=1)), None

        parts = [x.reshape(-1, 100, *x.shape[1:]) for x in (weight, mean, stddev)]
        total, _ = jax.lax.scan(more, jnp.full(len(z), -jnp.inf), tuple(parts))
        return total - math.log(len(codes))


def _shifted(image, key, most):
    """Return each image moved by up to `most` pixels along each axis, black moving in."""
    import jax
    import jax.numpy as jnp

    padded = jnp.pad(image, ((0, 0), (most, most), (most, most), (0, 0)))
    corner = jax.random.randint(key, (len(image), 2), 0, 2 * most + 1)
    shape = image.shape[1:]
    cut = jax.vmap(lambda x, at: jax.lax.dynamic_slice(x, (at[0], at[1], 0), shape))
    return cut(padded, corner)


def _tour(codes):
    """Return the row visited before each row by the greedy tour; the first one's is its own."""
    import jax
    import jax.numpy as jnp

    half = 0.5 * jnp.sum(codes**2, axis=1)

    def visit(_, state):
        current, free, before = state
        score = codes @ codes[current] - half
        best = jnp.argmax(jnp.where(free, score, -jnp.inf))
        return best, free.at[best].set(False), before.at[best].set(current)

    free = jnp.ones(len(codes), bool).at[0].set(False)
    before = jnp.zeros(len(codes), jnp.int32)
    start = (jnp.zeros((), jnp.int32), free, before)
    return jax.lax.fori_loop(0, len(codes) - 1, visit, start)[2]


def _linear(train, test, labels):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(np.asarray(train))
    model = LogisticRegression(C=1.0, max_iter=200)
    model.fit(scale.transform(np.asarray(train)), labels[0])
    return float(model.score(scale.transform(np.asarray(test)), labels[1]))


# -- afterwards, with TensorFlow -------------------------------------------------------------


def finish(args):
    import keras
    import tensorflow as tf

    from keras_acn.encoders.base import CODE_EPSILON
    from keras_acn.experiment import build, load_config

    work = pathlib.Path(args.work)
    lines = (pathlib.Path(args.out) / f"{args.name}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    job = args.job or args.name
    overrides = ["training.precision=float32"]  # a model that is compared, and kept
    if args.data is not None:
        overrides.append(f"data.source={args.data}")
    config = load_config(file=work / f"{job}.yaml", overrides=overrides)
    data = build.build_data(config)
    # The weights of parts that were frozen are in the file as well.
    training = config.training.model_copy(update={"frozen": None})
    thawed = config.model_copy(update={"training": training})
    model = build.build_model(thawed, data.image_shape, len(data.train))
    arrays = np.load(pathlib.Path(args.out) / f"{args.name}.npz")
    weights = [arrays[name] for name in sorted(n for n in arrays.files if n.isdigit())]
    variables = [v for part in PARTS for v in getattr(model, part).trainable_variables]
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value.astype("float32"))
    norm = model.encoder.code_norm
    if norm is not None:
        # Standardization is in the weights of the mean already: the layer changes nothing.
        unchanged = model.encoder.code_stddev**2 - CODE_EPSILON
        norm.set_weights([np.zeros(model.latent_dim), np.full(model.latent_dim, unchanged)])
    image, code = arrays["images"].astype("float32"), arrays["answer_code"]
    here = {
        "answer_code": model.encoder(image).mean(),
        "answer_nats": -model.decoder(tf.constant(code)).log_prob(image),
        "answer_prior": model.prior(tf.constant(code[::-1].copy())).log_prob(code),
    }
    for name, value in here.items():
        off = float(np.max(np.abs(value - arrays[name]) / (1 + np.abs(arrays[name]))))
        print(f"{name}: relative difference to TensorFlow {off:.1e}")
        if not off < args.tolerance:
            sys.exit(
                f"Error: {name} differs by more than {args.tolerance}: the run is not written."
            )
    model.recode(data.train)
    run = pathlib.Path(args.run)
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(config.to_yaml())
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    bare.save(run / "model.keras")
    from keras_acn.experiment.folder import write_history

    write_history(run / "history.csv", rows)
    metrics = {"epochs": len(rows), "finished": True, "seconds": rows[-1]["seconds"]}
    metrics["trained_with"] = f"Keras {keras.__version__} on JAX: tools/train_with_jax.py"
    (run / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(f"{run}: {len(rows)} epochs")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("prepare")
    command.add_argument("work")
    command.add_argument("name")
    command.add_argument("--preset", default="paper-mnist-small")
    command.add_argument("--data", required=True)
    command.add_argument("--set", action="append", default=[])
    command.add_argument("--shift", type=int, default=0, help="move images by up to so many pixels")
    command.add_argument(
        "--hide-context",
        default="0",
        help="the share of images whose pixels before a pixel are hidden from the decoder, or "
        "[[epoch, share], ...]",
    )
    command.add_argument(
        "--encoder-rate",
        default="1",
        help="the encoder's part of the learning rate, or [[epoch, part], ...]",
    )
    command.add_argument("--start", help="weights to begin with: an .npz of WORK")
    command.set_defaults(do=prepare)
    command = commands.add_parser("train")
    command.add_argument("work")
    command.add_argument("out")
    command.add_argument("names", nargs="+")
    command.add_argument("--every", type=int, default=0, help="epochs between two measurements")
    command.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    command.add_argument(
        "--stretch", action="store_true", help="as many epochs as fit into --seconds, no other"
    )
    command.add_argument(
        "--snapshots", type=float, nargs="*", default=(), help="shares of the epochs to save at"
    )
    command.set_defaults(do=train)
    command = commands.add_parser("finish")
    for name in ("work", "out", "name", "run"):
        command.add_argument(name)
    command.add_argument("--data", help="where the images are, if not where they were")
    command.add_argument("--job", help="the job's name, where NAME is a snapshot of it")
    command.add_argument("--tolerance", type=float, default=1e-4)
    command.set_defaults(do=finish)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
