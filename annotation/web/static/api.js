// Talking to the server: JSON with the session's token, and refusals as errors that say what to do.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export const person = meta("person");

// this device's clock may be wrong; the server's counts
let ahead = Date.parse(meta("now")) - Date.now();
export const serverTime = () => new Date(Date.now() + ahead).toISOString();

export class ServerError extends Error {
  constructor(status, { kind = "refused", title = "Refused", text = "" } = {}) {
    super(text || title);
    Object.assign(this, { status, kind, title, text });
  }
}

// The session is over: what is sent is refused until somebody logs in.
export const ended = (error) => error.status === 401 || error.kind === "forged";

// No answer came, or the server is in trouble: the same, sent again, may be taken.
export const mayPass = (error) => !(error instanceof ServerError) || error.status >= 500 || [408, 429].includes(error.status);

const RETRY_MS = [1_000, 2_000, 5_000, 10_000];
export const retryMs = (tries) => RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];

const ANSWER_MS = 20_000;
const CLOCK_MS = 5_000; // an answer's date has whole seconds, and may have been under way

async function ask(address, options) {
  const answer = await fetch(address, {
    credentials: "same-origin",
    redirect: "error",
    signal: AbortSignal.timeout(ANSWER_MS),
    ...options,
  });
  // this device's clock may be set while the page is open
  const date = Date.parse(answer.headers.get("date"));
  if (Math.abs(date - Date.now() - ahead) > CLOCK_MS) ahead = date - Date.now();
  if (answer.ok) return answer;
  let said = {};
  if ((answer.headers.get("content-type") ?? "").startsWith("application/json")) said = await answer.json();
  throw new ServerError(answer.status, said);
}

// The answer's JSON; throws ServerError on a refusal, and another error when no answer came.
export async function post(address, body) {
  const answer = await ask(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": meta("csrf-token") },
    body: JSON.stringify(body),
  });
  return answer.json();
}

// The answer's JSON to a question.
export async function get(address) {
  return (await ask(address, { headers: { Accept: "application/json" } })).json();
}

// A piece of a page, as an element; null where there is nothing (204).
export async function fragment(address) {
  const answer = await ask(address, { headers: { Accept: "application/json" } });
  if (answer.status === 204) return null;
  const template = document.createElement("template");
  template.innerHTML = await answer.text(); // the server has escaped it
  return template.content.firstElementChild;
}

// A key for one submission; crypto.randomUUID would need https.
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// JSON can carry a half of a character, a server cannot keep it.
export const whole = (text) => text.toWellFormed?.() ?? text;
