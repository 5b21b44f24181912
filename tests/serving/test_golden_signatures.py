"""The interface of a served model, written down: a change to it is a change to a file.

python tests/serving/test_golden_signatures.py        writes the file anew
"""

import pathlib
import sys
import tempfile

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

GOLDEN = pathlib.Path(__file__).with_name("signatures.txt")


def described(tensors):
    pairs = []
    for name in sorted(tensors):
        info = tensors[name]
        shape = ",".join("B" if d.size == -1 else str(d.size) for d in info.tensor_shape.dim)
        pairs.append(f"{name} {tf.dtypes.as_dtype(info.dtype).name}[{shape}]")
    return ", ".join(pairs)


def interface(path):
    """The signatures in `saved_model.pb`, as text."""
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    [meta] = model.meta_graphs
    assert list(meta.meta_info_def.tags) == ["serve"]
    lines = []
    for name in sorted(meta.signature_def):
        if name == "__saved_model_init_op":
            continue
        definition = meta.signature_def[name]
        assert definition.method_name == "tensorflow/serving/predict"
        lines += [name, f"    {described(definition.inputs)}"]
        lines += [f"    -> {described(definition.outputs)}"]
    return "\n".join(lines)


def golden():
    found = {}
    for section in GOLDEN.read_text().split("== ")[1:]:
        kind, _, text = section.partition("\n")
        found[kind] = text.strip()
    return found


@pytest.mark.fast("acn", "vae", "vhe")
@pytest.mark.slow_sample(every=3)
@pytest.mark.parametrize("kind", golden() if GOLDEN.exists() else ["none"])
def test_interface(exported, kind):
    assert interface(exported(kind).export.path) == golden()[kind]


def test_every_kind_is_written_down():
    from served_models import MAKERS

    assert set(golden()) == set(MAKERS)


@pytest.mark.slow
def test_every_tensor_has_the_batch_first_and_a_line_in_the_card(exported):
    for kind in golden():
        export = exported(kind).export
        card = (export.path / "assets.extra" / "model_card.md").read_text()
        for name, (inputs, outputs) in export.signatures.items():
            assert f"### `{name}`" in card
            for tensor, spec in [*inputs.items(), *outputs.items()]:
                assert spec.shape[0] is None, (kind, name, tensor)
                assert f"- `{tensor}`: " in card


def main():
    sys.path.insert(0, str(GOLDEN.parent))
    from served_models import MAKERS

    sections = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in MAKERS.items():
            path = make().export(pathlib.Path(folder) / kind).path
            sections.append(f"== {kind}\n{interface(path)}\n")
    GOLDEN.write_text("\n".join(sections))


if __name__ == "__main__":
    main()
