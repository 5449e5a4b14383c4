// An ad is dropped or chosen, sent, and its answer shown. Whatever comes from an ad is text, never markup.

const at = (id) => document.getElementById(id);
const [form, file, status, result] = ["ask", "file", "status", "result"].map(at);
let underWay = null;
let shown = null;

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

function element(name, text = "", facts = {}) {
  const made = Object.assign(document.createElement(name), facts);
  made.textContent = text;
  return made;
}

/** Text of an ad: whichever way it is written, it turns nothing around it. */
const untrusted = (text) => element("bdi", text);

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function choose() {
  const chosen = file.files[0];
  at("chosen").textContent = chosen ? `${(chosen.size / 1e6).toFixed(1)} MB: ` : "MP4, WebM, MKV; JPEG, PNG, WebP, GIF";
  if (chosen) at("chosen").append(untrusted(chosen.name));
}

function showShares(answer) {
  at("bars").replaceChildren(...Object.entries(answer.probabilities).map(([label, share]) => {
    const row = element("div", "", { className: "share" });
    const bar = element("progress", "", { max: 1, value: share, ariaLabel: `Probability of ${label}` });
    row.append(element("span", label), bar, element("output", percent(share)));
    return row;
  }));
}

const signed = (points) => `${points > 0 ? "+" : ""}${(100 * points).toFixed(1)}`;

/** Regions over a picture: the stronger, the less see-through; those against the label are dark. */
function shade(picture, regions) {
  const most = Math.max(...regions.map((region) => Math.abs(region.points)));
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawn.setAttribute("viewBox", "0 0 1 1");
  drawn.setAttribute("preserveAspectRatio", "none");
  drawn.setAttribute("aria-hidden", "true");
  for (const region of regions) {
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const facts = { x: region.left, y: region.top, width: region.right - region.left, height: region.bottom - region.top,
      class: region.points > 0 ? "for" : "against", "fill-opacity": 0.6 * Math.abs(region.points) / most };
    for (const [name, value] of Object.entries(facts)) box.setAttribute(name, value);
    drawn.append(box);
  }
  const framed = element("div", "", { className: "shaded" });
  framed.append(picture, drawn);
  return framed;
}

function reasons(why, label) {
  const made = element("div", "", { className: "why" });
  if (why.words.length) {
    made.append(element("p", `Words that count most, in points of the probability of ${label}:`));
    const list = document.createElement("ul");
    list.append(...why.words.map((word) => {
      const item = element("li");
      item.append(untrusted(word.text), ` ${signed(word.points)}`);
      return item;
    }));
    made.append(list);
  }
  const alone = [["words_alone", "by the words alone"], ["picture_alone", "by the picture alone"]]
    .filter(([name]) => typeof why.modalities[name] === "number").map(([name, said]) => `${percent(why.modalities[name])} ${said}`);
  if (alone.length) made.append(element("p", `Probability of ${label}: ${alone.join(", ")}.`));
  if (why.regions.length) made.append(element("p", "Shaded: regions that count; bright ones speak for the answer, dark ones against it."));
  return made;
}

function figure(source, alternative, text, said, why, label) {
  const made = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const picture = element("img", "", { src: source, alt: alternative });
  made.append(why?.regions.length ? shade(picture, why.regions) : picture);
  caption.append(element("strong", said), document.createElement("br"), "Words: ");
  caption.append(text ? untrusted(text) : element("span", "none", { className: "muted" }));
  if (why) caption.append(reasons(why, label));
  made.append(caption);
  return made;
}

const said = (verdict) =>
  verdict ? `${verdict.label}, ${percent(verdict.probabilities[verdict.label])}` : "too few words to be judged";

function show(answers, sent) {
  const [answer] = answers.answers;
  const heading = at("verdict");
  heading.textContent = `${answer.label}, ${percent(answer.probabilities[answer.label])}`;
  heading.className = answer.label;
  const range = answer.interval && `${percent(answer.interval[0])} to ${percent(answer.interval[1])}`;
  at("certainty").textContent = answer.interval === null
    ? "The model was not calibrated: how often such an answer is right is not known."
    : `Of answers with such a probability ${range} are right${answer.sure ? "." : ": not sure."}`;
  showShares(answer);
  if (shown) URL.revokeObjectURL(shown);
  shown = answer.frames.length ? null : URL.createObjectURL(sent);
  at("frames").replaceChildren(...answer.frames.map((frame) =>
    figure(`data:image/jpeg;base64,${frame.picture}`, `Frame at ${frame.timestamp_s.toFixed(1)} seconds`, frame.text,
      `${frame.timestamp_s.toFixed(1)} s: ${said(frame.verdict)}`, frame.why, frame.verdict?.label)),
    ...(shown ? [figure(shown, "The picture", answer.text, said(answer), answer.why, answer.label)] : []));
  at("model").textContent = `Model ${answers.model}`;
  result.hidden = false;
  say("");
  heading.focus();
}

async function ask(sent) {
  const body = new FormData();
  // by its name where the browser does not know the kind
  const isPicture = sent.type.startsWith("image/") || /\.(jpe?g|png|webp|gif)$/i.test(sent.name);
  body.append(isPicture ? "picture" : "video", sent, isPicture ? "picture" : "video");
  if (isPicture && at("text").value.trim()) body.append("text", at("text").value.trim());
  const key = at("key").value;
  const answer = await fetch(`/v1/predict?pictures=true&why=${at("why").checked}`, {
    method: "POST", body, signal: underWay.signal, headers: key ? { Authorization: `Bearer ${key}` } : {},
  });
  const said = await answer.json();
  if (answer.ok) return show(said, sent);
  if (answer.status === 401) at("key-field").hidden = false;
  say(said.error.text, true);
  (answer.status === 401 ? at("key") : status).focus();
  return null;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const sent = file.files[0];
  if (!sent) {
    say("Choose a video or a picture first.", true);
    file.focus();
    return;
  }
  if (underWay) return;
  underWay = new AbortController();
  at("stop").hidden = false;
  at("send").disabled = true;
  result.hidden = true;
  say("Reading the ad ...");
  try {
    await ask(sent);
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : "The server does not answer. Try again in a moment.", error.name !== "AbortError");
  } finally {
    underWay = null;
    at("stop").hidden = true;
    at("send").disabled = false;
  }
});

at("stop").addEventListener("click", () => {
  underWay?.abort();
  at("send").focus();
});
file.addEventListener("change", choose);
for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  at("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", over);
    if (kind === "drop" && event.dataTransfer.files.length) {
      file.files = event.dataTransfer.files;
      choose();
    }
  });
}
// beside the field a browser would open the file in place of the page
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
