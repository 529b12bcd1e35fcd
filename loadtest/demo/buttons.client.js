// Draws one box for each unit, and presses what is pressed. Texts are set as text: nothing of them is markup.
const EVERY = 1_000;
const WAYS = [
  ["kill", "revive", "Kill", "Start again", ["killed"]],
  ["hang", "resume", "Hang", "Resume", ["hung"]],
  ["slow", "restore", "Make slow", "As quick as before", ["slow"]],
];
const boxes = new Map();

function make(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

function boxOf(unit) {
  const box = document.createElement("div");
  const state = make("span", "");
  const title = make("h2", `${unit}: `);
  title.append(state);
  box.append(title);
  const buttons = WAYS.map(() => {
    const button = make("button", "");
    button.type = "button";
    button.dataset.target = unit;
    box.append(button);
    return button;
  });
  document.querySelector("#units").append(box);
  return { state, buttons };
}

function show({ console: address, units, events }) {
  document.querySelector("#console").href = address;
  for (const { name, condition } of units) {
    if (!boxes.has(name)) boxes.set(name, boxOf(name));
    const { state, buttons } = boxes.get(name);
    state.textContent = condition;
    WAYS.forEach(([doing, undoing, done, undone, words], i) => {
      const isDone = words.some((word) => condition.endsWith(word));
      buttons[i].dataset.action = isDone ? undoing : doing;
      buttons[i].textContent = isDone ? undone : done;
    });
  }
  const items = events.map(({ at, text }) => make("li", `${Math.floor(at)} s: ${text}`));
  document.querySelector("#events").replaceChildren(...items.reverse());
}

async function look() {
  try {
    const answer = await fetch("/state", { signal: AbortSignal.timeout(5_000) });
    show(await answer.json());
    document.querySelector("#gone").hidden = true;
  } catch {
    document.querySelector("#gone").hidden = false;
  }
}

document.addEventListener("click", async ({ target }) => {
  const { action, target: at } = target.dataset ?? {};
  if (action === undefined) return;
  const headers = { "content-type": "application/json" };
  await fetch("/act", { method: "POST", headers, body: JSON.stringify({ action, target: at }) }).catch(
    () => {},
  );
  await look();
});
setInterval(look, EVERY);
look();
