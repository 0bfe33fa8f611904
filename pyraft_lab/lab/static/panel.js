// The panels of a live cluster: a strip of figures and a log. Python says what to show as plain JSON; here it is drawn.

const make = (tag, look, text) => Object.assign(document.createElement(tag), { className: look, textContent: text ?? "" });

/** A strip of figures: name, value, and a line below; the throughput also as bars. */
function strip(el) {
  const list = make("div", "rl-strip"); // no dl: JupyterLab dresses those of every page in its own way
  list.setAttribute("role", "list");
  el.append(list);
  let parts = [];
  return ({ cells = [], bars = [], fill, ink, seconds }) => {
    if (parts.length !== cells.length) {
      parts = cells.map(() => {
        const box = make("div", "rl-figure"), name = make("div", "rl-name"), value = make("div", "rl-value"), more = make("div", "rl-more");
        box.setAttribute("role", "listitem");
        box.append(name, value, more);
        list.append(box);
        return { box, name, value, more };
      });
    }
    cells.forEach((cell, place) => {
      for (const part of ["name", "value", "more"]) if (parts[place][part].textContent !== cell[part]) parts[place][part].textContent = cell[part];
    });
    if (parts[0]) Object.assign(parts[0].more.style, { background: fill, color: ink });
    if (parts[1]) spark(parts[1].box, bars, seconds);
  };
}

/** Commands committed over time, as bars: the newest at the right. */
function spark(box, bars, seconds) {
  const most = Math.max(1, ...bars), path = bars.map((count, place) => `M${place * 4 + 1.5} 24v-${(count / most) * 22 + 0.5}`).join("");
  let svg = box.querySelector("svg");
  if (!svg) {
    box.insertAdjacentHTML("beforeend", `<svg role="img" viewBox="0 0 ${bars.length * 4} 24" preserveAspectRatio="none"><path/></svg>`);
    svg = box.querySelector("svg");
  }
  svg.setAttribute("aria-label", `commands committed in the last ${seconds} seconds`);
  svg.firstChild.setAttribute("d", path);
}

/** A log that scrolls with its newest line, until its reader scrolls back. */
function log(el) {
  const bar = make("div", "rl-logbar"), count = make("span"), button = make("button", "rl-follow", "Newest");
  const list = Object.assign(make("ol", "rl-lines"), { tabIndex: 0 });
  list.setAttribute("role", "log");
  list.setAttribute("aria-label", "what happens in the cluster");
  bar.append(count, button);
  el.append(bar, list);
  const rows = new Map();
  let follows = true;
  const down = () => { list.scrollTop = list.scrollHeight; };
  list.addEventListener("scroll", () => {
    follows = list.scrollTop + list.clientHeight > list.scrollHeight - 8;
    button.hidden = follows;
  });
  button.hidden = true;
  button.addEventListener("click", () => { follows = true; down(); list.focus(); });
  return ({ lines = [], earlier = 0 }) => {
    count.textContent = earlier > 0 ? `the newest ${lines.length} lines; ${earlier} earlier ones are in cluster.trace` : `${lines.length} lines`;
    const ids = new Set(lines.map((line) => line.id));
    for (const [id, row] of rows) if (!ids.has(id)) { row.remove(); rows.delete(id); }
    for (const line of lines) {
      const known = rows.get(line.id);
      if (known) { if (known.lastChild.textContent !== line.text) known.lastChild.textContent = line.text; continue; }
      const row = make("li", line.quiet ? "rl-dim" : "");
      row.append(make("time", "", `${line.time.toFixed(3)} s`), make("span", "", line.text));
      rows.set(line.id, row);
      list.append(row);
    }
    if (follows) down();
  };
}

function render({ model, el }) {
  const root = make("section", "rl-panel"), note = make("p", "rl-end");
  el.append(root);
  const draw = (model.get("sort") === "log" ? log : strip)(root);
  root.append(note);
  const show = () => {
    const shown = model.get("shown");
    draw(shown);
    note.textContent = shown.error ? `This panel failed: ${shown.error}` : shown.over ? "The cluster has ended; this is how it stood." : "";
    note.hidden = !note.textContent;
  };
  model.on("change:shown", show);
  show();
  return () => model.off("change:shown", show);
}

export default { render };
