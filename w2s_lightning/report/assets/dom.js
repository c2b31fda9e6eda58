// Small helpers. Text enters the page as text only: nothing here, and nothing in the other scripts, parses markup.
"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const one = (selector, from = document) => from.querySelector(selector);

// el("p", {class: "note", onclick: f}, "text", child)
function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "width") made.style.width = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const say = (text) => { document.getElementById("said").textContent = text; };

// Names in Plotly's labels: it reads markup and templates, so they are taken away.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\{/g, "&#123;");

const number = (value) => (typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(5))) : value ?? "");

function table(columns, rows) {
  const head = el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", {scope: "col"}, name))));
  const body = el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, String(number(cell)))))));
  return el("table", {}, head, body);
}

function csv(columns, rows) {
  const harmless = (cell) => (typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : String(cell ?? ""));
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  return [columns, ...rows].map((row) => row.map((cell) => quoted(harmless(cell))).join(",")).join("\n") + "\n";
}

function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
  el("a", {href: address, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// The button says what became of it, to the eye and to a screen reader.
async function copy(button, text) {
  const told = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Not allowed: select the text");
  button.textContent = told;
  say(told);
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
