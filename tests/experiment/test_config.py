"""Configurations: where they come from, how they are joined, and what is refused."""

import subprocess
import sys

import pytest

from keras_acn import data
from keras_acn._base.errors import UserError
from keras_acn.experiment import Config, load_config
from keras_acn.experiment.config import FORMAT, parse_override
from keras_acn.experiment.presets import preset_names, preset_path

POSTS = {
    "blog-acn": ("ACN", 20, 1.0, [512], [512], 128),
    "blog-vae": ("VAE", 20, 1.0, [512], [512], 128),
    "beta-vae": ("VAE", 10, 0.784, [100, 100], [100, 100], 64),
}


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_round_trips(name, tmp_path):
    config = load_config(name)
    assert config.preset == name
    assert config.description and "\n" not in config.description
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert load_config(file=tmp_path / "config.yaml") == config


def test_the_default_is_the_built_in_piece_of_mnist():
    assert load_config() == load_config("mnist-mini") and preset_names()[0] == "mnist-mini"
    assert load_config().model.name == "ACN"
    assert Config().data.source == load_config().data.source == data.load(limit=1).name


@pytest.mark.parametrize("name", POSTS)
def test_the_posts_presets_have_the_posts_sizes(name):
    model, latent_dim, beta, encoder, decoder, batch_size = POSTS[name]
    config = load_config(name)
    assert (config.model.name, config.model.latent_dim) == (model, latent_dim)
    assert config.model.beta == pytest.approx(beta)
    assert config.encoder.as_dict()["hidden"] == encoder
    assert config.decoder.as_dict()["hidden"] == decoder
    assert config.encoder.as_dict()["variance"] == "learned"
    assert (config.data.source, config.data.binarize) == ("mnist", "none")
    assert (config.training.batch_size, config.training.optimizer) == (batch_size, "adam")


def test_the_blog_prior_is_one_gaussian_by_one_hidden_layer():
    assert load_config("blog-acn").prior.as_dict() == {
        "name": "mixture",
        "components": 1,
        "hidden": [512],
        "activation": "relu",
        "skip_connections": False,
    }


def test_the_beta_vae_takes_1024_steps():
    training = load_config("beta-vae").training
    assert training.epochs * training.steps_per_epoch == 1024


def test_overrides_are_yaml_and_the_last_one_counts():
    config = load_config(
        "digits",
        overrides=[
            "training.learning_rate=5e-4",
            "encoder.hidden=[10, 20]",
            "codebook.unique=true",
            "training.epochs=3",
            ("training.epochs", 4),
            ("data.source", "npy:a: b.npy"),
        ],
    )
    assert config.training.learning_rate == 5e-4
    assert config.encoder.as_dict()["hidden"] == [10, 20]
    assert config.codebook.unique is True
    assert config.training.epochs == 4
    assert config.data.source == "npy:a: b.npy"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1e-3", 1e-3),
        ("a.b=-2E5", -2e5),
        ("a.b=.5e1", 5.0),
        ("a.b=3", 3),
        ("a.b=null", None),
        ("a.b=c=d", "c=d"),
        ("a.b=idx:dir", "idx:dir"),
        ("a.b=", None),
        ("a.b=1e", "1e"),
    ],
)
def test_override_values(text, value):
    parsed = parse_override(text)
    assert parsed == ("a.b", value) and type(parsed[1]) is type(value)


def test_another_part_drops_the_options_of_the_one_it_replaces():
    config = load_config("digits", overrides=["encoder=conv", "decoder.name=BernoulliMLP"])
    assert config.encoder.as_dict() == {"name": "conv"}
    # The same class under another of its names keeps its options.
    assert config.decoder.as_dict()["hidden"] == load_config("digits").decoder.as_dict()["hidden"]


def test_another_model_leaves_the_prior_and_the_codebook_behind():
    config = load_config("digits", overrides=["model=VAE"])
    assert (config.prior, config.codebook) == (None, None)
    assert config.model.latent_dim == load_config("digits").model.latent_dim
    kept = load_config("digits", overrides=["model=acn"])
    assert kept.codebook == load_config("digits").codebook


@pytest.mark.parametrize("model", ["model=VAE", "model.name=VAE"])
def test_overrides_mean_the_same_in_any_order(model):
    overrides = [model, "prior.components=4", "encoder=conv", "encoder.filters=[8]"]
    config = load_config("digits", overrides=overrides)
    assert config.prior.as_dict() == {"components": 4}
    assert config.encoder.as_dict() == {"name": "conv", "filters": [8]}
    assert load_config("digits", overrides=overrides[::-1]) == config
    # Only of two values for one option does the last one count.
    null = ["encoder.activation=tanh", "encoder=null"]
    assert load_config("digits", overrides=null).encoder is None
    assert load_config("digits", overrides=null[::-1]).encoder.as_dict() == {"activation": "tanh"}


def test_a_nested_part_of_another_name_begins_anew():
    base = ["decoder.likelihood.name=discretized_logistic_mixture"]
    base += ["decoder.likelihood.components=3"]
    assert load_config("digits", overrides=base).decoder.as_dict()["likelihood"] == {
        "name": "discretized_logistic_mixture",
        "components": 3,
    }


def test_a_file_is_laid_over_its_preset_or_the_defaults(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("preset: digits\ntraining: {epochs: 2}\n")
    over_preset = load_config(file=file)
    assert over_preset.training.epochs == 2
    assert over_preset.training.batch_size == load_config("digits").training.batch_size
    file.write_text("training: {epochs: 2}\nencoder:\n")
    over_defaults = load_config(file=file)
    assert over_defaults.training == Config().training.model_copy(update={"epochs": 2})
    assert over_defaults.preset is None and over_defaults.encoder is None
    # A preset that is named on the command line goes under the file as well.
    assert load_config("beta-vae", file).model.beta == 0.784


def test_a_runs_own_file_is_complete(tmp_path):
    config = load_config("digits", overrides=["codebook=null", "training.checkpoint_minutes=0"])
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    again = load_config(file=tmp_path / "config.yaml")
    assert again.codebook is None and again.training.checkpoint_minutes == 0


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["training.epoch=3"], ['"epoch" of training', 'Did you mean "epochs"?']),
        (["trainig.epochs=3"], ['section "trainig"', 'Did you mean "training"?']),
        (["training.epochs=many"], ["training.epochs must be a whole number", '"many"']),
        (["training.epochs=1.5"], ["training.epochs must be a whole number"]),
        (["training.epochs=0"], ["training.epochs must be at least 1"]),
        (["training.learning_rate=0"], ["more than 0"]),
        (["training.learning_rate=.nan"], ["training.learning_rate"]),
        (["training.ema=1"], ["less than 1"]),
        (["training.schedule=cosin"], ['Did you mean "cosine"?']),
        (["training.jit_compile=maybe"], ["training.jit_compile"]),
        (["training=3"], ["training must be a section"]),
        (["codebook.unique=perhaps"], ["codebook.unique must be true or false"]),
        (["codebook.k=0"], ["codebook.k must be at least 1"]),
        (["seed=-1"], ["seed must be at least 0"]),
        (["model.latent_dim=0"], ["model.latent_dim must be at least 1"]),
        (["model.beta=-1"], ["model.beta must be at least 0"]),
        (["model.seed=3"], ["model.seed", "write seed instead"]),
        (["model.image_shape=[8, 8, 1]"], ["follows from the data"]),
        (["model.encoder=conv"], ["write encoder instead"]),
        (["model.prior.components=4"], ["write prior instead"]),
        (["encoder=[1]"], ["encoder must be a section"]),
        (["epochs"], ["part.option=value"]),
        (["=3"], ["part.option=value"]),
        (["training..epochs=3"], ["part.option=value"]),
        (["training.epochs=[1"], ["not valid YAML"]),
        (["preset=digits"], ["preset cannot be set"]),
        (["codebook.unique=true", "training.steps_per_epoch=3"], ["whole passes"]),
    ],
)
def test_what_is_wrong_is_one_sentence(overrides, words):
    with pytest.raises(UserError) as caught:
        load_config("digits", overrides=overrides)
    sentence = str(caught.value)
    assert "\n" not in sentence and "pydantic" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"training: [", ["not valid YAML", "line"]),
        (b"training: {epochs: 1}\ntraining: {epochs: 2}", ["given twice", "line 2"]),
        (b"- a\n- b", ["must hold sections"]),
        (b"\xff\xfe\x00", ["not text in UTF-8", "save it so"]),
        ("preset: zitrône".encode("latin-1"), ["not text in UTF-8", "save it so"]),
        (b"", ["must hold sections"]),
        (b"preset: digit", ['Unknown preset "digit"', 'Did you mean "digits"?']),
        (f"format: {FORMAT + 1}\nnovelty: {{}}".encode(), ["newer keras-acn", "upgrade"]),
        (f'format: "{FORMAT + 1}"'.encode(), ["newer keras-acn"]),
        (f"format: {FORMAT + 1}.0".encode(), ["newer keras-acn"]),
        (b"format: x", ["format must be a whole number"]),
    ],
)
def test_a_bad_file_is_one_sentence(content, words, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_config(file=file)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        load_config(file=tmp_path / "none.yaml")
    with pytest.raises(UserError, match="is a folder"):
        load_config(file=tmp_path)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(UserError, match='Did you mean "paper-mnist"'):
        preset_path("papermnist")


def test_loading_a_config_needs_no_tensorflow():
    code = (
        "import sys; from keras_acn.experiment import load_config;"
        "load_config('blog-acn').to_yaml();"
        "assert not {'tensorflow', 'keras', 'numpy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_as_editors_write_it(encoding, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes("training: {epochs: 7} # nüchtern".encode(encoding))
    assert load_config(file=file).training.epochs == 7


def test_one_override_is_no_list_of_letters():
    assert load_config("digits", overrides="training.epochs=7").training.epochs == 7


def test_a_pair_that_lacks_a_number():
    for text in ("[[0]]", "[[0, 1], [2]]", "[[]]"):
        with pytest.raises(UserError, match="kl_schedule must be a list of pairs"):
            load_config("digits", overrides=[f"training.kl_schedule={text}"])
