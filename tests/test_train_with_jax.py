"""tools/train_with_jax.py, as far as it goes without JAX."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
TOOL = ROOT / "tools" / "train_with_jax.py"
SETTINGS = [
    "data.binarize=threshold",
    "data.validation=100",
    "data.limit=400",
    "encoder={name: conv, filters: [4], dense: 8, variance: unit}",
    "prior={name: mixture, components: 3, hidden: [16, 16]}",
    "decoder={name: pixelcnn, layers: 2, filters: 4, kernel_size: 3, block: 2}",
    "training.epochs=2",
    "training.kl_warmup_epochs=0",
    "training.kl_schedule=[[0, 0.5], [2, 1]]",
]


def tool(*arguments):
    command = [sys.executable, TOOL, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    done = tool("prepare", work, "job", "--preset", "digits", "--data", "digits", *settings)
    assert done.returncode == 0, done.stderr
    return work


@pytest.mark.slow
def test_a_job_holds_the_schedules_step_by_step(prepared):
    job = json.loads((prepared / "job.json").read_text())
    schedule = np.load(prepared / "job-schedule.npz")
    images = np.load(prepared / "images.npz")
    steps = -(-len(images["train"]) // job["batch_size"])
    assert set(np.unique(images["train"])) == {0, 1} and len(images["validation"]) == 100
    np.testing.assert_allclose(
        schedule["beta"], np.interp(np.arange(2 * steps), [0, 2 * steps], [0.5, 1]), rtol=1e-5
    )
    assert len(schedule["learning_rate"]) == 2 * steps
    # By default the decoder sees all there is, and the encoder learns as the rest does.
    assert not schedule["hidden"].any() and (schedule["encoder"] == 1).all()


@pytest.mark.slow
def test_what_the_decoder_is_to_see_and_who_is_to_learn(prepared, tmp_path):
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    settings += ["--set", "encoder.code_stddev=2", "--hide-context", "[[0, 0.5], [2, 0]]"]
    settings += ["--encoder-rate", "0", "--start", "job.npz"]
    done = tool("prepare", tmp_path, "job", "--preset", "digits", "--data", "digits", *settings)
    assert done.returncode == 0, done.stderr
    job = json.loads((tmp_path / "job.json").read_text())
    schedule = np.load(tmp_path / "job-schedule.npz")
    count = len(schedule["hidden"])
    np.testing.assert_allclose(schedule["hidden"], np.linspace(0.5, 0, count, endpoint=False))
    assert not schedule["encoder"].any() and job["start"] == "job.npz"
    # The networks under JAX have no batch normalisation: the tool standardizes the codes itself.
    assert job["code_stddev"] == 2 and "code_stddev" not in job["parts"]["encoder"]


# TensorFlow is not to be found here: the layers themselves must do without it.
WITHOUT = """
import importlib.util, json, sys
import numpy as np
spec = importlib.util.spec_from_file_location("tool", sys.argv[1])
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
sys.meta_path.insert(0, tool._Absent())
job = json.load(open(sys.argv[2]))
parts = tool.build_parts(job)
assert "tensorflow.python" not in sys.modules
weights = [np.array(v) for part in tool.PARTS for v in parts[part].trainable_variables]
code = np.linspace(-1, 1, 2 * 8).reshape(2, 8).astype("float32")
answer = np.concatenate([np.ravel(x) for x in parts["prior"].parameters(code)])
np.savez(sys.argv[3], answer=answer, **{f"{i:03d}": w for i, w in enumerate(weights)})
"""


def model_of(prepared):
    from keras_acn.experiment import build, load_config

    return build.build_model(load_config(file=prepared / "job.yaml"), (8, 8, 1), 300)


@pytest.mark.slow
def test_the_layers_are_the_same_under_another_back_end(prepared, tmp_path):
    pytest.importorskip("jax")
    arguments = [sys.executable, "-c", WITHOUT, TOOL, prepared / "job.json", tmp_path / "bare.npz"]
    environment = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    bare = dict(np.load(tmp_path / "bare.npz"))
    answer, model = bare.pop("answer"), model_of(prepared)
    parts = (model.encoder, model.prior, model.decoder)
    variables = [v for part in parts for v in part.trainable_variables]
    for variable, name in zip(variables, sorted(bare), strict=True):
        variable.assign(bare[name])
    code = np.linspace(-1, 1, 2 * 8).reshape(2, 8).astype("float32")
    here = np.concatenate([np.ravel(x) for x in model.prior.parameters(code)])
    np.testing.assert_allclose(answer, here, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_weights_come_back_into_a_run_unless_the_networks_answer_differently(prepared, tmp_path):
    from keras_acn.experiment import open_run

    model, out = model_of(prepared), tmp_path / "out"
    out.mkdir()
    parts = (model.encoder, model.prior, model.decoder)
    weights = [np.array(v) for part in parts for v in part.trainable_variables]
    image = np.load(prepared / "images.npz")["validation"][:8].astype("float32")
    mean = model.encoder(image).mean().numpy()
    arrays = {
        "images": image,
        "answer_code": mean,
        "answer_nats": -model.decoder(mean).log_prob(image).numpy(),
        "answer_prior": model.prior(mean[::-1].copy()).log_prob(mean).numpy(),
        **{f"{i:03d}": w for i, w in enumerate(weights)},
    }
    row = {"epoch": 1, "reconstruction_nats": 1.0, "kl_nats": 2.0, "seconds": 3.0}
    (out / "job.jsonl").write_text(json.dumps(row) + "\n")
    np.savez(out / "job.npz", **arrays)
    done = tool("finish", prepared, out, "job", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "run")
    np.testing.assert_allclose(run.model.encoder(image).mean(), mean, rtol=1e-6, atol=1e-6)
    assert run.history[0]["kl_nats"] == 2 and np.any(run.model.codebook.codes)

    np.savez(out / "job.npz", **{**arrays, "answer_nats": arrays["answer_nats"] + 0.1})
    done = tool("finish", prepared, out, "job", tmp_path / "other")
    assert done.returncode != 0 and "answer_nats differs" in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_codes_that_were_standardized_there_stay_so_here(prepared, tmp_path):
    """Standardization is in the weights of what comes back; here it is a layer of its own."""
    from keras_acn.experiment import open_run

    (tmp_path / "job.json").write_text((prepared / "job.json").read_text())
    text = (prepared / "job.yaml").read_text()
    given = "variance: unit\n  code_stddev: 2"
    (tmp_path / "job.yaml").write_text(text.replace("variance: unit", given))
    model, image = model_of(prepared), np.load(prepared / "images.npz")["train"]
    kernel, bias = model.encoder.mean_head.get_weights()
    codes = model.encoder(image.astype("float32")).mean().numpy()
    unit = 2 / codes.std(0)
    model.encoder.mean_head.set_weights([kernel * unit, (bias - codes.mean(0)) * unit])
    shown = image[:8].astype("float32")
    mean = model.encoder(shown).mean().numpy()
    weights = [v for part in model.parts().values() for v in part.trainable_variables]
    np.savez(
        tmp_path / "job.npz",
        images=shown,
        answer_code=mean,
        answer_nats=-model.decoder(mean).log_prob(shown).numpy(),
        answer_prior=model.prior(mean[::-1].copy()).log_prob(mean).numpy(),
        **{f"{i:03d}": np.array(w) for i, w in enumerate(weights)},
    )
    row = {"epoch": 1, "reconstruction_nats": 1.0, "kl_nats": 2.0, "seconds": 3.0}
    (tmp_path / "job.jsonl").write_text(json.dumps(row) + "\n")
    done = tool("finish", tmp_path, tmp_path, "job", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    back = open_run(tmp_path / "run").model
    assert back.encoder.code_stddev == 2
    np.testing.assert_allclose(back.encoder(shown).mean(), mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(back.codebook.codes.numpy().std(0), 2, rtol=1e-3)


def test_the_tool_can_be_read_without_jax():
    spec = importlib.util.spec_from_file_location("train_with_jax", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PARTS == ("encoder", "prior", "decoder")
