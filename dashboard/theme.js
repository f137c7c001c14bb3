// Before the first paint: light or dark, if somebody has chosen. Otherwise the
// system decides, in style.css.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the system decides
}
