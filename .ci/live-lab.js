// The home page's Lab, live: a click loads Python into a worker, and the same run goes on where the recording was.

const button = document.getElementById("live-start");
const place = document.getElementById("live-lab");
const here = (name) => new URL(name, import.meta.url);

const failed = (why) => (button.textContent = `Python could not be loaded into this page: ${why}`);

button.hidden = false;
button.onclick = () => {
  button.disabled = true;
  button.textContent = "Loading Python into this page …";
  const python = new Worker(here("live-worker.js"), { type: "module" });
  let hear = () => {};
  const model = (opened) => ({
    get: (name) => opened[name],
    send: (message) => python.postMessage(JSON.stringify(message)),
    on: (event, take) => event === "msg:custom" && (hear = take),
    off: () => {},
  });
  const act = {
    open: async ({ told }) => {
      const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: here("lab.css") });
      const lab = await import(here("lab.js"));
      place.replaceChildren(style);
      await lab.default.render({ model: model(told), el: place });
      button.remove();
    },
    lab: ({ told }) => hear(told),
    failed: ({ why }) => failed(why),
  };
  python.onmessage = ({ data }) => act[data.type](data);
  python.onerror = (event) => failed(event.message ?? "no worker can be started");
};
