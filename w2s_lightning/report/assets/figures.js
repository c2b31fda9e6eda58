// Figures: drawn when their page is first seen, in the colours of the theme in use.
const colours = () => getComputedStyle(document.documentElement);

function inked(value, style) {
  if (Array.isArray(value)) return value.map((inner) => inked(inner, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inked(inner, style)]));
  }
  const name = typeof value === "string" ? /^var\((--\w+)\)$/.exec(value) : null;
  return name ? style.getPropertyValue(name[1]).trim() || value : value;
}

function draw(place, plot) {
  const modebar = {bgcolor: "rgba(0,0,0,0)", color: "var(--muted)", activecolor: "var(--ink)"};
  const {data, layout} = inked({...plot, layout: {...plot.layout, modebar, template: {layout: DATA.style}}}, colours());
  const narrow = place.clientWidth < 560;
  if (narrow) {
    layout.font = {size: 11};
    layout.dragmode = false;
    for (const axis of [layout.xaxis, layout.yaxis]) axis.tickfont = {size: 10};
    for (const note of layout.annotations ?? []) note.xshift = -72;
    for (const {marker} of data) if (marker?.size) marker.size = Array.isArray(marker.size) ? marker.size.map((size) => size * 0.8) : marker.size * 0.8;
  }
  const about = {responsive: true, displaylogo: false, displayModeBar: narrow ? false : "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]};
  place.ariaBusy = "true";
  return Plotly.react(place, data, layout, about).then(() => { place.ariaBusy = "false"; });
}

const figureData = (figure) => DATA.sections[figure.closest(".section").dataset.section].figures[figure.dataset.figure];

// Which view of a figure the address asks for, by its label.
function viewOf(figure) {
  const data = figureData(figure);
  const wanted = route.get(data.choose);
  return Math.max(0, data.views.findIndex((view) => view.label === wanted));
}

function showFigure(figure) {
  const data = figureData(figure);
  if (!data) return;
  const number = viewOf(figure), view = data.views[number], select = one("[data-choose]", figure);
  if (select) select.selectedIndex = number;
  one(".reading", figure).textContent = view.reading;
  for (const block of all("[data-blocks]", figure.closest(".page"))) {
    if (figure.dataset.figure.startsWith("paradigms/")) block.hidden = Number(block.dataset.blocks) !== number;
  }
  const place = one(".plot", figure);
  if (place && view.plot) {
    place.setAttribute("aria-label", view.reading);
    draw(place, view.plot);
  }
  const open = one(".data", figure);
  if (open && !open.hidden) open.replaceChildren(table(data.columns, view.rows));
}

function toggleData(figure, button) {
  const data = figureData(figure), open = one(".data", figure);
  open.hidden = !open.hidden;
  button.setAttribute("aria-expanded", String(!open.hidden));
  if (!open.hidden) open.replaceChildren(table(data.columns, data.views[viewOf(figure)].rows));
}

function saveFigure(figure) {
  const data = figureData(figure);
  download(`${figure.dataset.figure.replace("/", "-")}.csv`, csv(data.columns, data.views[viewOf(figure)].rows));
}

function drawPage(page) {
  for (const figure of all(".figure", page)) {
    if (figure.dataset.figure !== "training/curves") showFigure(figure);
  }
}
