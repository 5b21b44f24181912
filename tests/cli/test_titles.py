"""Charts and pictures carry the name of the run they are of."""

import keras_acn
from keras_acn import figures, plots
from keras_acn.figures import drawings


def test_figures_of_a_run_are_called_after_it(monkeypatch):
    said = {}
    for room, name in [
        (plots, "comparison"),
        (plots, "neighbors_picture"),
        (plots, "scatter"),
        (plots, "loss_terms"),
        (plots, "samples"),
    ]:
        monkeypatch.setattr(
            room, name, lambda *args, name=name, **options: said.setdefault(name, options)
        )
    subject = figures.subject.Subject("acn-digits")
    for draw in ("reconstructions", "neighbors", "codes", "loss", "samples"):
        getattr(drawings, draw)(subject)
    assert len(said) == 5
    assert all(options["title"].startswith("acn-digits: ") for options in said.values())
    own, others = said["neighbors_picture"]["class_names"]
    assert own.shape == (10,) and others.shape == (10, 8)
    # A model on its own has no name.
    model = keras_acn.load_pretrained("acn-digits")
    alone = figures.subject.Subject(model, data=keras_acn.load_data("digits"))
    assert alone.titled("codes") == "codes"
