// sqs-consumer on QUEUE_URL: eight consumers in one process, each with batches of ten, deleted in one call.
import { SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import { count, tellOnSigterm } from "./tally.mjs";

const sqs = new SQSClient({ useQueueUrlAsEndpoint: false });
for (let number = 0; number < 8; number += 1) {
  const consumer = Consumer.create({
    queueUrl: process.argv[2],
    sqs,
    batchSize: 10,
    waitTimeSeconds: 10,
    handleMessageBatch: async (messages) => {
      for (const message of messages) count(message.MessageId);
      return messages;
    },
  });
  for (const event of ["error", "processing_error"]) {
    consumer.on(event, (error) => {
      throw error;
    });
  }
  consumer.start();
}
tellOnSigterm();
