// The Python of the home page's Lab: Pyodide and this library, both from the JupyterLite site.

const pyodide = new URL("../lite/static/pyodide/", import.meta.url).href;
const run = `
from js import show
from pyraft_lab.lab.on_a_page import PageLab
from pyraft_lab.lab.picture import session

PageLab(session(), show)`;

try {
  const { loadPyodide } = await import(`${pyodide}pyodide.mjs`);
  const library = fetch(`${pyodide}pyodide-lock.json`)
    .then((answer) => answer.json())
    .then((lock) => fetch(pyodide + lock.packages["pyraft-lab"].file_name))
    .then((answer) => answer.arrayBuffer());
  const python = await loadPyodide({ indexURL: pyodide, packages: ["msgspec"] });
  python.unpackArchive(await library, "wheel");
  globalThis.show = (text) => postMessage(JSON.parse(text));
  const lab = python.runPython(run);
  globalThis.onmessage = ({ data }) => lab.answer(data);
} catch (error) {
  postMessage({ type: "failed", why: String(error) });
}
