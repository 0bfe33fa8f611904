// A seat in a tab: draws what pyraft_lab.classroom.tab says in its worker, and passes on what the learner does.

const at = (id) => document.getElementById(id);
const room = await (await fetch("room.json")).json();
at("title").textContent = `Room ${room.room}`;

const say = (text) => (at("status").textContent = text);
const python = new Worker("worker.js", { type: "module" });
/** Call a method of the seat; its answer comes as a message. */
const seat = (name, ...given) => python.postMessage([name, ...given]);
let hear = () => {};

/** The Lab's drawing asks this model instead of a widget's: its messages go to the seat. */
const model = (opened) => ({
  get: (name) => opened[name],
  send: (message) => seat("lab", JSON.stringify(message)),
  on: (event, take) => event === "msg:custom" && (hear = take),
  off: () => {},
});

const draw = {
  ready: () => {
    say("Ready.");
    at("take").disabled = false;
  },
  failed: ({ why }) => say(`Python failed in this tab: ${why}. Load the page again for a new seat.`),
  open: async ({ told }) => {
    const lab = await import("./lab.js");
    at("lab").replaceChildren();
    lab.default.render({ model: model(told), el: at("lab") });
  },
  lab: ({ told }) => hear(told),
  seat: (now) => {
    if (now.over) {
      say(`${now.over}. Load the page again for a new seat.`);
      at("seat").hidden = true;
      return;
    }
    at("seat").hidden = false;
    say(now.node ? `You are node ${now.node}.` : "Joining …");
    document.title = now.node ? `n${now.node} · room ${room.room}` : document.title;
    at("sheet").replaceChildren(...now.sheet.map(([name, value]) => row(name, value)));
    at("question").textContent = now.question ?? (now.by_hand ? "Nothing to decide." : "Your node plays automatically.");
    at("facts").replaceChildren(...(now.facts ?? []).map((fact) => made("li", fact)));
    at("choices").replaceChildren(...now.choices.map(([answer, meaning]) => choice(answer, meaning)));
    at("said").textContent = now.said;
    at("mode").textContent = now.by_hand ? "Play automatically" : "Play by hand";
    at("mode").onclick = () => seat("play", !now.by_hand);
  },
};

const made = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
const row = (name, value) => {
  const line = document.createElement("tr");
  line.append(made("th", name), made("td", value));
  return line;
};
const choice = (answer, meaning) => {
  const button = made("button", answer);
  button.type = "button";
  button.title = meaning;
  button.onclick = () => seat("answer", answer);
  return button;
};

python.onmessage = ({ data }) => draw[data.type](data);
python.onerror = (event) => draw.failed({ why: event.message ?? "no worker can be started" });

at("join").onsubmit = (event) => {
  event.preventDefault();
  at("join").hidden = true;
  say("Joining …");
  seat("hide", document.hidden);
  seat("look", at("room").open);
  seat("join", at("name").value, at("by-hand").checked);
};
at("room").ontoggle = () => seat("look", at("room").open);
at("leave").onclick = () => seat("leave");
document.addEventListener("visibilitychange", () => seat("hide", document.hidden));
