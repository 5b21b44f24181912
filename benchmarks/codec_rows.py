"""What the codec's orders and codes are worth: every row of it, decoded and compared, in one table.

    python benchmarks/codec_rows.py MODEL --data idx:MNIST --unlike idx:FASHION
        [--vae MODEL] [--images 10000] [--steps 9 --between 10] [--out FILE.md]

MODEL is an ACN of binary images: a trained one's name, a run folder or a .keras file. Coded are

1. the test images of `--data`, binarized from a seed: as a stream and as a set, whose net rate is
   to be that of the stream less ln(N!)/N; and under the codes of the images seen, read by a copy
   of the model without its codebook, and under both;
2. those of `--unlike`, which the model was not trained on, at a threshold, under all three kinds
   of codes;
3. the frames of eight slow daydreams in their order, under all three kinds of codes: between one
   image of a daydream and the next the latents move evenly, in so many frames.

`--vae` adds rows of a VAE to the first part. What comes out of each file is compared with what went
in. Rows are written as they come.
"""

import argparse
import dataclasses
import math
import pathlib
import time

import numpy as np

HEAD = (
    "| images | model | mode | codes | bytes | bits a pixel, net | nats an image, net | | in /s "
    "| out /s | back |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
DREAMS = 8


@dataclasses.dataclass
class Table:
    """A Markdown table that is printed, and written to a file, row by row."""

    out: pathlib.Path | None
    lines: list[str] = dataclasses.field(default_factory=list)

    def write(self, line):
        print(line, flush=True)
        self.lines.append(line)
        if self.out is not None:
            self.out.write_text("\n".join(self.lines) + "\n")


def coded(table, title, name, model, images, mode, codes, remark, **options):
    """Compress, decompress, compare; write the row; return the net nats an image.

    Args:
      table: The `Table`.
      title: What the images are.
      name: What the model is called.
      model: The model.
      images: uint8 `[N, H, W, C]`.
      mode: `"stream"` or `"set"`.
      codes: `"training"`, `"seen"` or `"both"`; `None` for a model without any.
      remark: Takes the net nats an image, returns what is to be said of them.
      **options: Of `compress`.
    """
    from keras_acn import codec

    asked = {"mode": mode, "codes": codes or "training", "verify": False, **options}
    began = time.perf_counter()
    data = codec.compress(images, model, **asked)
    packing = len(images) / (time.perf_counter() - began)
    reader = codec.without_codes(model) if codes == "seen" else model
    began = time.perf_counter()
    again = codec.decompress(bytes(data), reader)
    unpacking = len(images) / (time.perf_counter() - began)
    if mode == "stream":
        same = np.array_equal(again, images)
    else:
        same = sorted(map(bytes, again)) == sorted(map(bytes, images))
    report, nats = data.report, data.report.net_nats_per_image
    table.write(
        f"| {title} | {name} | {mode} | {codes or '-'} | {report.file_bytes:,} "
        f"| {report.net_bits_per_dim:.4f} | {nats:.2f} | {remark(nats)} | {packing:.0f} "
        f"| {unpacking:.0f} | {'yes' if same else 'NO'} |"
    )
    if not same:
        raise SystemExit("What came out is not what went in.")
    return nats


def as_a_set(table, title, name, model, images, codes=None):
    """Code images as a stream and as a set; return the set's net nats an image."""
    stream = coded(table, title, name, model, images, "stream", codes, lambda nats: "")
    wanted = stream - math.lgamma(len(images) + 1) / len(images)

    def remark(nats):
        share = 100 * (nats / wanted - 1)
        return f"stream - ln(N!)/N = {wanted:.2f}, {share:+.2f} %"

    return coded(table, title, name, model, images, "set", codes, remark)


def learning(table, title, name, model, images, mode, training=None, **options):
    """Code images under each kind of codes; `training` is what the first came to, if known."""
    if training is None:
        training = coded(
            table, title, name, model, images, mode, "training", lambda nats: "", **options
        )
    for codes in ("seen", "both"):
        coded(
            table,
            title,
            name,
            model,
            images,
            mode,
            codes,
            lambda nats: f"{nats - training:+.2f} nats to training",
            **options,
        )


def slow_daydreams(model, images, steps, between, seed=0):
    """Return the frames of daydreams, each in its order, uint8 `[B * frames, H, W, C]`."""
    dreamt = model.daydream(images, steps=steps, seed=seed)  # [steps + 1, B, H, W, C]
    codes = np.stack([model.codes(each) for each in dreamt])
    z = [
        codes[i] + (codes[i + 1] - codes[i]) * j / between
        for i in range(steps)
        for j in range(between)
    ]
    frames = [
        model.decode(each).sample(seed=[seed, i]).numpy() for i, each in enumerate([*z, codes[-1]])
    ]
    frames = np.stack(frames, axis=1)  # [B, frames, H, W, C]
    return np.rint(frames).astype(np.uint8).reshape(-1, *frames.shape[2:])


def test_images(data, shape, limit, **treatment):
    """Return the test images of a source, uint8 `[N, H, W, C]`."""
    from keras_acn.codec.inputs import Treated, open_input

    source = Treated(open_input(data, "test"), limit=limit, **treatment)
    return np.concatenate(list(source.blocks(4096))).reshape(-1, *shape).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--data", required=True, help="like the training data: idx:DIR, ...")
    parser.add_argument("--unlike", help="unlike the training data: idx:DIR, ...")
    parser.add_argument("--vae", metavar="MODEL")
    parser.add_argument("--images", type=int, default=10_000, help="of each source, at most")
    parser.add_argument("--seed", type=int, default=1, help="that the images are binarized from")
    parser.add_argument("--steps", type=int, default=9, help="of each daydream")
    parser.add_argument("--between", type=int, default=10, help="frames of a step")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE.md")
    options = parser.parse_args()
    import keras_acn
    from keras_acn.experiment import open_run

    model, name = open_run(options.model).model, pathlib.Path(options.model).name
    table = Table(options.out)
    images = test_images(
        options.data, model.image_shape, options.images, binarize="static", seed=options.seed
    )
    table.write(
        f"{len(images):,} images, seed {options.seed}; keras_acn {keras_acn.__version__}\n\n{HEAD}"
    )
    training = as_a_set(table, "like the training data", name, model, images, "training")
    learning(table, "like the training data", name, model, images, "set", training)
    if options.vae:
        vae = open_run(options.vae).model
        own = pathlib.Path(options.vae).name
        as_a_set(table, "like the training data", own, vae, images)
    if options.unlike:
        strange = test_images(
            options.unlike, model.image_shape, options.images, binarize="threshold"
        )
        learning(table, "unlike them", name, model, strange, "set")
    frames = slow_daydreams(model, images[:DREAMS], options.steps, options.between)
    title = f"{DREAMS} slow daydreams, {len(frames)} frames"
    learning(table, title, name, model, frames, "stream", lanes=DREAMS)


if __name__ == "__main__":
    main()
