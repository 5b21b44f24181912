"""A training step of the PixelCNN against the same network in PyTorch and in JAX.

Each framework runs in a process of its own, on weights, images and latents that are the same to
the bit; their first losses are compared before anything is timed. Then they take turns, a few
steps each, Adam included. JAX runs our own Keras layers under Keras's JAX back end; PyTorch runs
the network as one would write it there (channels last), as it is and compiled. A framework that
an interpreter lacks is left out.

    python benchmarks/pixelcnn_peers.py [--jax PYTHON] [--torch PYTHON] [--threads 1]
        [--batch-size 64] [--turns 5]

`--jax` and `--torch` name interpreters that have those packages, by default the one in use.
"""

import argparse
import importlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

DECODERS = {
    "6 layers x 32, kernels 5": {"layers": 6, "filters": 32},
    "6 x 32, by blocks of 2 x 2, kernels 3": {
        "layers": 6,
        "filters": 32,
        "block": 2,
        "kernel_size": 3,
        "first_kernel_size": 5,
    },
}
STEPS = 5


def configured(name):
    """Return the decoder's options of a row."""
    return {"image_shape": (28, 28, 1), "latent_dim": 16, "conditioning": "spatial"} | DECODERS[
        name
    ]


# -- ours ------------------------------------------------------------------------------------


def of_tensorflow(folder, name, xla):
    """Return a function that does a step and returns its loss."""
    import keras
    import tensorflow as tf

    from keras_acn.decoders import GatedPixelCNN

    decoder = GatedPixelCNN(**configured(name))
    given = np.load(folder / "given.npz")
    for i, weight in enumerate(decoder.trainable_weights):
        weight.assign(given[f"w{i}"])
    x, z = tf.constant(given["x"]), tf.constant(given["z"])
    optimizer = keras.optimizers.Adam(1e-3)
    variables = decoder.trainable_variables

    @tf.function(jit_compile=xla)
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(decoder(z).log_prob(x))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return lambda: float(step())


def of_jax(folder, name):
    """The same layers, under Keras's JAX back end."""
    os.environ["KERAS_BACKEND"] = "jax"
    root = pathlib.Path(__file__).parents[1]
    sys.path[:0] = [str(root), str(root / "tools")]
    import train_with_jax

    sys.meta_path.insert(0, train_with_jax._Absent())
    import jax
    import jax.numpy as jnp
    import keras

    from keras_acn.decoders import GatedPixelCNN

    decoder = GatedPixelCNN(**configured(name), dtype="float32")
    given = np.load(folder / "given.npz")
    variables = decoder.trainable_variables
    weights = [jnp.asarray(given[f"w{i}"]) for i in range(len(variables))]
    x, z = jnp.asarray(given["x"]), jnp.asarray(given["z"])

    def cost(weights):
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            logits = decoder.parameters(x, z)
        return jnp.mean(jnp.sum(jax.nn.softplus(logits) - x * logits, axis=(1, 2, 3)))

    @jax.jit
    def step(state):
        weights, first, second, count = state
        loss, gradients = jax.value_and_grad(cost)(weights)
        count = count + 1
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g**2 for v, g in zip(second, gradients, strict=True)]
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        weights = [
            w - rate * m / (jnp.sqrt(v) + 1e-7)
            for w, m, v in zip(weights, first, second, strict=True)
        ]
        return (weights, first, second, count), loss

    zeros = [jnp.zeros_like(w) for w in weights]
    held = [(weights, zeros, zeros, jnp.zeros(()))]

    def run():
        held[0], loss = step(held[0])
        return float(loss)

    return run


# -- PyTorch ---------------------------------------------------------------------------------


def of_torch(folder, name, compiled):
    """The same network as a PyTorch module would have it."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    options = {"block": 1, "kernel_size": 5, "first_kernel_size": 7, **configured(name)}
    block, layers = options["block"], options["layers"]
    given = np.load(folder / "given.npz")
    values = iter([given[key] for key in sorted(given, key=_number) if key.startswith("w")])
    last = torch.channels_last

    def parameter(value):
        return torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(value)))

    class Conv(torch.nn.Module):
        """A convolution with its padding and, with `cut`, without the last row or column."""

        def __init__(self, bias=True, padding=(0, 0, 0, 0), cut=None, transposed=False):
            super().__init__()
            kernel = next(values)
            if kernel.ndim == 2:
                kernel = kernel[None, None]
            # Keras: height, width, in, out; its transposed ones: height, width, out, in.
            self.weight = parameter(kernel.transpose(3, 2, 0, 1))
            self.weight.data = self.weight.data.contiguous(memory_format=last)
            self.bias = parameter(next(values)) if bias else None
            self.padding, self.cut, self.transposed = padding, cut, transposed

        def forward(self, x):
            if self.transposed:
                return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)
            if self.cut == "row":
                x = x[:, :, :-1]
            elif self.cut == "column":
                x = x[:, :, :, :-1]
            if any(self.padding):
                x = F.pad(x, self.padding)
            return F.conv2d(x, self.weight, self.bias)

    class Layer(torch.nn.Module):
        def __init__(self, size, first, final):
            super().__init__()
            self.first, self.final, side = first, final, size // 2
            row, column = ("row", "column") if first else (None, None)
            self.reduce_v = None if first else Conv()
            self.reduce_h = None if first else Conv()
            self.conv_v = Conv(padding=(side, side, side, 0), cut=row)
            self.conv_h = Conv(bias=False, padding=(side, 0, 0, 0), cut=column)
            self.v_to_h = Conv()
            self.expand_v = None if first or final else Conv()
            self.expand_h = None if first else Conv()

        @staticmethod
        def finish(gates, stack, expand):
            a, c = gates.chunk(2, dim=1)
            out = torch.tanh(a) * torch.sigmoid(c)
            return out if expand is None else expand(out) + stack

        def forward(self, v, h, bias_v, bias_h):
            gates_v = self.conv_v(v if self.first else self.reduce_v(v))
            gates_h = self.conv_h(h if self.first else self.reduce_h(h))
            h = self.finish(gates_h + self.v_to_h(gates_v) + bias_h, h, self.expand_h)
            if self.final:
                return v, h
            return self.finish(gates_v + bias_v, v, self.expand_v), h

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [options["first_kernel_size"]] + [options["kernel_size"]] * (layers - 1)
            self.gated = torch.nn.ModuleList(
                Layer(size, i == 0, i == layers - 1) for i, size in enumerate(sizes)
            )
            self.drawn, self.drawn_bias = parameter(next(values)), parameter(next(values))
            self.upsample = torch.nn.ModuleList(
                Conv(transposed=True) for _ in range(2 if block == 1 else 1)
            )
            self.shares = torch.nn.ModuleList(Conv(bias=False) for _ in range(2 * layers - 1))
            self.hidden, self.output = Conv(), Conv()

        def forward(self, x, z):
            grid = F.pixel_unshuffle(x, block) if block > 1 else x
            seen = torch.cat([2 * grid - 1, torch.ones_like(grid[:, :1])], dim=1)
            v = h = seen.contiguous(memory_format=last)
            drawn = torch.relu(z @ self.drawn + self.drawn_bias).view(len(z), 7, 7, -1)
            drawn = drawn.permute(0, 3, 1, 2)
            for layer in self.upsample:
                drawn = torch.relu(layer(drawn))
            biases = [share(drawn) for share in self.shares]
            biases.insert(-1, biases[-1])
            for i, layer in enumerate(self.gated):
                v, h = layer(v, h, biases[2 * i], biases[2 * i + 1])
            out = self.output(torch.relu(self.hidden(torch.relu(h))))
            if block == 1:
                costs = F.binary_cross_entropy_with_logits(out, x, reduction="none")
                return costs.sum((1, 2, 3)).mean()
            place = sum(grid[:, i] * 2 ** (block * block - 1 - i) for i in range(block * block))
            return F.cross_entropy(out, place.long(), reduction="none").sum((1, 2)).mean()

    decoder = Decoder()
    x = torch.from_numpy(given["x"].transpose(0, 3, 1, 2).copy()).contiguous(memory_format=last)
    z = torch.from_numpy(given["z"])
    optimizer = torch.optim.Adam(decoder.parameters(), 1e-3)
    run = torch.compile(decoder) if compiled else decoder

    def step():
        optimizer.zero_grad()
        loss = run(x, z)
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def _number(key):
    return int(key[1:]) if key[1:].isdigit() else -1


# -- turns -------------------------------------------------------------------------------------

PEERS = {
    "keras-acn": ("tensorflow", lambda folder, name: of_tensorflow(folder, name, None)),
    "keras-acn, XLA": ("tensorflow", lambda folder, name: of_tensorflow(folder, name, True)),
    "our layers in JAX": ("jax", of_jax),
    "PyTorch": ("torch", lambda folder, name: of_torch(folder, name, False)),
    "PyTorch, compiled": ("torch", lambda folder, name: of_torch(folder, name, True)),
}


def child(folder, name, peer):
    """Tell the first loss, then for each line of the input the seconds of some steps."""
    module, make = PEERS[peer]
    try:
        importlib.import_module(module)
    except ImportError:
        print(json.dumps(None), flush=True)
        return
    step = make(pathlib.Path(folder), name)
    print(json.dumps(step()), flush=True)
    for _ in range(2):
        step()
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        print((time.perf_counter() - start) / STEPS, flush=True)


def make_inputs(folder, name, batch_size):
    """Write weights, images in black and white, and latents."""
    from keras_acn.decoders import GatedPixelCNN

    decoder = GatedPixelCNN(**configured(name))
    rng = np.random.default_rng(0)
    weights = {f"w{i}": w.numpy() for i, w in enumerate(decoder.trainable_weights)}
    x = (rng.random((batch_size, 28, 28, 1)) < 0.2).astype(np.float32)
    z = rng.standard_normal((batch_size, 16)).astype(np.float32)
    np.savez(folder / "given.npz", x=x, z=z, **weights)


def compare(name, arguments):
    """Return a dict from a peer to its seconds for a step, one a turn."""
    python = {"jax": arguments.jax, "torch": arguments.torch, "tensorflow": sys.executable}
    threads = str(arguments.threads)
    variables = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    environment = os.environ | dict.fromkeys(variables, threads)
    if arguments.threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment["XLA_FLAGS"] = flags
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        make_inputs(folder, name, arguments.batch_size)
        children, losses = {}, {}
        for peer, (module, _) in PEERS.items():
            process = subprocess.Popen(
                [python[module], __file__, "--child", str(folder), name, peer],
                env=environment if module == "jax" else {**environment, "XLA_FLAGS": ""},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            said = process.stdout.readline()
            loss = json.loads(said) if said.strip() else None
            if loss is None:
                print(f"left out: {peer} ({module} is not there or does not work)")
                process.communicate("")
                continue
            children[peer], losses[peer] = process, loss
        np.testing.assert_allclose(list(losses.values()), losses["keras-acn"], rtol=1e-4)
        seconds = {peer: [] for peer in children}
        for _ in range(arguments.turns):
            for peer, process in children.items():
                process.stdin.write("\n")
                process.stdin.flush()
                seconds[peer].append(float(process.stdout.readline()))
        for process in children.values():
            process.communicate("")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jax", default=sys.executable)
    parser.add_argument("--torch", default=sys.executable)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--child", nargs=3)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    for name in DECODERS:
        seconds = compare(name, arguments)
        ours = seconds["keras-acn"]
        print(f"\n{name}, batch {arguments.batch_size}, {arguments.threads} thread(s)")
        for peer, each in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(each, ours, strict=True))
            print(
                f"  {peer:20s} {1000 * statistics.median(each):7.0f} ms a step {ratio:6.2f} times"
            )


if __name__ == "__main__":
    main()
