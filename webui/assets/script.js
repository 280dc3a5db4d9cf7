// What pages do beyond plain HTML: live parts, followed logs, copying, keys. Every page works without it.
"use strict";
(() => {
  const main = document.getElementById("main");
  const state = document.getElementById("live-state");

  // Ages grow by themselves.
  const units = [[31536000, "y"], [86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const span = (seconds) => {
    if (seconds < 120) return seconds + "s";
    if (seconds < 600) return Math.floor(seconds / 60) + "m" + (seconds % 60 ? (seconds % 60) + "s" : "");
    if (seconds >= 10800 && seconds < 28800) return Math.floor(seconds / 3600) + "h" + (Math.floor(seconds % 3600 / 60) ? Math.floor(seconds % 3600 / 60) + "m" : "");
    if (seconds >= 3600 && seconds < 10800) return Math.floor(seconds / 60) + "m";
    if (seconds >= 28800 && seconds < 172800) return Math.floor(seconds / 3600) + "h";
    if (seconds >= 172800 && seconds < 691200) return Math.floor(seconds / 86400) + "d" + (Math.floor(seconds % 86400 / 3600) ? Math.floor(seconds % 86400 / 3600) + "h" : "");
    const [size, word] = units.find(([size]) => seconds >= size);
    return Math.floor(seconds / size) + word;
  };
  const two = (number) => String(number).padStart(2, "0");
  const duration = (seconds) => seconds < 60 ? seconds + "s"
    : seconds < 3600 ? Math.floor(seconds / 60) + "m " + two(seconds % 60) + "s"
    : seconds < 86400 ? Math.floor(seconds / 3600) + "h " + two(Math.floor(seconds % 3600 / 60)) + "m"
    : Math.floor(seconds / 86400) + "d " + Math.floor(seconds % 86400 / 3600) + "h";
  // The server's clock counts: ours may be wrong.
  let ahead = null;
  const tick = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const seconds = Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (Number.isNaN(seconds) || (ahead !== null && Math.abs(ahead) > 60)) continue;
      const text = time.hasAttribute("data-since") ? duration(Math.max(0, seconds))
        : seconds < -1 ? "in " + span(-seconds) : span(Math.max(0, seconds)) + " ago";
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // Makes one element like another and leaves alone what is the same: focus, selection, scrolling and folding stay.
  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) { old.replaceWith(fresh.cloneNode(true)); return; }
    if (old.nodeType === Node.TEXT_NODE) { if (old.data !== fresh.data) old.data = fresh.data; return; }
    if (old.nodeType !== Node.ELEMENT_NODE) return;
    if (old.hasAttribute("data-follow") && fresh.hasAttribute("data-follow")) return;
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open" && name !== "hidden") old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (name !== "open" && name !== "hidden" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    children(old, fresh);
  };
  const children = (old, fresh) => {
    const before = [...old.childNodes], after = [...fresh.childNodes];
    after.forEach((node, at) => before[at] ? morph(before[at], node) : old.append(node.cloneNode(true)));
    for (const node of before.slice(after.length)) node.remove();
  };
  const parsed = (html) => { const template = document.createElement("template"); template.innerHTML = html; return template.content; };
  const put = (id, hash, html) => {
    const part = document.getElementById(id);
    if (!part) return false;
    children(part, parsed(html));
    part.dataset.hash = hash;
    prepare();
    return true;
  };
  const again = async () => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    if (page) { children(main, page); prepare(); }
  };

  const live = (on) => { if (state) { state.hidden = false; state.classList.toggle("off", !on); state.textContent = on ? "live" : "not live"; } };
  // Streams are open while somebody looks: a tab that stays hidden lets go of them, and goes on later where it was.
  const HIDDEN_MILLISECONDS = 60000, YOUNG_MILLISECONDS = 30000;
  const streams = [];
  const stream = (address, listen) => {
    const held = { source: null, done: false, last: "" };
    held.open = () => {
      if (held.source || held.done) return;
      const source = held.source = new EventSource(address(held.last));
      source.addEventListener("error", () => {
        live(false);
        if (source.readyState !== EventSource.CLOSED) return;
        held.close();
        // It was refused: the session may have ended, and the page asks for another one.
        if (performance.now() > YOUNG_MILLISECONDS) location.reload(); else setTimeout(held.open, YOUNG_MILLISECONDS);
      });
      listen(source, held);
    };
    held.close = () => { held.source?.close(); held.source = null; };
    streams.push(held);
    if (!document.hidden) held.open();
  };
  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => { live(false); streams.forEach((held) => held.close()); }, HIDDEN_MILLISECONDS);
    else streams.forEach((held) => held.open());
  });
  addEventListener("pagehide", () => streams.forEach((held) => held.close()));
  // A page that comes back out of the browser's memory.
  addEventListener("pageshow", (event) => { if (event.persisted) streams.forEach((held) => held.open()); });

  if (main && main.dataset.live) stream(() => main.dataset.live, (source) => {
    source.addEventListener("hello", (event) => {
      live(true);
      const hashes = JSON.parse(event.data);
      const same = Object.entries(hashes).every(([id, hash]) => document.getElementById(id)?.dataset.hash === hash);
      if (!same) again().catch(() => live(false));
    });
    source.addEventListener("part", (event) => {
      const { id, hash, html } = JSON.parse(event.data);
      if (!put(id, hash, html)) again().catch(() => live(false));
    });
  });

  // Logs that go on.
  const followed = new WeakSet();
  const follow = (list) => {
    if (followed.has(list)) return;
    followed.add(list);
    const frame = list.closest(".log") ?? list;
    const address = list.dataset.follow, isTail = address.includes("tail=");
    const from = (last) => last ? address.replace(/([?&]after=)\d+|$/, (found, name) => name ? name + last : (address.includes("?") ? "&" : "?") + "after=" + last) : address;
    stream(from, (source, held) => {
      let fresh = isTail;
      source.addEventListener("lines", (event) => {
        const { html, reset } = JSON.parse(event.data);
        held.last = event.lastEventId || held.last;
        const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
        if (reset || fresh) list.replaceChildren();
        fresh = false;
        list.append(parsed(html));
        if (isTail) while (list.children.length > 40) list.firstElementChild.remove();
        if (document.body.dataset.page === "log" && atEnd) scrollTo({ top: document.documentElement.scrollHeight });
      });
      source.addEventListener("open", () => frame.classList.add("following"));
      source.addEventListener("end", () => { held.done = true; held.close(); list.removeAttribute("data-follow"); const end = document.getElementById("end"); if (end) end.textContent = "This is the end of the log."; });
    });
  };

  const prepare = () => {
    for (const button of document.querySelectorAll("[data-copy], [data-copy-from]")) button.hidden = !navigator.clipboard;
    for (const list of document.querySelectorAll("ol[data-follow]")) follow(list);
    tick();
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy ?? document.getElementById(button.dataset.copyFrom).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  // Keys: / searches, g and a letter goes, j and k walk through the links of lists.
  const places = { h: "/", r: "/recipes", t: "/runs", q: "/queue", a: "/apps", e: "/events" };
  let went = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") { const search = document.querySelector("input[type=search]"); if (search) { event.preventDefault(); search.focus(); } return; }
    if (event.key === "g") { went = Date.now(); return; }
    if (Date.now() - went < 1200 && places[event.key]) { location.assign(places[event.key]); return; }
    if (event.key === "j" || event.key === "k") {
      const links = [...document.querySelectorAll("tbody th a, .rows .line a, .need .line a, .running .line a")];
      const at = links.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
      links[Math.max(0, Math.min(links.length - 1, at))]?.focus();
    }
  });
  for (const select of document.querySelectorAll(".filters select")) select.addEventListener("change", () => select.form.requestSubmit());
  prepare();
  setInterval(tick, 1000);
})();
