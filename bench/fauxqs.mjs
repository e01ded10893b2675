// The queue server of the benchmarks: fauxqs on loopback, and counts of what its clients asked for, past their queues.
// GET /bench/counts: calls by operation, entries deleted by queue, and when (ms since the epoch) each queue was first polled.
import { buildApp } from "../tests/servers/fauxqs/node_modules/fauxqs/dist/app.js";

const port = Number(process.argv[2]);
const app = buildApp({ logger: false, defaultRegion: "eu-west-1" });
const counts = { calls: {}, deleted: {}, polled: {} };

app.addHook("preHandler", async (request) => {
  const target = request.headers["x-amz-target"];
  if (target === undefined) return;
  const operation = target.slice(target.indexOf(".") + 1);
  const body = typeof request.body === "string" ? JSON.parse(request.body) : request.body;
  const queue = body?.QueueUrl?.slice(body.QueueUrl.lastIndexOf("/") + 1) ?? "";
  const call = `${operation} ${queue}`;
  counts.calls[call] = (counts.calls[call] ?? 0) + 1;
  if (operation === "ReceiveMessage") counts.polled[queue] ??= Date.now();
  if (operation === "DeleteMessage") counts.deleted[queue] = (counts.deleted[queue] ?? 0) + 1;
  if (operation === "DeleteMessageBatch") counts.deleted[queue] = (counts.deleted[queue] ?? 0) + body.Entries.length;
});
app.get("/bench/counts", async () => counts);

await app.listen({ host: "127.0.0.1", port });
