"""Files that hold their model: there and back, what it costs, and what hostile ones do."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from codec_models import as_set, noise, small_model

from keras_acn import codec
from keras_acn._base.errors import UserError
from keras_acn.cli import main
from keras_acn.codec import kept, networks, recipe
from keras_acn.codec.container import Header, ModelPart, Reader
from keras_acn.codec.embedded import FLOAT16, WEIGHT_BITS, Layout, Packed
from keras_acn.codec.fingerprints import described
from keras_acn.codec.sections import squeezed

SHAPE = (6, 4, 1)
KINDS = [
    ("mlp", "bernoulli", "ACN", {"mode": "set"}, 8),
    ("mlp", "bernoulli", "ACN", {"mode": "stream", "codes": "both"}, 16),
    ("conv", "logistic", "ACN", {"mode": "tour", "keep_order": True}, 4),
    ("blocks", "bernoulli", "VAE", {"mode": "set"}, 16),
    ("pixelcnn", "categorical", "VAE", {"mode": "stream"}, 5),
    ("mlp", "bernoulli", "VAE learned_mixture", {"mode": "set"}, 8),
    ("conv", "logistic", "VAE vamp", {"mode": "stream"}, 16),
    ("mlp", "bernoulli", "VAE vamp", {"mode": "set", "keep_order": True}, 6),
]


def model_of(data):
    """The header of a file, and the model part as it was read."""
    reader = Reader(bytes(data), "x")
    header = Header.read(reader)
    assert reader.take(1) == b"M"
    return header, ModelPart.read(reader)


def with_model(data, content):
    """The file with another model inside, all checksums right."""
    header, part = model_of(data)
    head = header.to_bytes()
    return head + ModelPart(content).to_bytes() + bytes(data)[len(head) + part.size :]


@pytest.mark.fast(every=3)
@pytest.mark.parametrize(("decoder", "family", "kind", "options", "bits"), KINDS)
def test_there_and_back_with_the_file_alone(decoder, family, kind, options, bits):
    kind, _, prior = kind.partition(" ")
    own = {"prior": {"name": prior, "components": 7}} if prior else {}
    model = small_model(decoder, family, shape=SHAPE, kind=kind, **own)
    images = noise(20, SHAPE, 2 if family == "bernoulli" else 256)
    options = {**options, "embed_model": True, "weight_bits": bits, "verify": False}
    data = codec.compress(images, model, **options)
    back = codec.decompress(bytes(data))
    if options["mode"] == "set":
        assert as_set(back) == as_set(images)
    else:
        np.testing.assert_array_equal(back, images)
    # The two parts are the file.
    _, part = model_of(data)
    assert data.report.model_bytes == len(part.to_bytes())
    assert data.report.model_bytes + data.report.data_bytes == len(data)
    told = codec.info(bytes(data))[1]
    assert (told.model_bytes, told.data_bytes) == (part.size, len(data) - part.size)
    assert f"{part.size:,} bytes of model" in told.to_text()


def test_rates_are_without_the_model():
    model, images = small_model(), noise(20)
    inside = codec.compress(images, model, embed_model=True, codes="training").report
    outside = codec.compress(images, model).report
    assert inside.net_nats_per_image == pytest.approx(outside.net_nats_per_image, rel=0.1)
    assert inside.gross_bits_per_dim > 10 * outside.gross_bits_per_dim


def test_the_codebook_stays_outside_where_seen_codes_serve():
    model, images = small_model(codes=3000), noise(20)
    sizes = {}
    for mode, codes in (("stream", None), ("set", "seen"), ("set", "training"), ("stream", "both")):
        options = {"mode": mode, "codes": codes, "embed_model": True, "verify": False}
        report = codec.compress(images, model, **options).report
        assert report.codes == (codes or "seen")
        sizes[codes or "seen"] = report.model_bytes
    # 3,000 codes of 4 float16s, whose high halves are entropy-coded.
    assert sizes["training"] == sizes["both"]
    assert sizes["both"] > sizes["seen"] + 3000 * 4 * 1.2
    assert codec.compress(images, model).report.codes == "training"
    tour = codec.compress(images, model, embed_model=True, mode="tour", verify=False).report
    assert (tour.codes, tour.model_bytes) == ("training", sizes["training"])


def test_fewer_bits_are_fewer_bytes_and_coarser_weights():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(200, 100)).astype(np.float32), np.float32([1, -2, 0.1])]
    layouts = [Layout(each.shape, exact=False) for each in weights]
    sizes = []
    for bits in WEIGHT_BITS:
        packed = Packed.of({}, layouts, weights, bits)
        sizes.append(len(packed.to_bytes()))
        matrix, bias = Packed.read(packed.to_bytes(), "x").arrays(layouts)
        step = np.abs(weights[0]).max() / (2 ** (bits - 1) - 1) if bits < 16 else 2**-9
        assert np.abs(matrix - weights[0]).max() <= 0.5001 * step
        assert bias.tolist() == np.float32(np.float16(weights[1])).tolist()
    assert sizes == sorted(sizes)
    # A uniform grid of 15 cells over 8 standard deviations, to within a Huffman code's loss.
    numbers = np.rint(weights[0] / (np.abs(weights[0]).max() / 7)).astype(int)
    share = np.unique(numbers, return_counts=True)[1] / numbers.size
    entropy = -(share * np.log2(share)).sum() * numbers.size / 8
    assert entropy < sizes[0] < 1.05 * entropy + 100


def test_a_model_that_does_not_change_by_rounding_keeps_its_hash():
    model = small_model()
    for part in (model.encoder, model.prior, model.decoder):
        part.set_weights([w.astype(np.float16).astype(np.float32) for w in part.get_weights()])
    header, _ = model_of(codec.compress(noise(5), model, embed_model=True))
    assert header.fingerprint == codec.fingerprint(model, codes=False)


def test_what_cannot_go_into_a_file_is_one_sentence():
    class Mine(type(small_model(kind="VAE"))):
        pass

    images, model = noise(5), small_model(kind="VAE")
    sub = Mine((6, 5, 1), 4, encoder="mlp", decoder={"name": "mlp", "hidden": [8]})
    with pytest.raises(UserError, match="ACN and VAE only, not a Mine"):
        codec.compress(images, sub, embed_model=True)
    # One of the same name, and maybe of the same weights.
    own = type("MLPDecoder", (type(model.decoder),), {})
    strange = small_model(kind="VAE")
    strange.decoder.__class__ = own
    with pytest.raises(UserError, match="decoder MLPDecoder is none of this package's"):
        codec.compress(images, strange, embed_model=True)
    with pytest.raises(UserError, match="give embed_model"):
        codec.compress(images, model, weight_bits=8)
    for bits in (3, 9, True, "8"):
        with pytest.raises(UserError, match="one of 4, 5, 6, 7, 8 and 16"):
            codec.compress(images, model, embed_model=True, weight_bits=bits)
    with pytest.raises(UserError, match="leave --model"):
        codec.decompress(bytes(codec.compress(images, model, embed_model=True)), model)
    model.decoder.output_layer.kernel.assign(model.decoder.output_layer.kernel * 1e9)
    with pytest.raises(UserError, match="65,504"):
        codec.compress(images, model, embed_model=True)
    model.decoder.output_layer.kernel.assign(model.decoder.output_layer.kernel * np.nan)
    with pytest.raises(UserError, match="no number"):
        codec.compress(images, model, embed_model=True)


@pytest.fixture(scope="module")
def data():
    return bytes(codec.compress(noise(20), small_model(), embed_model=True, verify=False))


def changes():
    """Configs that no reader may follow, as functions of the right one."""

    def put(*path_and_value):
        *path, last, value = path_and_value

        def change(config):
            at = config
            for key in path:
                at = at[key]
            at[last] = value

        return change

    for part, index in (("encoder", 0), ("prior", 0), ("decoder", 0)):
        for name in (
            "Nothing",
            "keras_acn.models:ACN",
            "os.system",
            "builtins>eval",
            "FittedNormal",
            "VHE",
            "mlp",
            "Lambda",
            "../x",
            7,
            None,
            ["MLPEncoder"],
        ):
            yield f"{part}-{name}", put(part, index, name)
        for value in (None, [], "x", ["MLPEncoder"], [1, 2], ["MLPEncoder", []]):
            yield f"{part}-is-{value}", put(part, value)
        for key, value in (
            ("__class__", "x"),
            ("module", "os"),
            ("class_name", "Lambda"),
            ("dtype", "float16"),
            ("name", "x/../../y"),
            ("code_dim", 9),
            ("image_shape", [28, 28, 1]),
            ("image_shape", [10**9, 10**9, 1]),
            ("latent_dim", 10**9),
            ("activation", "os.system"),
            ("activation", {"class_name": "Lambda"}),
            ("activation", "keras_acn>ACN"),
        ):
            yield f"{part}-{key}-{value}", put(part, 1, key, value)
        for hidden in (
            [10**9],
            [10**30],
            [16384] * 60,
            [1] * 10**4,
            [-1],
            [0],
            [1.5],
            [True],
            "512",
            {"a": 1},
            None,
            10**9,
        ):
            yield f"{part}-hidden-{str(hidden)[:20]}", put(part, 1, "hidden", hidden)
    for likelihood in (
        None,
        "bernoulli",
        ["Mine", {}],
        {"name": "Bernoulli"},
        ["DiscretizedLogisticMixture", {"components": 10**9}],
        ["DiscretizedLogisticMixture", {"x": 1}],
        ["Categorical256", {}],
        {"class_name": "Lambda", "config": {}},
    ):
        yield f"likelihood-{likelihood}", put("decoder", 1, "likelihood", likelihood)
    yield "components", put("prior", 1, "components", 10**9)
    for name in ("LearnedMixture", "VampPrior"):
        for options in (
            {"components": 10**9},
            {"components": 2**14},
            {"components": 0},
            {"components": 2.5},
            {"components": True},
            {"components": [5]},
            {"image_shape": [10**9, 10**9, 1]},
            {"latent_dim": 10**9},
            {"hidden": [5]},
            {},
        ):
            yield f"{name}-{options}", put("prior", [name, options])
    yield "variance", put("encoder", 1, "variance", "none of these")
    yield (
        "pixelcnn",
        put("decoder", ["GatedPixelCNN", {"likelihood": {"name": "bernoulli"}, "layers": 10**9}]),
    )
    yield (
        "wide-pixelcnn",
        put("decoder", ["GatedPixelCNN", {"likelihood": {"name": "bernoulli"}, "filters": 16000}]),
    )
    yield (
        "features",
        put("decoder", ["ConvDecoder", {"likelihood": ["Bernoulli", {}], "filters": [4000]}]),
    )
    yield "conv", put("encoder", ["ConvEncoder", {"filters": [16000, 16000]}])
    yield (
        "convolutions",
        put("encoder", ["ConvEncoder", {"filters": [1] * 60, "convolutions": 10**4}]),
    )
    yield (
        "doublings",
        put("decoder", ["ConvDecoder", {"likelihood": ["Bernoulli", {}], "filters": [1] * 60}]),
    )
    for codes in (-1, 10**12, 2**24, "5", None, True, 40):
        yield f"codes-{codes}", put("codes", codes)
    for kind in ("VHE", "Autoencoder", "keras_acn>ACN", None, 3, ["ACN"], "VAE"):
        yield f"kind-{kind}", put("kind", kind)
    yield "further", put("further", 1)
    yield "missing", lambda config: config.pop("prior")


@pytest.mark.fast(every=6)
@pytest.mark.slow_sample(every=4)
@pytest.mark.parametrize("change", [pytest.param(f, id=name) for name, f in changes()])
def test_a_hostile_config_is_one_sentence(data, change):
    packed = Packed.read(model_of(data)[1].content, "x")
    config = json.loads(json.dumps(packed.config))
    change(config)
    hostile = with_model(data, Packed(config, packed.bits, packed.sections).to_bytes())
    with pytest.raises(UserError) as told:
        codec.decompress(hostile)
    assert len(str(told.value)) < 400 and "\n" not in str(told.value)
    assert "again" in str(told.value)


def test_pseudo_inputs_that_are_too_many_for_their_encoder(monkeypatch):
    """They go through it at once, so how much that takes is known before anything is made."""
    model = small_model(kind="VAE", prior={"name": "vamp", "components": 50})
    images = noise(5)
    data = bytes(codec.compress(images, model, embed_model=True))
    assert np.array_equal(codec.decompress(data), images)
    monkeypatch.setattr(kept, "_LAST", {})
    monkeypatch.setattr(recipe, "MOST_FEATURES", 50 * 30 - 1)
    with pytest.raises(UserError, match="50 components: too many for its encoder.*again"):
        codec.decompress(data)
    with pytest.raises(UserError, match="50 components: too many.*beside it"):
        codec.compress(images, model, embed_model=True, weight_bits=8)


def test_lanes_that_are_too_many_for_a_mixture_over_whole_latents(monkeypatch):
    model = small_model(kind="VAE", prior={"name": "learned_mixture", "components": 50})
    monkeypatch.setattr(networks, "MOST_CANDIDATES", 4 * 50)
    codec.compress(noise(9), model, lanes=4)
    with pytest.raises(UserError, match="5 lanes with 50 components .* lower the lanes"):
        codec.compress(noise(9), model, lanes=5)


@pytest.mark.parametrize("config", [b"[]", b"1", b"{", b"\xff", b"[" * 60_000, b'{"a":NaN}', b""])
def test_a_config_that_is_none(data, config):
    packed = Packed.read(model_of(data)[1].content, "x")
    sections = b"".join(squeezed(each) for each in (config, *packed.sections))
    with pytest.raises(UserError, match="again"):
        codec.decompress(with_model(data, bytes([packed.bits]) + sections))


def test_hostile_weights_are_one_sentence(data):
    packed = Packed.read(model_of(data)[1].content, "x")
    exact, low, high, whole = packed.sections
    nan = b"\x7e" + high[1:]
    for sections in (
        (exact, low, nan, whole),  # a NaN
        (exact, low, b"\x7c" + high[1:], whole),  # at least as bad
        (exact, low[:-1], high[:-1], whole),  # one too few
        (exact, low + b"0", high + b"0", whole),
        (exact, low, high, b"0"),
        (b"0000", low, high, whole),
        (exact, low[::-1], high, whole),  # others
        (b"", b"", b"", b""),
    ):
        hostile = Packed(packed.config, packed.bits, sections).to_bytes()
        with pytest.raises(UserError, match="again"):
            codec.decompress(with_model(data, hostile))
    for bits in (0, 3, 8, 9, 255):
        content = bytes([bits]) + packed.to_bytes()[1:]
        with pytest.raises(UserError, match="again"):
            codec.decompress(with_model(data, content))


def test_huge_weights_end_in_a_sentence_too(data):
    """Weights that are numbers, under the hash that they have, but that no image survives."""
    import dataclasses

    header, part = model_of(data)
    packed = Packed.read(part.content, "x")
    exact, low, high, whole = packed.sections
    packed = Packed(packed.config, packed.bits, (exact, low, b"\x7b" * len(high), whole))
    model = recipe._build(packed.config, header.image_shape, header.latent_dim)
    recipe._set_weights(model, packed.arrays(recipe._layouts(model)))
    header = dataclasses.replace(header, fingerprint=codec.fingerprint(model, codes=False))
    rest = data[len(header.to_bytes()) + part.size :]
    with pytest.raises(UserError):
        codec.decompress(header.to_bytes() + ModelPart(packed.to_bytes()).to_bytes() + rest)


def test_cut_off_and_bombs(data):
    _, part = model_of(data)
    for size in range(0, len(part.content), 97):
        with pytest.raises(UserError):
            codec.decompress(with_model(data, part.content[:size]))
    for size in range(0, len(data), 211):
        with pytest.raises(UserError):
            codec.decompress(data[:size])
    from keras_acn._base.varint import varint
    from keras_acn.codec import sections

    for method, pack in enumerate(sections._PACKERS):
        # It says 100 bytes, and unpacks to 50 million.
        bomb = pack(bytes(100 if method == 0 else 50_000_000)) + b"1" * (method == 0)
        section = varint(100) + bytes([method]) + varint(len(bomb)) + bomb
        with pytest.raises(UserError, match="again"):
            codec.decompress(with_model(data, bytes([FLOAT16]) + section))


CONFIGS = {
    "encoder": [
        {"name": "mlp", "hidden": []},
        {"name": "mlp", "hidden": [30, 20], "variance": "learned"},
        {"name": "conv", "filters": [4, 8], "convolutions": 3, "dense": 0},
        {"name": "conv", "filters": [6], "normalization": "group", "variance": "sigmoid"},
        {"name": "conv", "filters": [5, 4], "normalization": "layer", "convolutions": 1},
    ],
    "prior": [
        {"name": "mixture", "hidden": [30, 20], "components": 3},
        {"name": "mixture", "hidden": [30], "components": 1, "skip_connections": False},
        {"name": "mixture", "hidden": []},
        "normal",
        {"name": "learned_mixture", "components": 7},
        {"name": "vamp", "components": 5},
    ],
    "decoder": [
        {"name": "mlp", "hidden": [30, 10]},
        {"name": "conv", "filters": [4, 8, 3]},
        {"name": "conv", "filters": [4]},
        *(
            {
                "name": "pixelcnn",
                "filters": 8,
                "layers": 2,
                "first_kernel_size": 3,
                "kernel_size": 5,
                "conditioning": conditioning,
                "block": block,
                **more,
            }
            for conditioning, block, more in (
                ("global", 1, {}),
                ("spatial", 2, {}),
                ("spatial", 4, {"residual": "horizontal", "bottleneck_filters": 20}),
            )
        ),
    ],
}


@pytest.mark.fast(every=3)
@pytest.mark.parametrize("part", CONFIGS)
@pytest.mark.parametrize("shape", [(8, 12, 1), (8, 4, 3)])
def test_the_bound_on_a_size_holds_and_is_no_waste(part, shape):
    """What is worked out before a part is made is at least its weights, and no hundred times."""
    registry = recipe._PARTS[part][0]
    families = [{}]
    if part == "decoder":
        families = [{"likelihood": each} for each in ("bernoulli", "categorical")]
        families.append({"likelihood": {"name": "discretized_logistic_mixture", "components": 5}})
    for given, family in zip(CONFIGS[part], itertools.cycle(families), strict=False):
        given = {"name": given} if isinstance(given, str) else given
        made = registry.get({**given, **family}, image_shape=shape, latent_dim=5)
        name, options = recipe._options(part, described(made), shape, 5)
        bound, _ = recipe._SIZES[name](options, shape[0] * shape[1])
        count = sum(weight.size for weight in made.get_weights())
        assert count <= bound <= 40 * count + 1000, (given, family, count, bound)
        again = registry.find(name)(**options, dtype="float32")
        assert [w.shape for w in again.weights] == [w.shape for w in made.weights]


@pytest.mark.parametrize("block", [1, 4])
def test_the_bound_holds_where_pixels_are_predicted(block):
    family = {"name": "discretized_logistic_mixture", "components": 1}
    options = {"filters": 1, "layers": 1, "kernel_size": 3, "first_kernel_size": 3, "block": block}
    made = recipe._PARTS["decoder"][0].get(
        {"name": "pixelcnn", "likelihood": family, "prediction": "linear", **options},
        image_shape=(8, 8, 3),
        latent_dim=1,
    )
    name, options = recipe._options("decoder", described(made), (8, 8, 3), 1)
    assert sum(w.size for w in made.get_weights()) <= recipe._SIZES[name](options, 64)[0]
    # A block of 64 x 64 colours would have 2.4 GB of such weights.
    config = {"kind": "VAE", "codes": 0, "encoder": ["MLPEncoder", {"hidden": [1]}]}
    given = {**described(made)[1], "image_shape": [64, 64, 3], "block": 64}
    config |= {"prior": ["StandardNormal", {}], "decoder": [name, given]}
    with pytest.raises(recipe._Unfit, match="more than the .* weights"):
        recipe._build(config, (64, 64, 3), 1)


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small_model().save("small.keras")
    np.save("x.npy", noise(30)[..., 0])
    arguments = ["compress", "small.keras", "x.npy", "x.acn", "--embed-model"]
    assert main([*arguments, "--mode", "set", "--weight-bits", "6"]) == 0
    assert "bytes of model + " in capsys.readouterr().out
    assert main(["info", "x.acn", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model_inside"] and told["codes"] == "seen"
    assert told["model_bytes"] + told["data_bytes"] == (tmp_path / "x.acn").stat().st_size
    assert main(["info", "x.acn"]) == 0
    assert "inside the file" in capsys.readouterr().out
    (tmp_path / "small.keras").rename("moved.keras")
    assert main(["decompress", "x.acn", "y.npy"]) == 0
    assert as_set(np.load("y.npy")) == as_set(np.load("x.npy"))
    capsys.readouterr()
    assert main(["decompress", "x.acn", "z.npy", "--model", "moved.keras"]) == 2
    error = capsys.readouterr().err
    assert "leave --model" in error and error.count("\n") == 1
    assert main([*arguments[:1], "moved.keras", *arguments[2:4], "--weight-bits", "8"]) == 2
    assert "--embed-model" in capsys.readouterr().err


def test_what_a_file_says_of_its_model_needs_no_tensorflow(data, tmp_path):
    (tmp_path / "x.acn").write_bytes(data)
    program = (
        "import sys; from keras_acn import codec; print(codec.info(sys.argv[1])[1].model_bytes); "
        "assert 'tensorflow' not in sys.modules"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "x.acn")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(told) == model_of(data)[1].size
