// squiss-ts on QUEUE_URL: up to a hundred messages in flight, received and deleted by tens.
import { Squiss } from "squiss-ts";
import { count, tellOnSigterm } from "./tally.mjs";

const squiss = new Squiss({
  awsConfig: { useQueueUrlAsEndpoint: false },
  queueUrl: process.argv[2],
  bodyFormat: "plain",
  maxInFlight: 100,
  receiveBatchSize: 10,
  receiveWaitTimeSecs: 10,
  deleteBatchSize: 10,
});
squiss.on("message", (message) => {
  count(message.raw.MessageId);
  message.del();
});
for (const event of ["error", "delError", "aborted"]) {
  squiss.on(event, (error) => {
    throw error instanceof Error ? error : new Error(JSON.stringify(error));
  });
}
await squiss.start();
tellOnSigterm();
