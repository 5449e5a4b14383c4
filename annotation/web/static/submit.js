// One submission that is waited for: tried until the server has answered, under the key that it was given first.

import { mayPass, post, retryMs } from "./api.js";
import { say } from "./notices.js";
import { _ } from "./texts.js";

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The server's answer; throws ServerError when it refuses.
export async function submit(address, body) {
  say("saving", _("Saving…"));
  for (let tries = 0; ; tries++) {
    try {
      return await post(address, body);
    } catch (error) {
      if (!mayPass(error)) {
        say("refused", _("Not saved."));
        throw error;
      }
      say("lost", _("No connection: not saved yet, trying again."));
      await pause(retryMs(tries));
    }
  }
}
