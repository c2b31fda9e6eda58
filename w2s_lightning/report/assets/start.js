// Brings the page that the address names into view, and listens.
function show() {
  route.read();
  const key = route.section();
  for (const page of all(".page")) {
    page.classList.toggle("shown", page.dataset.page === route.page && (page.closest(".section")?.dataset.section ?? key) === key);
  }
  const scope = document.getElementById("scope");
  if (scope) scope.value = key;
  route.mark();
  const page = shown();
  if (!page || !key) return;
  drawPage(page);
  startCurves(page);
  one(".curves", page)?.redraw?.();
  if (one(".inspector", page)?.dataset.started) one(".inspector", page).refresh();
  startInspector(page);
  if (route.page === "runs") startRuns(page);
  aim(page);
}

// A link to a figure scrolls to it and marks it.
function aim(page) {
  for (const figure of all(".figure", page)) {
    const aimed = figure.dataset.figure === `${route.page}/${route.figure}`;
    figure.classList.toggle("aimed", aimed);
    if (aimed) figure.scrollIntoView({block: "start"});
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do], [data-job], [data-cell]");
  if (!button) return;
  const figure = button.closest(".figure"), page = button.closest(".page");
  if (button.dataset.do === "csv" && figure) saveFigure(figure);
  if (button.dataset.do === "table") toggleData(figure, button);
  if (button.dataset.do === "copy") copy(button, one("code", button.parentElement).textContent);
  if (button.dataset.job) openJob(page, Number(button.dataset.job));
  if (button.dataset.cell) {
    event.preventDefault();
    const kept = new URLSearchParams(route.params.has("s") ? {s: route.get("s")} : {});
    const to = button.getAttribute("href").slice(1);
    if (to === "examples") kept.set("cell", button.dataset.cell);
    location.hash = route.address(to, null, kept);
  }
});

document.addEventListener("change", (event) => {
  const select = event.target.closest("[data-choose]");
  if (!select) return;
  route.set({[select.dataset.choose]: select.value});
  drawPage(shown());
});

document.getElementById("scope")?.addEventListener("change", (event) => {
  location.hash = route.address(route.page, null, new URLSearchParams({s: event.target.value}));
});

// ---- theme
const THEMES = ["system", "light", "dark"];
const themed = document.getElementById("theme");
const nameTheme = () => { one("b", themed).textContent = document.documentElement.dataset.theme ?? "system"; };
const repaint = () => { const page = shown(); if (page) { drawPage(page); one(".curves", page)?.redraw?.(); } };
themed.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % 3];
  if (next === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = next;
  try { if (next === "system") localStorage.removeItem("w2s-theme"); else localStorage.setItem("w2s-theme", next); } catch { /* not kept */ }
  nameTheme();
  repaint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

// ---- what hangs on a cell, for pointer and keyboard alike
const tip = document.getElementById("tip");
function showTip(target) {
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  target.setAttribute("aria-describedby", "tip");
  placeTip(target);
}
function placeTip(target) {
  const at = target.getBoundingClientRect(), size = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(innerWidth - size.width - 8, at.left + at.width / 2 - size.width / 2))}px`;
  tip.style.top = `${at.top > size.height + 14 ? at.top - size.height - 8 : at.bottom + 8}px`;
}
const hideTip = () => { tip.hidden = true; };
for (const [kind, act] of [["pointerover", showTip], ["focusin", showTip]]) {
  document.addEventListener(kind, (event) => { const target = event.target.closest?.("[data-tip]"); if (target) act(target); else hideTip(); });
}
document.addEventListener("focusout", hideTip);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
document.addEventListener("scroll", () => { const focused = document.activeElement; if (!tip.hidden && focused.dataset.tip === tip.textContent) placeTip(focused); else hideTip(); }, {passive: true, capture: true});

for (const part of all("[data-grow]")) part.style.flexGrow = part.dataset.grow;
addEventListener("hashchange", show);
nameTheme();
show();
