// A seat's Python, in a worker: drawing never delays the node, and browsers do not slow the timers of hidden workers.

const say = (message) => postMessage(message);
const room = await (await fetch("room.json")).json();
try {
  const { loadPyodide } = await import(`${room.pyodide}pyodide.mjs`);
  const [python, library, mqtt] = await Promise.all([
    loadPyodide({ indexURL: room.pyodide, packages: ["msgspec"] }),
    fetch("pyraft_lab.zip").then((answer) => answer.arrayBuffer()),
    import(room.mqtt),
  ]);
  globalThis.mqtt = mqtt.default;
  globalThis.show = (text) => say(JSON.parse(text));
  python.unpackArchive(library, "zip");
  python.globals.set("broker", room.broker);
  python.globals.set("room", room.room);
  const seat = python.runPython(
    "from js import show\nfrom pyraft_lab.classroom.tab import TabSeat\nTabSeat(broker, room, show)",
  );
  globalThis.onmessage = async ({ data: [name, ...given] }) => {
    try {
      await seat[name](...given);
    } catch (error) {
      say({ type: "failed", why: String(error) });
    }
  };
  say({ type: "ready" });
} catch (error) {
  say({ type: "failed", why: String(error) });
}
