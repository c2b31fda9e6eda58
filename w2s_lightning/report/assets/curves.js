// Training curves of any stages, overlaid. The address holds the curve's name and the picked stages.
const MOST_CURVES = 8;
const LINES = ["s0", "s1", "s2", "s3", "s4", "s5"];
const DASHES = ["solid", "dash", "dot"];

function startCurves(page) {
  const figure = one(".curves", page);
  if (!figure || figure.dataset.started) return;
  figure.dataset.started = "yes";
  const {stages} = DATA.sections[figure.closest(".section").dataset.section].curves;
  const metric = one("[data-f=metric]", figure), find = one("[data-f=find]", figure), picker = one(".picker", figure);
  const wanted = () => (route.get("stages") || firstStages(stages)).split(",").filter(Boolean);

  const redraw = () => {
    metric.value = [...metric.options].some((o) => o.value === route.get("curve")) ? route.get("curve") : metric.options[0]?.value;
    const picked = stages.filter((stage) => wanted().includes(stage.id));
    drawCurves(one(".plot", figure), picked, metric.value);
    for (const button of all("button", picker)) button.setAttribute("aria-pressed", String(wanted().includes(button.dataset.id)));
  };
  const toggle = (id) => {
    const now = wanted();
    const next = now.includes(id) ? now.filter((other) => other !== id) : [...now, id].slice(-MOST_CURVES);
    route.set({stages: next.join(",") || "none"});
    redraw();
  };
  const list = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const match = stages.filter((stage) => words.every((word) => `${stage.kind} ${stage.label} ${stage.role} ${stage.jobs}`.toLowerCase().includes(word)));
    picker.replaceChildren(...match.map((stage) => stageButton(stage, toggle)));
    redraw();
  };
  metric.addEventListener("change", () => { route.set({curve: metric.value}); redraw(); });
  find.addEventListener("input", list);
  one("[data-do=csv]", figure).addEventListener("click", (event) => { event.stopPropagation(); saveCurves(stages.filter((s) => wanted().includes(s.id)), metric.value); });
  figure.redraw = redraw;
  list();
}

// The student and ceiling of the first job, to begin with.
const firstStages = (stages) => ["student", "ceiling", "floor"].map((role) => stages.find((stage) => stage.role === role)?.id).filter(Boolean).join(",");

function stageButton(stage, toggle) {
  return el("button", {type: "button", "data-id": stage.id, "aria-pressed": "false", title: stage.jobs, onclick: () => toggle(stage.id)},
    stage.label, " ", el("small", {}, stage.role || stage.kind));
}

function drawCurves(place, picked, metric) {
  const traces = picked.filter((stage) => stage.curve[metric]).map((stage, number) => {
    const [x, y] = stage.curve[metric];
    const line = {color: `var(--${LINES[number % LINES.length]})`, width: 2, dash: DASHES[Math.floor(number / LINES.length) % 3]};
    return {type: "scatter", mode: x.length > 20 ? "lines" : "lines+markers", name: plain(`${stage.label}${stage.role ? ` (${stage.role})` : ""}`), x, y, line, hoverinfo: "y+name"};
  });
  const axis = (text, more) => ({title: {text}, ...more});
  draw(place, {data: traces, layout: {
    height: 440, margin: {t: 12}, showlegend: true, legend: {y: -0.22, yanchor: "top"}, hoverlabel: {namelength: -1},
    xaxis: axis("share of training", {range: [0, 1.01]}), yaxis: axis(plain(metric)),
  }});
}

function saveCurves(picked, metric) {
  const rows = picked.filter((stage) => stage.curve[metric]).flatMap((stage) => stage.curve[metric][0].map((x, i) => [stage.label, stage.id, stage.role, x, stage.curve[metric][1][i]]));
  download(`training-${metric}.csv`, csv(["stage", "digest", "role", "share of training", metric], rows));
}
