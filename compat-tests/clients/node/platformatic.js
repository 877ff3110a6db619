// @platformatic/kafka. Its streams join groups; reading here is by its plain fetch.
import assert from 'node:assert/strict'
import { Admin, Consumer, Producer, stringSerializers } from '@platformatic/kafka'
import { broker, lines, main, partitions, pause, topic } from './lines.js'

const options = { clientId: 'platformatic', bootstrapBrokers: [broker], strict: true }

async function write () {
  const sent = lines()
  for (const codec of ['none', 'gzip', 'snappy', 'lz4']) {
    const producer = new Producer({ ...options, idempotent: true, serializers: stringSerializers })
    for (let start = 0; start < sent.length; start += 500) {
      await producer.send({
        acks: -1,
        compression: codec,
        messages: sent.slice(start, start + 500).map((value, index) => ({
          topic: `${topic}-${codec}`, value, partition: (start + index) % partitions
        }))
      })
    }
    await producer.close()
  }
}

async function admin () {
  const name = `${topic}-admin`
  const client = new Admin(options)
  const [created] = await client.createTopics({ topics: [name], partitions: 2, replicas: 1 })
  assert.equal(created.name, name)
  await assert.rejects(client.createTopics({ topics: [name], partitions: 2, replicas: 1 }))
  await client.createPartitions({ topics: [{ name, count: 3 }] })
  await pause(300)
  assert((await client.listTopics()).includes(name))
  const metadata = await client.metadata({ topics: [name] })
  assert.equal(metadata.topics.get(name).partitionsCount, 3)
  const described = await client.describeConfigs({
    resources: [{ resourceType: 2, resourceName: name }]
  })
  assert.equal(described[0].configs.find(one => one.name === 'cleanup.policy').value, 'delete')

  const producer = new Producer({ ...options, serializers: stringSerializers })
  for (let index = 0; index < 5; index++) {
    await producer.send({
      acks: -1,
      messages: [{
        topic: name, partition: 0, key: 'k', value: `v${index}`,
        timestamp: BigInt(1_700_000_000_000 + index * 1000)
      }]
    })
  }
  await producer.close()
  const consumer = new Consumer({ ...options, groupId: 'none' })
  const at = async timestamp => {
    const found = await consumer.listOffsets({ topics: [name], partitions: { [name]: [0] }, timestamp })
    return found.get(name)[0]
  }
  assert.equal(await at(-2n), 0n)
  assert.equal(await at(-1n), 5n)
  assert.equal(await at(1_700_000_001_500n), 2n)
  const fetched = await consumer.fetch({
    node: [...metadata.brokers.keys()][0],
    topics: [{
      topicId: metadata.topics.get(name).id,
      partitions: [{
        partition: 0, currentLeaderEpoch: -1, fetchOffset: 2n, lastFetchedEpoch: -1,
        partitionMaxBytes: 100_000
      }]
    }],
    minBytes: 1, maxBytes: 100_000, maxWaitTime: 100, isolationLevel: 0
  })
  const [partition] = fetched.responses[0].partitions
  assert.equal(partition.errorCode, 0)
  assert.equal(partition.highWatermark, 5n)
  await consumer.close()
  await client.deleteTopics({ topics: [name] })
  await client.close()
}

await main({ write, admin })
