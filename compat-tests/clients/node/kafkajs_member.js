// A member of a group: kafkajs.
import kafkajs from 'kafkajs'
import {
  broker, group, heartbeatInterval, sessionTimeout, show, topic, whenLeaving
} from './member.js'

const kafka = new kafkajs.Kafka({
  brokers: [broker],
  logLevel: kafkajs.logLevel.NOTHING,
  retry: { initialRetryTime: 100, maxRetryTime: 500, retries: 100 }
})
const consumer = kafka.consumer({
  groupId: group, sessionTimeout, heartbeatInterval, maxWaitTimeInMs: 100
})
whenLeaving(() => consumer.disconnect())
await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({
  eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary, isStale }) => {
    if (isStale()) return
    for (const { offset, value } of batch.messages) {
      show(batch.partition, offset, value)
      resolveOffset(offset)
    }
    await commitOffsetsIfNecessary()
  }
})
