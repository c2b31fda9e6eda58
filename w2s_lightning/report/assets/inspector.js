// The example inspector: filters over rows that are already here, cards for a few at a time.
const CARDS = 20;
const FILTERS = ["cell", "paradigm", "seed", "difficulty", "q", "outcome"];
const NAMES = Object.keys(DATA.outcomes);
const THIRDS = ["easy third", "middle third", "hard third"];

function startInspector(page) {
  const place = one(".inspector", page);
  if (!place || place.dataset.started) return;
  place.dataset.started = "yes";
  const data = DATA.sections[place.closest(".section").dataset.section].inspector;
  const state = {data, place, entries: entriesOf(data), shown: CARDS, found: []};
  const options = {
    cell: data.cells.map((cell) => cell.cell), paradigm: data.cells.map((cell) => cell.paradigm),
    seed: data.cells.map((cell) => cell.seed), difficulty: state.entries.some((entry) => entry.third !== null) ? THIRDS : [],
  };
  for (const [name, values] of Object.entries(options)) {
    const distinct = [...new Set(values.map(String))];
    const select = one(`[data-f=${name}]`, place);
    select.replaceChildren(el("option", {value: ""}, "all"), ...distinct.map((value) => el("option", {value}, value)));
    select.closest("label").hidden = distinct.length < 2;
    select.addEventListener("change", () => choose(state, {[name]: select.value}));
  }
  one("[data-f=q]", place).addEventListener("input", (event) => choose(state, {q: event.target.value}));
  one("[data-do=clear]", place).addEventListener("click", () => choose(state, Object.fromEntries(FILTERS.map((name) => [name, ""]))));
  one("[data-do=more]", place).addEventListener("click", () => { state.shown += CARDS; showCards(state, state.shown - CARDS); });
  place.refresh = () => { state.shown = CARDS; filterRows(state); };
  filterRows(state);
}

function choose(state, changes) {
  route.set(changes);
  state.shown = CARDS;
  filterRows(state);
}

// One entry a row: its cell, its example, what the search looks into, and the third of difficulty that it is in.
function entriesOf(data) {
  const texts = data.sets.map((set) => set.ids.map((id, i) => [id, set.questions[i] ?? "", ...set.options[i], set.solutions[i] ?? ""].join("\n").toLowerCase()));
  return data.cells.flatMap((cell) => cell.rows.map((example, row) => {
    const own = Object.values(cell.arms).map((arm) => arm.solutions?.[row] ?? "").join("\n").toLowerCase();
    const {difficulty, thirds} = data.sets[cell.set], hard = difficulty[example];
    const third = hard === null ? null : (hard >= thirds[0]) + (hard >= thirds[1]);
    return {cell, example, row, text: texts[cell.set][example] + own, third};
  }));
}

function filterRows(state) {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, route.get(name)]));
  for (const name of FILTERS.slice(0, 5)) { const field = one(`[data-f=${name}]`, state.place); if (document.activeElement !== field || name !== "q") field.value = wanted[name]; }
  const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
  const cells = new Set(state.data.cells.filter((cell) => (!wanted.cell || cell.cell === wanted.cell) && (!wanted.paradigm || cell.paradigm === wanted.paradigm) && (!wanted.seed || String(cell.seed) === wanted.seed)));
  const third = wanted.difficulty ? THIRDS.indexOf(wanted.difficulty) : null;
  const outcome = wanted.outcome ? NAMES.indexOf(wanted.outcome) : null;
  state.found = state.entries.filter((entry) => cells.has(entry.cell) && (third === null || entry.third === third)
    && (outcome === null || entry.cell.outcomes[entry.row] === outcome) && words.every((word) => entry.text.includes(word)));
  showOutcomes(state, cells, wanted.outcome);
  showCards(state);
}

// How often each outcome occurs among all test examples of the chosen cells, not only among the rows that are here.
function showOutcomes(state, cells, wanted) {
  const total = [...cells].reduce((sum, cell) => sum + cell.total, 0);
  const buttons = NAMES.map((name) => [name, [...cells].reduce((sum, cell) => sum + (cell.counts[name] ?? 0), 0)]).filter(([name, count]) => count || name === wanted);
  one(".outcomes", state.place).replaceChildren(...buttons.map(([name, count]) => el("button", {
    type: "button", "data-outcome": name, "aria-pressed": String(name === wanted),
    onclick: () => choose(state, {outcome: name === wanted ? "" : name}),
  }, el("b", {}, total ? `${((100 * count) / total).toFixed(1)} %` : "–"), el("span", {}, DATA.outcomes[name]))));
}

function showCards(state, from = 0) {
  const {place, found, shown: most} = state;
  const total = state.entries.length;
  one(".found", place).textContent = found.length ? `${found.length.toLocaleString("en")} of ${total.toLocaleString("en")} rows` : "No row fits these filters.";
  const words = route.get("q").toLowerCase().split(/\s+/).filter(Boolean);
  const made = found.slice(from, most).map((entry) => card(state.data, entry, words));
  if (from) one(".cards", place).append(...made); else one(".cards", place).replaceChildren(...made);
  one(".more", place).hidden = found.length <= most;
}

function card(data, entry, words) {
  const {cell, example, row} = entry, set = data.sets[cell.set], name = NAMES[cell.outcomes[row]];
  const gold = set.gold[example], options = set.options[example];
  const label = (answer) => answerName(set, options, answer);
  const left = el("div", {}, el("p", {class: "question"}, ...marked(set.questions[example] ?? "The text of this example is not stored.", words)));
  if (options.length && set.kind !== "preference") {
    left.append(el("ol", {class: "options"}, ...options.map((text, i) => el("li", {class: i === gold ? "yes" : null}, ...marked(text, words)))));
  }
  const hard = set.difficulty[example];
  left.append(el("p", {class: "meta"}, `${cell.cell} · seed ${cell.seed}${hard === null ? "" : ` · difficulty ${hard}`} · ${set.ids[example]}`));
  const right = el("div", {}, el("p", {class: `verdict ${name}`}, `student ${DATA.outcomes[name]}`), answers(cell, row, gold, label));
  const made = el("li", {class: "card"}, left, right);
  if (set.kind === "preference") made.append(sides(options, gold, words));
  for (const part of solutions(cell, row, set.solutions[example])) made.append(part);
  return made;
}

// What an answer is called: its completion's number, its option's text, its class, or the answer itself.
function answerName(set, options, answer) {
  if (set.kind === "preference") return `completion ${answer + 1}`;
  if (options[answer] !== undefined) return options[answer].slice(0, 80);
  return set.classes[answer] ?? String(answer ?? "no answer");
}

function answers(cell, row, gold, label) {
  const lines = Object.entries(cell.arms).map(([arm, part]) => {
    const answer = part.answer[row], width = part.probs ? part.probs.length / cell.rows.length : 0;
    const p = width && Number.isInteger(answer) ? part.probs[row * width + answer] / 10 : null;
    const meter = p === null ? null : el("span", {class: "meter", title: `probability ${(p / 100).toFixed(3)}`}, el("i", {width: `${p}%`}));
    return el("tr", {class: arm}, el("th", {scope: "row"}, arm), el("td", {class: part.right[row] ? "yes" : "no"}, label(answer)), el("td", {class: "p"}, meter), el("td", {class: "n faint"}, p === null ? "" : `${p.toFixed(0)} %`));
  });
  return el("table", {class: "answers"}, el("tbody", {}, ...lines, el("tr", {}, el("th", {scope: "row"}, "gold"), el("td", {}, label(gold)), el("td"), el("td"))));
}

const sides = (options, gold, words) => el("div", {class: "pair"}, ...options.map((text, i) => el("div", {class: i === gold ? "side gold" : "side"}, el("h3", {class: i === gold ? "yes" : null}, `completion ${i + 1}`), ...marked(text, words))));

// Worked solutions, one numbered line a step: lines as they were written, else the sentences of a world of words.
const steps = (text) => text.split(text.trim().includes("\n") ? "\n" : /(?<= \.) /).filter((line) => line.trim());
function solutions(cell, row, golden) {
  const told = [...Object.entries(cell.arms).map(([arm, part]) => [arm, part.solutions?.[row]]), ["gold", golden]].filter(([, text]) => text);
  return told.map(([arm, text]) => el("div", {}, el("h3", {}, arm), el("ol", {class: "lines"}, ...steps(text).map((line) => el("li", {}, line)))));
}

// The text with the searched words marked, as text nodes.
function marked(text, words) {
  if (!words.length) return [text];
  const pattern = new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
  return text.split(pattern).map((part, i) => (i % 2 ? el("mark", {}, part) : part));
}
