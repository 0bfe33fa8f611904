// Bundled from lab/js/src by lab/js/build.js; change it there. Sources: f86aaafe047147f25fffde0bad4169b3ba24cbdcbf464af012c8840b3da1abfa

// src/dom.js
function keepKeys(root) {
  root.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
}

// src/panel.js
var make = (tag, look, text) => Object.assign(document.createElement(tag), { className: look, textContent: text ?? "" });
function figure(list) {
  const box = make("div", "rl-figure");
  const parts = { name: make("div", "rl-name"), value: make("div", "rl-value"), more: make("div", "rl-more") };
  box.setAttribute("role", "listitem");
  box.append(parts.name, parts.value, parts.more);
  list.append(box);
  return { box, ...parts };
}
function strip(el) {
  const list = make("div", "rl-strip");
  list.setAttribute("role", "list");
  el.append(list);
  let figures = [];
  return ({ cells = [], bars = [], fill = "", ink = "", seconds = 0 }) => {
    if (figures.length !== cells.length) figures = cells.map(() => figure(list));
    cells.forEach((cell, place) => {
      for (
        const part of
        /** @type {const} */
        ["name", "value", "more"]
      ) {
        if (figures[place][part].textContent !== cell[part]) figures[place][part].textContent = cell[part];
      }
    });
    if (figures.length) Object.assign(figures[0].more.style, { background: fill, color: ink });
    if (figures.length > 1) spark(figures[1].box, bars, seconds);
  };
}
function spark(box, bars, seconds) {
  const most = Math.max(1, ...bars);
  const d = bars.map((count, place) => `M${place * 4 + 1.5} 24v-${count / most * 22 + 0.5}`).join("");
  if (!box.querySelector("svg")) {
    const view = `viewBox="0 0 ${bars.length * 4} 24" preserveAspectRatio="none"`;
    box.insertAdjacentHTML("beforeend", `<svg role="img" ${view}><path/></svg>`);
  }
  box.querySelector("svg")?.setAttribute("aria-label", `commands committed in the last ${seconds} seconds`);
  box.querySelector("path")?.setAttribute("d", d);
}
function log(el) {
  const bar = make("div", "rl-logbar");
  const count = make("span", "");
  const button = make("button", "rl-follow", "Newest");
  const list = Object.assign(make("ol", "rl-lines"), { tabIndex: 0 });
  list.setAttribute("role", "log");
  list.setAttribute("aria-label", "what happens in the cluster");
  bar.append(count, button);
  el.append(bar, list);
  let follows = true;
  const down = () => {
    list.scrollTop = list.scrollHeight;
  };
  list.addEventListener("scroll", () => {
    follows = list.scrollTop + list.clientHeight > list.scrollHeight - 8;
    button.hidden = follows;
  });
  button.hidden = true;
  button.addEventListener("click", () => {
    follows = true;
    down();
    list.focus();
  });
  const write = lineWriter(list);
  return ({ lines = [], earlier = 0 }) => {
    const before = `the newest ${lines.length} lines; ${earlier} earlier ones are in cluster.trace`;
    count.textContent = earlier > 0 ? before : `${lines.length} lines`;
    write(lines);
    if (follows) down();
  };
}
function lineWriter(list) {
  const rows = /* @__PURE__ */ new Map();
  return (lines) => {
    const ids = new Set(lines.map((line) => line.id));
    for (const [id, row] of rows) {
      if (ids.has(id)) continue;
      row.remove();
      rows.delete(id);
    }
    for (const { id, time, text, quiet } of lines) {
      const words = rows.get(id)?.lastChild;
      if (words) {
        if (words.textContent !== text) words.textContent = text;
        continue;
      }
      const row = make("li", quiet ? "rl-dim" : "");
      row.append(make("time", "", `${time.toFixed(3)} s`), make("span", "", text));
      rows.set(id, row);
      list.append(row);
    }
  };
}
function render({ model, el }) {
  const root = make("section", "rl-panel");
  keepKeys(root);
  const note = make("p", "rl-end");
  el.append(root);
  const draw = (model.get("sort") === "log" ? log : strip)(root);
  root.append(note);
  const show = () => {
    const shown = (
      /** @type {Shown} */
      model.get("shown")
    );
    draw(shown);
    const over = shown.over ? "The cluster has ended; this was its last state." : "";
    note.textContent = shown.error ? `This panel failed: ${shown.error}` : over;
    note.hidden = !note.textContent;
  };
  model.on("change:shown", show);
  show();
  return () => model.off("change:shown", show);
}
var panel_default = { render };
export {
  panel_default as default
};
