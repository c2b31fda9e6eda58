// Before the first paint: say that scripts run, and take up the reader's choice of theme.
document.documentElement.classList.add("js");
try {
  const theme = localStorage.getItem("w2s-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* a browser may refuse storage to files */ }
