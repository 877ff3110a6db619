// kafkajs. It reads only as a member of a group, so what it wrote is read by another client.
import assert from 'node:assert/strict'
import kafkajs from 'kafkajs'
import { broker, lines, main, partitions, pause, topic } from './lines.js'

const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.ERROR })

async function write () {
  const sent = lines()
  for (const codec of ['none', 'gzip']) {
    const producer = kafka.producer({
      idempotent: true,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner
    })
    await producer.connect()
    for (let start = 0; start < sent.length; start += 500) {
      await producer.send({
        topic: `${topic}-${codec}`,
        acks: -1,
        compression: codec === 'gzip' ? kafkajs.CompressionTypes.GZIP : undefined,
        messages: sent.slice(start, start + 500).map((value, index) => ({
          value, partition: (start + index) % partitions
        }))
      })
    }
    await producer.disconnect()
  }
}

async function admin () {
  const name = `${topic}-admin`
  const client = kafka.admin()
  await client.connect()
  assert.equal(await client.createTopics({
    waitForLeaders: true,
    topics: [{ topic: name, numPartitions: 2, replicationFactor: 1 }]
  }), true)
  assert.equal(await client.createTopics({ topics: [{ topic: name }] }), false)
  await client.createPartitions({ topicPartitions: [{ topic: name, count: 3 }] })
  await pause(300)
  assert((await client.listTopics()).includes(name))
  const metadata = await client.fetchTopicMetadata({ topics: [name] })
  assert.equal(metadata.topics[0].partitions.length, 3)
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name }
  await client.alterConfigs({
    resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '-1' }] }]
  })
  await pause(300)
  const described = await client.describeConfigs({ resources: [resource], includeSynonyms: true })
  const entries = described.resources[0].configEntries
  assert.equal(entries.find(entry => entry.configName === 'retention.ms').configValue, '-1')

  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  for (let index = 0; index < 5; index++) {
    await producer.send({
      topic: name,
      messages: [{
        partition: 0, key: 'k', value: `v${index}`, headers: { h: ['1', '2'] },
        timestamp: String(1_700_000_000_000 + index * 1000)
      }]
    })
  }
  await producer.disconnect()
  const [first] = (await client.fetchTopicOffsets(name)).filter(one => one.partition === 0)
  assert.deepEqual([first.low, first.high], ['0', '5'])
  const found = await client.fetchTopicOffsetsByTimestamp(name, 1_700_000_001_500)
  assert.equal(found.find(one => one.partition === 0).offset, '2')
  await client.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '3' }] })
  const [after] = (await client.fetchTopicOffsets(name)).filter(one => one.partition === 0)
  assert.equal(after.low, '3')
  const cluster = await client.describeCluster()
  assert.equal(cluster.brokers.length, 1)
  await client.deleteTopics({ topics: [name] })
  await client.disconnect()
}

await main({ write, admin })
