"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const quiet = {
    displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "sendDataToCloud"],
  };
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const narrow = () => window.innerWidth <= 800;

  // -- colours, in light and dark ----------------------------------------------------------

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const paint = () => ({
    paper_bgcolor: color("--paper"), plot_bgcolor: color("--paper"),
    font: { color: color("--ink"), family: "system-ui, sans-serif" },
  });
  const axis = (more) => ({
    gridcolor: color("--line"), zerolinecolor: color("--line"), linecolor: color("--line"), ...more,
  });
  const repaint = [];
  const all = () => repaint.forEach((again) => again());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement.classList;
    const dark = root.contains("dark")
      || (!root.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
    root.remove("dark", "light");
    root.add(dark ? "light" : "dark");
    all();
  });

  // -- curves ------------------------------------------------------------------------------

  const chart = document.getElementById("chart");
  const parts = { "": "training", val_: "validation", test_: "test" };
  const dashes = { "": "solid", val_: "dash", test_: "dot" };
  // Of a single epoch there is no line to tell parts by.
  const symbols = { "": "circle", val_: "circle-open", test_: "diamond-open" };
  const drawCurves = () => {
    const traces = [], layout = { ...paint(), margin: { t: 40, r: 15, b: 50, l: 70 }, annotations: [] };
    const terms = Object.entries(data.terms);
    terms.forEach(([term, words], place) => {
      const n = place ? place + 1 : "";
      for (const run of data.curves) {
        for (const [prefix, part] of Object.entries(parts)) {
          const y = run.history[prefix + term];
          if (!y) continue;
          traces.push({
            x: run.history.epoch || y.map((_, i) => i + 1), y, mode: y.length > 1 ? "lines" : "markers",
            name: `${run.name}, ${part}`, legendgroup: `${run.name}${part}`, showlegend: place === 0,
            line: { color: run.color, dash: dashes[prefix], width: 2 }, marker: { color: run.color, symbol: symbols[prefix], size: 9 },
            xaxis: `x${n}`, yaxis: `y${n}`,
          });
        }
      }
      const last = Math.max(...traces.map((trace) => trace.x[trace.x.length - 1]));
      layout[`xaxis${n}`] = axis({
        title: { text: "epoch", standoff: 8 }, anchor: `y${n}`, ...(last <= 10 ? { dtick: 1 } : {}),
      });
      layout[`yaxis${n}`] = axis({
        title: { text: place ? "" : "nats per image", standoff: 12 }, anchor: `x${n}`,
      });
      layout.annotations.push({
        text: words, xref: `x${n} domain`, yref: `y${n} domain`, x: 0, y: 1, yshift: 24,
        xanchor: "left", showarrow: false, font: { size: 15 },
      });
    });
    layout.grid = narrow()
      ? { rows: terms.length, columns: 1, pattern: "independent", ygap: 0.35 }
      : { rows: 1, columns: terms.length, pattern: "independent", xgap: 0.12 };
    layout.legend = narrow() ? { orientation: "h", y: -0.08 } : { orientation: "h", y: -0.25 };
    Plotly.react(chart, traces, layout, quiet);
  };
  if (chart) {
    drawCurves();
    repaint.push(drawCurves);
    let was = narrow();
    addEventListener("resize", () => { if (narrow() !== was) { was = narrow(); drawCurves(); } });
  }

  // -- pictures on sheets ------------------------------------------------------------------

  class Sheets {
    constructor(addresses, tile, columns) {
      [this.addresses, [this.width, this.height], this.columns] = [addresses, tile, columns];
      this.sheets = new Map();
    }
    get(number) {
      if (!this.sheets.has(number)) {
        const image = new Image();
        image.src = this.addresses[number];
        this.sheets.set(number, image.decode().then(() => image));
      }
      return this.sheets.get(number);
    }
    async draw(canvas, i, scale, x = 0, y = 0, fits = true) {
      if (fits) { canvas.width = this.width * scale; canvas.height = this.height * scale; }
      const [per, wanted] = [this.columns * this.columns, Symbol("wanted")];
      if (fits) canvas.wanted = wanted;
      const sheet = await this.get(Math.floor(i / per));
      if (fits && canvas.wanted !== wanted) return;
      const place = i % per, context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(
        sheet, (place % this.columns) * this.width, Math.floor(place / this.columns) * this.height,
        this.width, this.height, x, y, this.width * scale, this.height * scale);
    }
    scale(size) { return Math.max(1, Math.floor(size / Math.max(this.width, this.height))); }
  }
  const numbers = (text, type) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new type(bytes.buffer);
  };

  // -- the map of codes --------------------------------------------------------------------

  const webgl = (() => {
    try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
  })();

  const explore = (section, map) => {
    const find = (name) => section.querySelector(name);
    const [plot, near, walk] = [find(".map"), find(".near"), find(".walk")];
    const codes = numbers(map.codes, Float32Array);
    const ways = map.ways === null ? null : numbers(map.ways, Int32Array);
    const sheets = new Sheets(map.sheets, map.tile, map.columns);
    const count = map.x.length, kind = webgl ? "scattergl" : "scatter";
    const shown = map.classes.map(() => true);
    const groups = map.class_of === null ? [[...Array(count).keys()]] : map.classes.map(() => []);
    if (map.class_of !== null) map.class_of.forEach((group, i) => groups[group].push(i));
    const size = count > 20000 ? 3 : count > 3000 ? 4 : 6;
    const at = (list) => ({ x: list.map((i) => map.x[i]), y: list.map((i) => map.y[i]) });
    const className = (i) => map.class_of === null ? "" : map.classes[map.class_of[i]];
    const words = (i) => `image ${map.rows[i]}` + (className(i) ? `, class ${className(i)}` : "");
    let chosen = null, neighbors = [], path = [], running = null;

    const traces = () => [
      ...groups.map((rows, group) => ({
        ...at(rows), customdata: rows, type: kind, mode: "markers", hoverinfo: "none",
        name: map.classes[group] || "codes", visible: map.classes.length ? shown[group] : true,
        marker: { size, opacity: 0.75, color: map.classes.length ? map.colors[group] : color("--accent") },
      })),
      { ...at(path), type: kind, mode: "lines", hoverinfo: "none", line: { color: color("--ink"), width: 1.5 } },
      { ...at(neighbors), type: kind, mode: "markers", hoverinfo: "none",
        marker: { size: size + 6, symbol: "circle-open", color: color("--ink"), line: { width: 2 } } },
      { ...at(chosen === null ? [] : [chosen]), type: kind, mode: "markers", hoverinfo: "none",
        marker: { size: size + 9, symbol: "x", color: color("--ink") } },
    ];
    const layout = () => ({
      ...paint(), margin: { t: 10, r: 10, b: 52, l: 64 }, showlegend: false, dragmode: "pan",
      hovermode: "closest", uirevision: "kept",
      xaxis: axis({ title: { text: map.axes[0], standoff: 6 }, zeroline: false }),
      yaxis: axis({ title: { text: map.axes[1], standoff: 8 }, zeroline: false, scaleanchor: "x" }),
    });
    const draw = () => Plotly.react(plot, traces(), layout(), { ...quiet, scrollZoom: true });
    draw();
    repaint.push(draw);
    // The codes stay as they are while marks on them move: only those are drawn again.
    const mark = () => {
      const marks = [path, neighbors, chosen === null ? [] : [chosen]].map(at);
      Plotly.restyle(plot, { x: marks.map((m) => m.x), y: marks.map((m) => m.y) },
        [0, 1, 2].map((i) => groups.length + i));
    };

    const show = (i) => {
      const canvas = find(".pointed canvas");
      sheets.draw(canvas, i, sheets.scale(140));
      canvas.setAttribute("aria-label", words(i));
      find(".pointed p").textContent = words(i);
    };
    const button = (i, text) => {
      const [item, choice] = [document.createElement("li"), document.createElement("button")];
      const canvas = document.createElement("canvas");
      choice.type = "button";
      choice.title = words(i);
      choice.setAttribute("aria-label", `${words(i)}, ${text}`);
      sheets.draw(canvas, i, sheets.scale(56));
      choice.append(canvas, text);
      choice.addEventListener("click", () => choose(i));
      item.append(choice);
      return item;
    };
    const nearest = (i, many) => {
      const d = map.dims, found = [];
      for (let j = 0; j < count; j++) {
        let sum = 0;
        for (let k = 0; k < d; k++) { const step = codes[j * d + k] - codes[i * d + k]; sum += step * step; }
        if (j === i || (found.length === many && sum >= found[many - 1][0])) continue;
        let place = found.length;
        while (place > 0 && found[place - 1][0] > sum) place--;
        found.splice(place, 0, [sum, j]);
        if (found.length > many) found.pop();
      }
      return found.map(([sum, j]) => [Math.sqrt(sum), j]);
    };
    const choose = (i) => {
      stop();
      [chosen, path] = [i, []];
      const found = nearest(i, 8);
      neighbors = found.map(([, j]) => j);
      near.replaceChildren(...found.map(([distance, j]) => button(j, distance.toFixed(2))));
      find(".find input").value = map.rows[i];
      show(i);
      mark();
    };
    const stop = () => { clearInterval(running); running = null; const b = find(".dream"); if (b) b.textContent = "Daydream from here"; };
    const dream = () => {
      if (running !== null) { stop(); return; }
      if (chosen === null) choose(Math.floor(Math.random() * count));
      [path, neighbors] = [[chosen], []];
      walk.replaceChildren(button(chosen, "0"));
      walk.hidden = false;
      find(".dream").textContent = "Stop";
      running = setInterval(() => {
        const last = path[path.length - 1], wide = ways.length / count;
        const next = ways[last * wide + Math.floor(Math.random() * wide)];
        path.push(next);
        walk.append(button(next, String(path.length - 1)));
        show(next);
        mark();
        if (path.length > 20) stop();
      }, calm ? 1200 : 450);
    };

    plot.on("plotly_hover", (event) => {
      const i = event.points[0].customdata;
      if (i !== undefined) show(i);
    });
    plot.on("plotly_click", (event) => {
      const i = event.points[0].customdata;
      if (i !== undefined) choose(i);
    });
    // The next code that way: the nearest of those that lie more that way than aside.
    let cursor = null;
    plot.addEventListener("keydown", (event) => {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (event.key === "Enter" && cursor !== null) { choose(cursor); event.preventDefault(); }
      if (!way) return;
      event.preventDefault();
      if (cursor === null) cursor = chosen === null ? 0 : chosen;
      else {
        let best = Infinity, to = cursor;
        for (let j = 0; j < count; j++) {
          const [dx, dy] = [map.x[j] - map.x[cursor], map.y[j] - map.y[cursor]];
          const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
          if (along > 0 && aside <= along && along + aside < best
            && (map.class_of === null || shown[map.class_of[j]])) { best = along + aside; to = j; }
        }
        cursor = to;
      }
      chosen = cursor;
      show(cursor);
      mark();
    });
    find(".find").addEventListener("submit", (event) => {
      event.preventDefault();
      const i = map.rows.indexOf(Number(find(".find input").value));
      if (i < 0) find(".pointed p").textContent = `No image ${find(".find input").value} is on the map.`;
      else choose(i);
    });
    if (find(".dream")) find(".dream").addEventListener("click", dream);
    map.classes.forEach((name, group) => {
      const [toggle, dot] = [document.createElement("button"), document.createElement("i")];
      toggle.type = "button";
      toggle.setAttribute("aria-pressed", "true");
      dot.style.background = map.colors[group];
      toggle.append(dot, name);
      toggle.addEventListener("click", () => {
        shown[group] = !shown[group];
        toggle.setAttribute("aria-pressed", String(shown[group]));
        Plotly.restyle(plot, { visible: shown[group] }, [group]);
      });
      find(".legend").append(toggle);
    });
    show(0);
  };

  // -- daydreams, moving -------------------------------------------------------------------

  const play = (section, dreams) => {
    const canvas = section.querySelector(".player canvas");
    const toggle = section.querySelector(".player button");
    const sheets = new Sheets(dreams.sheets, dreams.tile, 32);
    const scale = sheets.scale(110), gap = 6;
    canvas.width = dreams.rows * (sheets.width * scale + gap) - gap;
    canvas.height = sheets.height * scale;
    let step = 0, running = null;
    const draw = () => {
      for (let b = 0; b < dreams.rows; b++) {
        sheets.draw(canvas, step * dreams.rows + b, scale, b * (sheets.width * scale + gap), 0, false);
      }
    };
    const go = () => {
      if (running === null) running = setInterval(() => { step = (step + 1) % dreams.steps; draw(); }, 350);
      else { clearInterval(running); running = null; }
      toggle.textContent = running === null ? "Play" : "Pause";
    };
    toggle.addEventListener("click", go);
    draw();
    if (!calm) go();
  };

  document.querySelectorAll("section.run").forEach((section) => {
    const run = data.runs[Number(section.dataset.run)];
    explore(section, run.map);
    if (run.dreams !== null && section.querySelector(".player")) play(section, run.dreams);
  });
})();
