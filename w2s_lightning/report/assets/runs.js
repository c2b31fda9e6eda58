// Jobs and stages as tables that sort, search and page; the details of one job below.
function startRuns(page) {
  if (!globalThis.w2sTable) { addEventListener("w2s-tables", () => startRuns(page), {once: true}); return; }
  for (const found of all("table.sortable", page)) {
    if (found.dataset.started) continue;
    found.dataset.started = "yes";
    const name = `find-${found.dataset.table}`;
    const made = new globalThis.w2sTable(found, {
      order: [], pageLength: 25, lengthMenu: [25, 100, -1], autoWidth: false, search: {search: route.get(name)},
      layout: {topStart: "search", topEnd: null, bottomStart: "info", bottomEnd: found.tBodies[0].rows.length > 25 ? "paging" : null},
      language: {search: "Find", info: "_START_ to _END_ of _TOTAL_", infoEmpty: "nothing fits", infoFiltered: "(of _MAX_)", zeroRecords: "nothing fits", emptyTable: "nothing yet"},
    });
    made.on("search.dt", () => { if (page.classList.contains("shown")) route.set({[name]: made.search()}); });
    found.finder = made;
  }
  if (route.get("job")) showJob(page, route.get("job"));
}

function showJob(page, wanted) {
  const {shared, jobs} = DATA.sections[page.closest(".section").dataset.section].runs;
  const job = jobs.find((other, i) => (other.digest ?? `n${i}`).startsWith(wanted));
  const place = one(".job", page);
  place.hidden = !job;
  if (!job) return;
  const config = Object.entries(job.own ? {...shared, ...job.own} : {}).sort(([a], [b]) => (a in shared) - (b in shared) || a.localeCompare(b));
  const lines = config.map(([key, value]) => el("tr", {class: key in shared ? null : "differs"}, el("th", {scope: "row"}, key), el("td", {}, JSON.stringify(value))));
  place.replaceChildren(
    el("h3", {}, job.title, " ", el("span", {class: `chip ${job.state}`}, job.state)),
    ...(job.reason ? [el("p", {}, job.reason)] : []),
    el("h4", {}, "The command that reproduces it"),
    el("div", {class: "command-line"}, el("code", {}, job.command), el("button", {type: "button", class: "quiet", "data-do": "copy"}, "Copy")),
    ...(job.log ? [el("h4", {}, "End of its log"), el("pre", {class: "log", tabindex: "0"}, job.log)] : []),
    ...job.notices.map((notice) => el("p", {class: "remark"}, notice)),
    ...(job.stages.length ? [el("details", {}, el("summary", {}, `${job.stages.length} stages`), el("div", {class: "scroll"}, table(["kind", "stage", "digest", "took"], job.stages)))] : []),
    ...(lines.length ? [el("details", {open: Object.keys(job.own).length > 0 && "open"}, el("summary", {}, `Configuration: ${Object.keys(job.own).length} keys differ between the jobs`), el("table", {}, el("tbody", {}, ...lines)))] : []),
  );
}

function openJob(page, number) {
  const {jobs} = DATA.sections[page.closest(".section").dataset.section].runs;
  route.set({job: (jobs[number].digest ?? `n${number}`).slice(0, 10)});
  showJob(page, route.get("job"));
  one(".job", page).focus({preventScroll: true});
  one(".job", page).scrollIntoView({block: "nearest"});
}
