// A seat in a tab: loads Python, runs pyraft_lab.classroom.tab there, and draws what it says.

const at = (id) => document.getElementById(id);
const room = await (await fetch("room.json")).json();
at("title").textContent = `Room ${room.room}`;

const say = (text) => (at("status").textContent = text);
let seat;
let drawn = null;
let hear = () => {};

/** The Lab's drawing asks this model instead of a widget's: its messages go to Python in this tab. */
const model = (opened) => ({
  get: (name) => opened[name],
  send: (message) => seat.lab(JSON.stringify(message)),
  on: (event, take) => event === "msg:custom" && (hear = take),
  off: () => {},
});

const draw = {
  open: async (told) => {
    const lab = await import("./lab.js");
    lab.default.render({ model: model(told), el: at("lab") });
  },
  lab: (told) => hear(told),
  seat: (now) => {
    if (now.over) {
      say(`${now.over}. Load the page again for a new seat.`);
      at("seat").hidden = true;
      return;
    }
    const text = JSON.stringify(now);
    if (text === drawn) return;
    drawn = text;
    at("seat").hidden = false;
    say(now.node ? `You are node ${now.node}.` : "Joining …");
    document.title = now.node ? `n${now.node} · room ${room.room}` : document.title;
    at("sheet").replaceChildren(...now.sheet.map(([name, value]) => row(name, value)));
    at("question").textContent = now.question ?? (now.by_hand ? "Nothing to decide." : "Your node plays automatically.");
    at("facts").replaceChildren(...(now.facts ?? []).map((fact) => made("li", fact)));
    at("choices").replaceChildren(...now.choices.map(([answer, meaning]) => choice(answer, meaning)));
    at("said").textContent = now.said;
    at("mode").textContent = now.by_hand ? "Play automatically" : "Play by hand";
    at("mode").onclick = () => seat.play(!now.by_hand);
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
  button.onclick = () => seat.answer(answer);
  return button;
};

try {
  const { loadPyodide } = await import(`${room.pyodide}pyodide.mjs`);
  const [python, library, mqtt] = await Promise.all([
    loadPyodide({ indexURL: room.pyodide, packages: ["msgspec"] }),
    fetch("pyraft_lab.zip").then((answer) => answer.arrayBuffer()),
    import(room.mqtt),
  ]);
  globalThis.mqtt = mqtt.default;
  python.unpackArchive(library, "zip");
  globalThis.show = (text) => {
    const message = JSON.parse(text);
    draw[message.type](message.type === "seat" ? message : message.told);
  };
  python.globals.set("broker", room.broker);
  python.globals.set("room", room.room);
  seat = python.runPython(
    "from js import show\nfrom pyraft_lab.classroom.tab import TabSeat\nTabSeat(broker, room, show)",
  );
  say("Ready.");
  at("take").disabled = false;
} catch (error) {
  say(`Python could not be loaded into this tab: ${error}`);
}

at("join").onsubmit = (event) => {
  event.preventDefault();
  at("join").hidden = true;
  say("Joining …");
  seat.join(at("name").value, at("by-hand").checked);
  seat.hide(document.hidden);
};
at("leave").onclick = () => seat.leave();
document.addEventListener("visibilitychange", () => seat?.hide(document.hidden));
addEventListener("pagehide", () => seat?.leave());
