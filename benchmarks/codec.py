"""Compressed sizes and speeds: this package beside general-purpose and image compressors.

    python benchmarks/codec.py --data idx:DIR [--split test] [--model acn-mnist] [--limit N]
        [--lanes N] [--rows stream set set:seen set:both set:kept set:seen:inside8 tour] [--turn]
        [--no-decode] [--no-others] [--only-others] [--singly 100]
    python benchmarks/codec.py --speed [--images 4096]
    python benchmarks/codec.py --turns --data idx:DIR [--model acn-mnist] [--images 512]

The first prints bits per pixel from the sizes of files, of a split's images binarized by a draw
from a seed (`--binarize none` for 8-bit models and their images as they are). Ours are decoded
again, compared, and timed both ways, unless `--no-decode`. A row of ours is a mode, and after
colons whose codes the prior is made of, that the order is kept, and that the model is inside the
file, at so many bits a weight. `--turn` turns the images by a quarter, which makes them data that
the model was not trained on. The others are given the same bits: packed, eight pixels a byte, or a
byte a value; and, where they take images, as tiles of one picture, or a file each (estimated from
some); in their order or sorted; whichever is smallest.

The second times coding with feed-forward and PixelCNN decoders that were not trained, which
changes no time but that of the latents, on noise.

The third takes turns between this package's evaluation of a model's PixelCNN, in NumPy, and
TensorFlow's, in the mode `set`: on a machine that others use too, only what was measured side by
side can be compared. Seconds are those of the processor, of all threads together.
"""

import argparse
import functools
import importlib.util
import io
import time

import numpy as np
from _image_programs import by_program, is_there


def others(images, binary, singly):
    """Yields `(name, {way: bytes})` of the compressors that are installed.

    Args:
      images: Levels, uint8 `[N, H, W, C]`.
      binary: Whether they are zeros and ones.
      singly: How many images are tried as a file each; what all would take is estimated from them.
    """
    from keras_acn.codec.rivals import as_pictures, rivals

    levels = 2 if binary else 256
    for rival in rivals(images, levels):
        yield rival.name, {rival.form: rival.size}
    rows = images.reshape(len(images), -1)
    sets = {"": images, ", sorted": images[np.lexsort(rows.T[::-1])]}
    for name, size in image_formats().items():
        ways = {
            f"one picture{order}": sum(map(size, as_pictures(array, levels)))
            for order, array in sets.items()
        }
        some = images[:: -(-len(images) // singly)][:singly] if singly else []
        if len(some):
            alone = sum(size(each) for one in some for each in as_pictures(one[None], levels))
            ways["a file each"] = round(alone * len(images) / len(some))
        yield name, ways


def image_formats():
    """Returns functions from a Pillow image to the bytes of a lossless file."""
    found = {}
    if importlib.util.find_spec("oxipng"):
        import oxipng

        found["PNG by oxipng -o 6"] = lambda image: len(
            oxipng.optimize_from_memory(by_pillow(image, format="PNG"), level=6)
        )
    found["WebP lossless -m 6"] = lambda image: len(
        by_pillow(image.convert("RGB"), format="WEBP", lossless=True, quality=100, method=6)
    )
    for name, program, options in (
        ("JPEG XL, cjxl -d 0 -e 9", "cjxl", "-e 9"),
        ("AVIF, avifenc, lossless, -s 4", "avifenc", "-s 4 -j 1"),
    ):
        if is_there(program):
            found[name] = functools.partial(by_program, program, options.split())
    return found


def by_pillow(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def ours(model, images, options):
    """Yields `(name, report, images a second in, images a second out)`."""
    from keras_acn import codec

    associative = getattr(model, "codebook", None) is not None
    usual = ["stream", "set:kept", "set", *["set:seen", "set:both", "tour"] * associative]
    for row in [] if options.only_others else options.rows or usual:
        mode, *what = row.split(":")
        keep_order = "kept" in what
        codes = next((each for each in what if each in ("seen", "both")), "training")
        inside = next((each[6:] for each in what if each.startswith("inside")), None)
        # All is in the time: graphs, and the priors of the training codes.
        began = time.perf_counter()
        data = codec.compress(
            images,
            model,
            mode=mode,
            keep_order=keep_order,
            codes=codes,
            lanes=options.lanes,
            embed_model=inside is not None,
            weight_bits=int(inside) if inside else None,
            verify=False,
        )
        packing = time.perf_counter() - began
        if options.no_decode:
            yield row, data.report, len(images) / packing, float("nan")
            continue
        began = time.perf_counter()
        again = codec.decompress(data, None if inside is not None else model)
        unpacking = time.perf_counter() - began
        if mode == "stream" or keep_order:
            assert np.array_equal(again, images)
        else:
            assert sorted(map(bytes, again)) == sorted(map(bytes, images))
        yield row, data.report, len(images) / packing, len(images) / unpacking


def chosen_images(options, limit):
    """Returns the levels of a split's images as the options ask for them, at most `limit`."""
    from keras_acn.codec.inputs import Treated, open_input

    source = Treated(
        open_input(options.data, options.split),
        binarize=options.binarize,
        seed=options.seed,
        limit=limit,
    )
    return np.concatenate(list(source.blocks(4096)))


def table(options):
    import keras_acn
    from keras_acn.experiment import open_run

    model = open_run(options.model).model
    images = chosen_images(options, options.limit)
    images = images.reshape(len(images), *model.image_shape)
    values = images.size
    binary = int(images.max()) <= 1
    if options.turn:
        images = np.ascontiguousarray(np.rot90(images, axes=(1, 2)))
    print(
        f"{len(images)} images of {images.shape[1]}x{images.shape[2]}, {options.data}, binarize "
        f"{options.binarize}, seed {options.seed}; keras_acn {keras_acn.__version__}\n"
    )
    heads = f"{'bytes':>12}{'bits/pixel':>12}{'net':>9}  {'nats':>7}{'in /s':>8}{'out /s':>8}"
    print(" " * 28 + heads)
    for name, report, packing, unpacking in ours(model, images, options):
        print(
            f"{options.model + ' ' + name:<28}{report.file_bytes:>12,}"
            f"{report.gross_bits_per_dim:>12.4f}{report.net_bits_per_dim:>9.4f}  "
            f"{report.net_nats_per_image:>7.2f}{packing:>8.1f}{unpacking:>8.1f}"
            f"   initial {report.initial_bits}, lanes {report.lane_bits} ({report.lanes}), "
            f"order {report.order_bits} bits",
            flush=True,
        )
    if options.no_others:
        return
    for name, sizes in others(images, binary, options.singly):
        way = min(sizes, key=sizes.get)
        rest = ", ".join(f"{other} {sizes[other]:,}" for other in sizes if other != way)
        print(
            f"{name:<28}{sizes[way]:>12,}{8 * sizes[way] / values:>12.4f}   {way}"
            + (f" ({rest})" if rest else ""),
            flush=True,
        )
    if binary and images.shape[1:3] == (28, 28):
        print("BB-ANS (Townsend et al. 2019, MNIST, as published)   0.19")


def speed(options):
    import keras

    import keras_acn
    from keras_acn.codec.blocks import BlockCodec, default_lanes

    shape = (28, 28, 1)
    rng = np.random.default_rng(0)
    kinds = {
        "VAE, MLP": (keras_acn.VAE, {"name": "mlp"}, "stream", options.images),
        "ACN, MLP": (keras_acn.ACN, {"name": "mlp"}, "tour", options.images),
        "ACN, MLP, 60,000 codes": (keras_acn.ACN, {"name": "mlp"}, "stream", options.images),
        "ACN, PixelCNN 6x32": (
            keras_acn.ACN,
            {"name": "pixelcnn", "conditioning": "spatial"},
            "tour",
            max(256, options.images // 16),
        ),
        "ACN, the same by blocks": (
            keras_acn.ACN,
            {"name": "pixelcnn", "conditioning": "spatial", "block": 2},
            "set",
            max(256, options.images // 8),
        ),
    }
    print(f"{'':<26}{'mode':<8}{'lanes':>6}{'images':>8}{'in /s':>9}{'out /s':>9}   ready in s")
    for name, (kind, decoder, mode, count) in kinds.items():
        keras.utils.set_random_seed(0)
        extra = {}
        if kind is keras_acn.ACN:
            size = 60_000 if "60,000" in name else 4096
            extra["codebook"] = keras_acn.KNNCodebook(size=size)
        model = kind(shape, latent_dim=16, encoder="mlp", decoder=decoder, **extra)
        if extra:
            model.codebook.codes.assign(rng.normal(size=(size, 16)))
        levels = rng.integers(0, 2, (count, *shape)).astype(np.uint8)
        lanes = options.lanes or default_lanes(model, 2**14)
        began = time.perf_counter()
        codec = BlockCodec(model, mode, lanes)
        codec.decode(codec.encode(levels[: 2 * lanes]).block)
        ready = time.perf_counter() - began
        began = time.perf_counter()
        coded = codec.encode(levels)
        packing = time.perf_counter() - began
        began = time.perf_counter()
        again = codec.decode(coded.block)
        unpacking = time.perf_counter() - began
        assert np.array_equal(again, levels if coded.order is None else levels[coded.order])
        print(
            f"{name:<26}{mode:<8}{lanes:>6}{count:>8}{count / packing:>9.0f}"
            f"{count / unpacking:>9.0f}   {ready:.1f}",
            flush=True,
        )


def turns(options):
    from keras_acn.codec import kept, networks
    from keras_acn.codec.blocks import BlockCodec, default_lanes
    from keras_acn.experiment import open_run

    model = open_run(options.model).model
    images = chosen_images(options, options.images).reshape(-1, *model.image_shape)
    images, lanes = images.astype(np.uint8), options.lanes or default_lanes(model, 10_000)
    codecs, in_numpy = {}, networks.in_numpy
    for name in ("NumPy", "TensorFlow"):
        networks.in_numpy = in_numpy if name == "NumPy" else lambda decoder: False
        kept._KEPT.clear()
        began = time.process_time()
        codecs[name] = BlockCodec(model, "set", lanes)
        print(f"{name + ' ready':<22}{time.process_time() - began:8.1f} s")
        codecs[name].decode(codecs[name].encode(images[:lanes]).block)
    seconds = {}
    for turn in range(options.rounds):
        for name, codec in codecs.items():
            began = time.process_time()
            coded = codec.encode(images)
            middle = time.process_time()
            again = codec.decode(coded.block)
            found = middle - began, time.process_time() - middle
            assert np.array_equal(again, images[coded.order])
            seconds.setdefault(name, []).append(found)
            rates = (len(images) / each for each in found)
            print(f"{name:<12} round {turn + 1}" + "{:>9.1f} in /s{:>9.1f} out /s".format(*rates))
    both = [np.min(each, axis=0) for each in seconds.values()]
    ratio = both[1] / both[0]
    print(
        f"{len(images)} images, {lanes} lanes: {ratio[0]:.2f} times as fast in, {ratio[1]:.2f} out"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="idx:DIR, npy:FILE, ...")
    parser.add_argument("--split", default="test", choices=["train", "test"])
    parser.add_argument("--model", default="acn-mnist")
    parser.add_argument("--binarize", default="static", choices=["none", "threshold", "static"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--lanes", type=int)
    parser.add_argument("--rows", nargs="+", help="see above; all of them by default")
    parser.add_argument("--turn", action="store_true")
    parser.add_argument("--no-decode", action="store_true")
    parser.add_argument("--no-others", action="store_true")
    parser.add_argument("--only-others", action="store_true")
    parser.add_argument("--singly", type=int, default=100, help="images tried as a file each")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--turns", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, help="by default 4096, or 512 in turns")
    options = parser.parse_args()
    options.images = options.images or (512 if options.turns else 4096)
    if options.speed:
        speed(options)
    elif options.data is None:
        parser.error("give --data, or --speed")
    elif options.turns:
        turns(options)
    else:
        table(options)


if __name__ == "__main__":
    main()
