// A member of a group: @platformatic/kafka, in either protocol.
//
// It cannot read an answer that has a tagged field, such as the leader that Fetch names when a leader
// epoch is not the current one any more; it tries again with the same epoch, and fails. So a stream
// that has failed is replaced by a new member, as an application has to.
import { Consumer, stringDeserializers } from '@platformatic/kafka'
import {
  broker, group, heartbeatInterval, protocol, sessionTimeout, show, topic, whenLeaving
} from './member.js'

let consumer, stream, leaving

async function consume () {
  consumer = new Consumer({
    clientId: 'platformatic',
    bootstrapBrokers: [broker],
    groupId: group,
    groupProtocol: protocol,
    // The broker says these in the newer protocol.
    ...(protocol === 'classic' && { sessionTimeout, heartbeatInterval, rebalanceTimeout: sessionTimeout }),
    deserializers: stringDeserializers,
    retries: 5,
    retryDelay: 200
  })
  stream = await consumer.consume({
    topics: [topic],
    autocommit: false,
    mode: 'committed',
    fallbackMode: 'earliest',
    maxWaitTime: 100
  })
  for await (const message of stream) {
    show(message.partition, message.offset, message.value)
    await message.commit()
  }
}

whenLeaving(async () => {
  leaving = true
  await stream.close()
  await consumer.close(true)
})
while (!leaving) {
  try {
    await consume()
  } catch (error) {
    if (leaving) break
    console.log(`begins anew: ${error.message}`)
    await consumer.close(true).catch(() => {})
  }
}
