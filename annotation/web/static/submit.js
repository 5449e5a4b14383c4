// One submission that is waited for: tried until the server has answered, under the key that it was given first.

import { post, ServerError } from "./api.js";

const RETRY_MS = [1_000, 2_000, 5_000, 10_000];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export function say(state, text) {
  const saved = document.getElementById("saved");
  saved.dataset.state = state;
  saved.textContent = text;
}

export function notice(text) {
  document.getElementById("notice-text").textContent = text;
  document.getElementById("notice").hidden = !text;
}

// The server's answer; throws ServerError when it refuses.
export async function submit(address, body) {
  say("saving", "Saving…");
  for (let tries = 0; ; tries++) {
    try {
      return await post(address, body);
    } catch (error) {
      if (error instanceof ServerError && error.status < 500 && error.status !== 429) {
        say("refused", "Not saved.");
        throw error;
      }
      say("lost", "No connection: not saved yet, trying again.");
      await pause(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
    }
  }
}

// What to tell somebody whose submission was refused, or who cannot be shown something.
export function refusal(error) {
  if (error.status === 401 || error.kind === "forged")
    return "Your session has ended. Open your invitation link again, or load this page anew; what you typed is kept on this device.";
  if (error instanceof ServerError) return error.text || error.title;
  return "There is no connection just now. What you typed is kept on this device.";
}

document.getElementById("notice-close").addEventListener("click", () => notice(""));
addEventListener("offline", () => say("lost", "No connection."));
addEventListener("online", () => say("idle", "Connected again."));
