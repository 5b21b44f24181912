"""The report as a file: what is in it, what it refuses, and what a browser makes of it."""

import base64
import html.parser
import json
import re
import types

import browser
import numpy as np
import pytest
from family import IMAGES, LABELS, made

from keras_acn import UserError, html_report
from keras_acn.cli import main
from keras_acn.data import from_arrays
from keras_acn.experiment import open_run
from keras_acn.html_report import document
from keras_acn.html_report.evaluated import read_evaluation

pytest.importorskip("plotly")


def content(page):
    """The data of a page's script."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    )


@pytest.fixture
def without_plotly(monkeypatch):
    """Plotly's script is five megabytes, which a test of what stands beside it need not read."""
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* Plotly */")


class Tags(html.parser.HTMLParser):
    """Counts what was opened and not closed, and pictures without words."""

    EMPTY = {"meta", "link", "img", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.pictures, self.ids = [], 0, []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "img":
            self.pictures += 1
            assert given["alt"] and given["src"].startswith("data:image/png")
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.fast("acn")
@pytest.mark.parametrize("name", ["vae", "acn", "vhe", "autoencoder"])
def test_every_model_has_a_report(name, without_plotly):
    model = made(name, fit=True)
    title = "A <b> & </script>"
    page = html_report.make(model, data=(IMAGES, LABELS), title=title, projection="pca")
    tags = Tags()
    tags.feed(page)
    assert not tags.open and tags.pictures >= 1 and len(set(tags.ids)) == len(tags.ids)
    assert "<title>A &lt;b&gt; &amp; &lt;/script&gt;</title>" in page
    assert "{{" not in page.replace("{{}", "")
    (run,) = content(page)["runs"]
    assert (run["map"]["ways"] is not None) == (name == "acn")
    assert (run["dreams"] is not None) == (name in ("acn", "vhe"))
    history = content(page)["curves"][0]["history"]
    np.testing.assert_allclose(history["total_nats"], model.history.history["total_nats"])


def test_text_in_the_data_ends_no_script(without_plotly):
    names = ["<!--", "</script><script>alert(1)</script>"]
    images = from_arrays(IMAGES, LABELS % 2)
    images.class_names = names
    page = html_report.make(made("acn", fit=True), data=images, projection="pca")
    assert "alert(1)" in page and "</script><script>alert" not in page
    assert sorted(content(page)["runs"][0]["map"]["classes"]) == names


@pytest.mark.slow
def test_several_runs_have_names_of_their_own(without_plotly):
    models = [made("acn", fit=True), made("vae", fit=True)]
    page = html_report.make(models, data=(IMAGES, LABELS), projection="pca", points=12)
    names = [run["name"] for run in content(page)["runs"]]
    assert len(set(names)) == 2 and all(f">{name}</h2>" in page for name in names)
    twice = html_report.make([models[0]] * 2, data=IMAGES, projection="pca", points=12)
    assert len({run["name"] for run in content(twice)["runs"]}) == 2


def test_what_cannot_be_reported_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "folder.html").mkdir()
    for path, words in {
        "a.txt": "must end in .html",
        "none/a.html": "does not exist",
        "folder.html": "it is a folder",
    }.items():
        with pytest.raises(UserError, match=words):
            html_report.check_ready(tmp_path / path)
    with pytest.raises(UserError, match="name a run"):
        html_report.make([])
    with pytest.raises(UserError, match='Did you mean "tsne"'):
        html_report.make("acn-digits", projection="tnse")
    monkeypatch.setattr(document.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install "keras-acn\[report\]"'):
        html_report.check_ready(tmp_path / "a.html")


def test_what_evaluate_has_found_has_the_words_of_its_tables():
    run = open_run("acn-digits")
    page = document._evaluation("acn-digits", types.SimpleNamespace(run=run))
    assert "KL, K=5 nearest" in page and "kl k5" not in page
    costs = read_evaluation(run).code_length
    nats, bits = re.search(r"set: unordered.*?<td>([\d.]+)</td><td>([\d.]+)</td>", page).groups()
    assert float(nats) == pytest.approx(costs.set_nats, abs=0.005)
    assert float(bits) == pytest.approx(costs.set_nats / np.log(2) / 64, abs=5e-5)


@pytest.mark.slow
@pytest.mark.skipif(browser.path() is None, reason="there is no Chromium here")
def test_a_browser_shows_it_from_disk_and_its_map_answers(tmp_path, capsys):
    file = tmp_path / "report.html"
    assert main(["report", "acn-digits", "--out", str(file)]) == 0
    assert str(file) in capsys.readouterr().out
    run = content(file.read_text())["runs"][0]["map"]
    codes = np.frombuffer(base64.b64decode(run["codes"]), "<f4").reshape(-1, run["dims"])
    i = 500

    with browser.opened(tmp_path / "profile") as page:
        page.size(1440, 900)
        page.open(file)
        page.until("document.querySelector('.map .main-svg')")
        told = "document.querySelector('.pointed p').textContent"
        page.box(".map")
        point = page.value(
            "(() => { const m = document.querySelector('.map'), l = m._fullLayout,"
            "b = m.getBoundingClientRect(), run = JSON.parse("
            f"document.getElementById('data').textContent).runs[0].map; return ["
            f"b.x + l.xaxis._offset + l.xaxis.d2p(run.x[{i}]),"
            f"b.y + l.yaxis._offset + l.yaxis.d2p(run.y[{i}])]; }})()"
        )
        # Pointing shows the picture, and a click the nearest codes with their distances.
        page.mouse(point[0] - 3, point[1])
        page.mouse(*point)
        page.until(f"{told} === 'image {i}, class {run['classes'][run['class_of'][i]]}'")
        page.mouse(*point, click=True)
        page.until("document.querySelectorAll('.near button').length === 8")
        distance = np.sort(np.linalg.norm(codes - codes[i], axis=1))[1:9]
        shown = page.value("document.querySelector('.near').innerText").split()
        assert shown == [f"{each:.2f}" for each in distance]
        # A daydream goes from code to code, and stops when asked.
        page.click(".dream")
        page.until("document.querySelectorAll('.walk li').length > 3")
        page.click(".dream")
        assert page.value("document.querySelector('.dream').textContent") == "Daydream from here"
        # Classes are put out of sight, and the keyboard goes from code to code.
        page.click(".legend button")
        assert page.value("document.querySelector('.map').data[0].visible") is False
        page.value("document.querySelector('.map').focus()")
        before = page.value(told)
        page.key("ArrowRight")
        page.until(f"{told} !== {json.dumps(before)}")
        page.key("Enter")
        page.until("document.querySelectorAll('.near button').length === 8")
        # On a narrow window, and in the dark, nothing sticks out.
        page.size(390, 844, dark=True)
        page.until("document.querySelector('.map').getBoundingClientRect().width < 390")
        page.until("document.documentElement.scrollWidth <= 390")
        # A table's note is read without scrolling, and no axis's name lies on its numbers.
        assert page.value(
            "[...document.querySelectorAll('caption')].every("
            "(each) => each.getBoundingClientRect().right"
            " <= each.closest('.wide').getBoundingClientRect().right)"
        )
        # Nor are its first numbers, whatever the names of its rows.
        assert page.value(
            "[...document.querySelectorAll('td:nth-child(2)')].every("
            "(each) => each.getBoundingClientRect().right <= 390)"
        )
        assert page.value(
            "[...document.querySelectorAll('.chart, .map')].every((plot) => {"
            "const name = plot.querySelector('.ytitle').getBoundingClientRect().right;"
            "return [...plot.querySelectorAll('.ytick text')].every("
            "(each) => each.getBoundingClientRect().left >= name); })"
        )
        page.until("document.querySelector('.map')._fullLayout.paper_bgcolor === '#14171b'")
        page.click("#theme")
        page.until("document.querySelector('.map')._fullLayout.paper_bgcolor === '#ffffff'")
        assert page.value(
            "Promise.all([...document.images].map((i) => i.decode().then(() => i.alt)))"
        )
        assert page.errors == []
