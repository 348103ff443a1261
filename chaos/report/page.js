"use strict";
(() => {
  const byId = id => document.getElementById(id);
  const scroll = byId("scroll"), wide = byId("wide"), overlay = byId("overlay"), ticks = byId("ticks"), hair = byId("hair"), readout = byId("readout");
  const most = 400;
  let zoom = 1;

  const names = () => overlay.offsetLeft;
  const clock = s => s < 3600 ? s.toFixed(3) + " s"
    : Math.floor(s / 3600) + ":" + String(Math.floor(s / 60) % 60).padStart(2, "0") + ":" + (s % 60).toFixed(1).padStart(4, "0");

  // look shows the moment at a share of the time at so many pixels from the left.
  function look(to, share, pixels) {
    zoom = Math.min(Math.max(to, 1), most);
    wide.style.setProperty("--zoom", zoom);
    scroll.scrollLeft = share * overlay.offsetWidth + names() - pixels;
    mark();
  }
  function shareAt(pixels) { return (scroll.scrollLeft + pixels - names()) / overlay.offsetWidth; }
  function closer(by, pixels) { look(zoom * by, shareAt(pixels), pixels); }
  function middle() { return (names() + scroll.clientWidth) / 2; }

  // mark draws the axis of what is seen, a mark every hundred pixels or so.
  function mark() {
    const rough = 100 * data.seconds / overlay.offsetWidth;
    const steps = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400];
    const step = steps.find(s => s >= rough) || 86400 * Math.ceil(rough / 86400);
    const from = Math.max(0, Math.floor(shareAt(0) * data.seconds / step)), to = Math.min(data.seconds, shareAt(scroll.clientWidth) * data.seconds);
    ticks.replaceChildren();
    for (let i = from; i * step <= to; i++) {
      const tick = document.createElement("div"), text = document.createElement("span");
      tick.className = "tick";
      tick.style.left = 100 * i * step / data.seconds + "%";
      text.textContent = i * step < 3600 ? +(i * step).toFixed(3) + " s" : clock(i * step);
      tick.append(text);
      ticks.append(tick);
    }
  }

  byId("in").onclick = () => closer(2, middle());
  byId("out").onclick = () => closer(.5, middle());
  byId("all").onclick = () => look(1, 0, names());
  scroll.addEventListener("wheel", e => {
    if (!e.ctrlKey) return;
    e.preventDefault();
    closer(e.deltaY < 0 ? 1.25 : .8, e.clientX - scroll.getBoundingClientRect().left);
  }, { passive: false });
  scroll.addEventListener("scroll", () => requestAnimationFrame(mark));
  addEventListener("resize", mark);

  let held = null;
  scroll.addEventListener("pointerdown", e => {
    if (e.pointerType !== "mouse" || e.button !== 0) return;
    held = { x: e.clientX, left: scroll.scrollLeft };
  });
  addEventListener("pointerup", () => { held = null; scroll.classList.remove("drags"); });
  addEventListener("pointermove", e => {
    if (!held) return;
    scroll.classList.add("drags");
    scroll.scrollLeft = held.left + held.x - e.clientX;
  });

  scroll.addEventListener("pointermove", e => {
    const share = shareAt(e.clientX - scroll.getBoundingClientRect().left);
    hair.hidden = share < 0 || share > 1;
    if (hair.hidden) return;
    hair.style.left = 100 * share + "%";
    const bin = Math.min(data.bins - 1, Math.floor(share * data.bins));
    const told = data.series.filter(s => s.values[bin] !== null).map(s => s.name + " " + s.values[bin] + (s.unit === "/s" ? "/s" : " " + s.unit));
    const under = e.target.closest("[title]");
    readout.textContent = clock(share * data.seconds) + (under && wide.contains(under) ? " · " + under.title.replace("\n", " · ") : "") + " · " + told.join(" · ");
  });
  scroll.addEventListener("pointerleave", () => { hair.hidden = true; readout.textContent = "\u00a0"; });

  document.querySelectorAll("button[data-from]").forEach(button => {
    button.onclick = () => {
      const from = +button.dataset.from / 100, to = +button.dataset.to / 100;
      scroll.scrollIntoView({ block: "center" });
      look(1 / Math.max(3 * (to - from), 2 / data.seconds, 1 / most), (from + to) / 2, middle());
    };
  });
  mark();
})();
