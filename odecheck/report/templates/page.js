"use strict";
(async () => {
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const root = document.documentElement;
const state = what => { root.dataset.ready = what; };

function trouble(error) {
  const line = one("#trouble");
  line.hidden = false;
  line.textContent = "This page could not be shown in full: " + error
    + ". A browser of 2023 or later is needed; the Markdown file beside this page has the same content.";
  state("trouble");
}

// The page's parts lie compressed in elements of their own.
async function part(name) {
  const coded = one("#part-" + name).textContent;
  const bytes = Uint8Array.from(atob(coded), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
const asScript = text => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));

const number = value => value === "Infinity" ? Infinity : value === "-Infinity" ? -Infinity : value;
const missing = value => value === null || value === undefined;
function shown(value, kind) {
  if (missing(value)) return "–";
  if (value === Infinity) return "∞";
  if (value === -Infinity) return "−∞";
  if (kind === "count") return Math.round(value).toLocaleString("en");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}
const escaped = text => String(text).replace(/[&<>"'$]/g, c => "&#" + c.charCodeAt(0) + ";");

// ---- light and dark, and print, which is always light
const wish = matchMedia("(prefers-color-scheme: dark)");
let chosen = null, printing = false;
function colours() {
  const dark = !printing && (chosen === null ? wish.matches : chosen);
  root.classList.toggle("dark", dark);
}
function ink() {
  const style = getComputedStyle(root), of = name => style.getPropertyValue(name).trim();
  const axis = { gridcolor: of("--line"), zerolinecolor: of("--line"), linecolor: of("--faint"), tickcolor: of("--faint") };
  return { ink: of("--ink"), axis };
}
function recolour() {
  colours();
  if (!window.Plotly) return;
  const { ink: text, axis } = ink();
  const change = { "font.color": text };
  for (const side of ["xaxis", "yaxis"])
    for (const [key, value] of Object.entries(axis)) change[side + "." + key] = value;
  for (const drawn of all(".js-plotly-plot")) window.Plotly.relayout(drawn, change);
}
colours();
wish.addEventListener("change", recolour);
one("#theme").addEventListener("click", () => { chosen = !root.classList.contains("dark"); recolour(); });
// a printed page has a width that no script is told: figures get that of A4, halved where two stand beside each other
const PRINTED = 690;
function resize() {
  for (const drawn of all(".js-plotly-plot")) {
    const holder = drawn.parentElement, whole = holder.classList.contains("wide") || holder.parentElement.children.length < 2;
    window.Plotly.relayout(drawn, printing ? { autosize: false, width: whole ? PRINTED : PRINTED / 2 } : { autosize: true, width: null });
  }
}
addEventListener("beforeprint", () => { printing = true; recolour(); resize(); });
addEventListener("afterprint", () => { printing = false; recolour(); resize(); });

// ---- stories
let data = null, storyTexts = null;
function row(anchor) {
  for (const table of Object.values(data.tables)) {
    const column = table.columns.find(c => c.kind === "record");
    const at = column ? column.values.findIndex(i => column.words[i] === anchor) : -1;
    if (at >= 0) return table.columns.map(c => c.title + ": "
      + (c.words ? c.words[c.values[at]] : shown(number(c.values[at]), c.kind))).join("\n");
  }
  return "";
}
async function story() {
  const anchor = decodeURIComponent(location.hash.slice(1));
  const dialog = one("#story");
  if (!anchor.startsWith("record-") || !data) return;
  storyTexts ??= JSON.parse(await part("stories"));
  const name = anchor.split("-").pop();
  one("h2", dialog).textContent = "Record " + name;
  one("pre", dialog).textContent = storyTexts[anchor]
    ?? (row(anchor) + "\n\nThe whole story: odecheck show " + name + " --run RUN");
  if (!dialog.open) dialog.showModal();
}
addEventListener("hashchange", story);
one("#story").addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));

// ---- tables
function cell(column) {
  if (column.words) {
    const words = column.words.map(escaped);
    const display = column.kind === "record" ? w => w ? `<a href="#${w}">${w.split("-").pop()}</a>` : "–"
      : column.kind === "place" ? w => w ? `<a href="#${w}">open</a>` : "–"
      : column.kind === "verdict" ? w => `<span class="verdict" data-verdict="${w}">${w}</span>`
      : w => w ? `<div class="cell${w.length > 40 ? " long" : ""}">${w}</div>` : "–";
    return (value, type) => type === "display" ? display(words[value]) : column.words[value];
  }
  return (value, type) => {
    const v = number(value);
    if (type === "display") return shown(v, column.kind);
    return missing(v) ? (type === "filter" ? "" : -1e308) : v === Infinity ? 1e308 : v === -Infinity ? -1e307 : v;
  };
}
function filters(columns) {
  // few distinct words are a list to choose from, all else is searched; numbers with < and >
  return columns.map((column, at) => ({ targets: at, columnControl: ["order",
    [column.words && column.words.length > 1 && column.words.length <= 60 ? "searchList" : "search"]] }));
}
function tables(DataTable) {
  const common = {
    order: [], ordering: { indicators: false, handler: true }, autoWidth: false, deferRender: true,
    language: { search: "Filter:", searchPlaceholder: "any text", info: "Rows _START_ to _END_ of _TOTAL_", entries: { _: "rows", 1: "row" } },
  };
  for (const table of all("table[data-written]")) {
    const rows = table.tBodies[0].rows.length;
    if (rows < 2) continue;
    new DataTable(table, { ...common, paging: false, info: false, columnControl: ["order"],
      layout: { topStart: null, topEnd: rows > 8 ? "search" : null } });
  }
  for (const table of all("table[data-rows]")) {
    const { columns, shown: visible, rows } = data.tables[table.dataset.rows];
    const kept = columns.slice(0, visible), values = kept.map(c => c.values);
    const body = Array.from({ length: rows }, (_, i) => values.map(v => v[i]));
    new DataTable(table, { ...common, data: body, pageLength: 25, lengthMenu: [25, 100, 500],
      columns: kept.map(c => ({ type: c.words ? "string" : "num", render: cell(c),
        className: c.words ? c.kind : "number" })),
      columnDefs: filters(kept), layout: { topStart: "pageLength", topEnd: "search" } });
  }
}

// ---- figures
const options = { displaylogo: false, displayModeBar: matchMedia("(hover: none)").matches ? false : "hover", responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"],
  toImageButtonOptions: { format: "svg" } };
function layoutOf(given) {
  const { ink: text, axis } = ink();
  return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: text, size: 12 },
    margin: { l: 60, r: 14, t: 20, b: 46 }, hovermode: "closest",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, ...given,
    xaxis: { ...axis, ...given.xaxis }, yaxis: { ...axis, ...given.yaxis } };
}
async function draw(holder) {
  const id = holder.dataset.figure;
  if (data.explorers[id]) return explore(holder, data.explorers[id]);
  // all places first: a figure alone is as wide as the page
  const boxes = data.figures[id].map(figure => {
    const box = make("div");
    if (figure.columns) box.style.minWidth = 16 + 2.6 * figure.columns + "rem";
    holder.append(make("div", { className: figure.wide ? "wide" : "" }, ...(figure.title ? [make("h4", { textContent: figure.title })] : []), box));
    return box;
  });
  for (const [k, figure] of data.figures[id].entries()) await window.Plotly.newPlot(boxes[k], figure.data, layoutOf(figure.layout), options);
}

// ---- any quantity against any
const MOST_POINTS = 6000;
function choose(form, label, entries, value) {
  const select = make("select", { name: label }, ...entries.map(([v, text]) => make("option", { value: v, textContent: text })));
  if (value !== undefined) select.value = value;
  form.append(make("label", {}, label, select));
  return select;
}
async function explore(holder, given) {
  const form = holder.parentElement.querySelector("form"), table = data.tables[given.table];
  const column = name => table.columns.find(c => c.name === name);
  const word = (c, i) => c.words ? c.words[c.values[i]] : String(c.values[i]);
  const entries = list => list.map(c => [c.name, c.title]);
  const x = choose(form, "across", entries(given.quantities), given.x);
  const y = choose(form, "up", entries(given.quantities), given.y);
  const colour = choose(form, "colour", entries(given.by), given.colour);
  const filters = given.by.map(c => [column(c.name), choose(form, c.title,
    [["", "all"], ...[...new Set(Array.from({ length: table.rows }, (_, i) => word(column(c.name), i)))].map(w => [w, w.slice(0, 60)])],
    given.filters[c.name] ?? "")]);
  const note = make("span", { className: "drawn" });
  form.append(note);
  const box = make("div");
  holder.append(make("div", { className: "wide" }, box));
  function traces() {
    const xs = column(x.value).values.map(number), ys = column(y.value).values.map(number);
    const kind = column(colour.value), along = given.along ? column(given.along).values.map(number) : null;
    const lines = new Map();
    let fit = 0, kept = 0;
    const wanted = i => filters.every(([c, select]) => !select.value || word(c, i) === select.value);
    const drawable = i => xs[i] > 0 && ys[i] > 0 && Number.isFinite(xs[i]) && Number.isFinite(ys[i]);
    const rows = [];
    for (let i = 0; i < table.rows; i++) if (wanted(i)) { fit++; if (drawable(i)) rows.push(i); }
    const every = Math.max(1, Math.ceil(rows.length / MOST_POINTS));
    for (let k = 0; k < rows.length; k += every) {
      const i = rows[k], name = word(kind, i);
      const key = name + "\u0000" + (along ? given.joined.map(j => word(column(j), i)).join("\u0000") : "");
      if (!lines.has(key)) lines.set(key, { name, at: [] });
      lines.get(key).at.push(i);
      kept++;
    }
    note.textContent = `${kept.toLocaleString("en")} of ${fit.toLocaleString("en")} rows drawn`;
    const names = [...new Set([...lines.values()].map(l => l.name))], seen = new Set();
    return [...lines.values()].map(({ name, at }) => {
      if (along) at.sort((a, b) => along[b] - along[a]);
      const n = names.indexOf(name), first = !seen.has(name);
      seen.add(name);
      const c = given.colours[n % given.colours.length];
      const label = i => given.by.map(b => escaped(b.title + ": " + word(column(b.name), i).slice(0, 80))).join("<br>");
      return { type: "scatter", mode: along ? "lines+markers" : "markers", name: escaped(name.slice(0, 60)), legendgroup: String(n), showlegend: first,
        x: at.map(i => xs[i]), y: at.map(i => ys[i]), text: at.map(label), hovertemplate: "%{text}<br>%{x:.3g}: %{y:.3g}<extra></extra>",
        line: { color: c, width: 1.5, dash: given.dashes[Math.floor(n / given.colours.length) % given.dashes.length] },
        marker: { color: c, size: 6, symbol: given.symbols[n % given.symbols.length] } };
    });
  }
  const axis = select => ({ type: "log", exponentformat: "power", automargin: true, title: { text: escaped(select.selectedOptions[0]?.textContent ?? "") } });
  const redraw = () => window.Plotly.react(box, traces(), layoutOf({ xaxis: axis(x), yaxis: axis(y), height: 480, showlegend: true }), options);
  form.addEventListener("change", redraw);
  form.addEventListener("submit", event => event.preventDefault());
  await redraw();
}

// ---- begin
try {
  if (!("DecompressionStream" in window)) throw new Error("the browser cannot unpack gzip");
  const [text, bundle, style] = await Promise.all(["data", "datatables", "datatables-style"].map(part));
  data = JSON.parse(text);
  const sheet = make("style", { textContent: style });
  document.head.prepend(sheet);
  const { default: DataTable } = await import(asScript(bundle));
  DataTable.ext.errMode = "throw";
  tables(DataTable);
  await story();
  state("tables");
  const holders = all("[data-figure]");
  if (holders.length) {
    await new Promise(requestAnimationFrame);
    const script = make("script", { src: asScript(await part("plotly")) });
    await new Promise((done, failed) => { script.onload = done; script.onerror = () => failed(new Error("plotly")); document.head.append(script); });
  }
  // what is in view first, then one by one, so that all are there for print
  let left = holders;
  while (left.length) {
    const middle = innerHeight / 2, far = e => Math.abs(e.getBoundingClientRect().top - middle);
    const next = left.reduce((a, b) => far(a) <= far(b) ? a : b);
    left = left.filter(holder => holder !== next);
    await draw(next);
    await new Promise(done => setTimeout(done, 0));
  }
  state("all");
} catch (error) {
  trouble(error instanceof Error ? error.message : String(error));
  throw error;
}
})();
