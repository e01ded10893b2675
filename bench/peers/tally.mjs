// How a contender keeps count of what it handled, and says so when it ends.
import { writeSync } from "node:fs";

let handled = 0;
const seen = new Set();

export function count(messageId) {
  handled += 1;
  seen.add(messageId);
}

export function tellOnSigterm() {
  process.on("SIGTERM", () => {
    writeSync(1, JSON.stringify({ handled, unique: seen.size }) + "\n");
    process.exit(0);
  });
}
