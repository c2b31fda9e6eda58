// The address holds everything that was chosen: #page/figure?s=section&cell=...&q=...
const route = {
  page: "overview", figure: null, params: new URLSearchParams(),

  read() {
    const [place, query = ""] = location.hash.slice(1).split("?");
    const [page, figure = null] = place.split("/");
    const known = all(".rail nav a").map((link) => link.dataset.page);
    this.page = known.includes(page) ? page : "overview";
    this.figure = figure;
    this.params = new URLSearchParams(query);
  },

  get(name) { return this.params.get(name) ?? ""; },

  // Change what is chosen without a new entry in the history; an empty value takes a choice away.
  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === "" || value === null) this.params.delete(name); else this.params.set(name, value);
    }
    history.replaceState(null, "", this.address(this.page, this.figure));
    this.mark();
  },

  address(page, figure = null, params = this.params) {
    const query = params.toString();
    return `#${page}${figure ? `/${figure}` : ""}${query ? `?${query}` : ""}`;
  },

  // The section in view, as its key: what the address says, else the first.
  section() {
    const keys = Object.keys(DATA.sections);
    return keys.includes(this.get("s")) ? this.get("s") : keys[0];
  },

  // Links carry what they need: pages keep the section, figures keep their choices.
  mark() {
    const kept = new URLSearchParams(this.params.has("s") ? {s: this.get("s")} : {});
    for (const link of all(".rail nav a")) {
      link.href = this.address(link.dataset.page, null, kept);
      if (link.dataset.page === this.page) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
    const current = one(".rail nav [aria-current]"), nav = current.parentElement;
    nav.scrollLeft = current.offsetLeft - nav.offsetLeft - (nav.clientWidth - current.offsetWidth) / 2;
    for (const link of all(".page.shown .anchor")) {
      link.href = this.address(...link.closest(".figure").dataset.figure.split("/"));
    }
  },
};

// Page and section that are in view.
const shown = () => one(".page.shown");
