// Sends how fast a page was, once, when the visitor leaves it (docs/LOGS.md):
//   <script src="/measures.js" data-to="/m" defer></script>
// Measures are named and counted as npm web-vitals does. No cookie, nothing of the visitor.
(() => {
  const to = document.currentScript && document.currentScript.dataset.to;
  const kinds = window.PerformanceObserver && PerformanceObserver.supportedEntryTypes;
  if (!to || !kinds || !navigator.sendBeacon) return;
  const page = Math.random().toString(36).slice(1) + Date.now();
  const [measures, observers] = [{}, []];
  const watch = (type, look, options) => {
    if (!kinds.includes(type)) return;
    const observer = new PerformanceObserver((l) => l.getEntries().forEach(look));
    observer.observe({ type, buffered: true, ...options });
    observers.push([observer, look]);
  };

  const visit = performance.getEntriesByType("navigation")[0];
  const start = (visit && visit.activationStart) || 0;
  const since = (time) => Math.max(0, time - start);
  if (visit && visit.responseStart > 0) measures.TTFB = since(visit.responseStart);
  // What is painted unseen says nothing.
  let hidden = document.visibilityState === "hidden" ? 0 : Infinity;
  addEventListener("visibilitychange", (e) => (hidden = Math.min(hidden, e.timeStamp)), true);
  watch("paint", (e) => {
    if (e.name === "first-contentful-paint" && e.startTime < hidden) measures.FCP = since(e.startTime);
  });
  watch("largest-contentful-paint", (e) => {
    if (e.startTime < hidden) measures.LCP = since(e.startTime);
  });

  // The worst session of shifts: at most a second between two, five in all.
  if (kinds.includes("layout-shift")) measures.CLS = 0;
  let sum = 0, first = 0, last = 0;
  watch("layout-shift", (e) => {
    if (e.hadRecentInput) return;
    if (!sum || e.startTime - last > 1000 || e.startTime - first > 5000) [sum, first] = [0, e.startTime];
    [sum, last] = [sum + e.value, e.startTime];
    measures.CLS = Math.max(measures.CLS, sum);
  });

  // The slowest interaction; of every fifty, one is forgiven.
  const slow = new Map();
  watch("event", (e) => {
    if (!e.interactionId) return;
    slow.set(e.interactionId, Math.max(slow.get(e.interactionId) || 0, e.duration));
    const all = [...slow.values()].sort((a, b) => b - a);
    measures.INP = all[Math.floor(slow.size / 50)];
  }, { durationThreshold: 40 });

  let sent = false;
  const send = (e) => {
    if (sent || (e.type !== "pagehide" && document.visibilityState !== "hidden")) return;
    sent = true;
    observers.forEach(([observer, look]) => observer.takeRecords().forEach(look));
    const round = (value) => Math.round(value * 1e4) / 1e4;
    const all = Object.entries(measures).map(([name, value]) => ({ name, value: round(value), id: name + page }));
    navigator.sendBeacon(to, JSON.stringify(all));
  };
  addEventListener("visibilitychange", send, true);
  addEventListener("pagehide", send, true);
})();
