"""aiokafka."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from lines import BROKER, PARTITIONS, TOPIC, Tally, lines, main

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


async def write():
    sent = lines()
    for codec in CODECS:
        producer = AIOKafkaProducer(
            bootstrap_servers=BROKER,
            enable_idempotence=True,
            compression_type=None if codec == "none" else codec,
        )
        await producer.start()
        futures = [
            await producer.send(f"{TOPIC}-{codec}", line, partition=index % PARTITIONS)
            for index, line in enumerate(sent)
        ]
        await asyncio.wait_for(asyncio.gather(*futures), 60)
        await producer.stop()


async def read():
    sent = lines()
    for codec in CODECS:
        consumer = AIOKafkaConsumer(bootstrap_servers=BROKER, auto_offset_reset="earliest")
        await consumer.start()
        partitions = [TopicPartition(f"{TOPIC}-{codec}", index) for index in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        tally = Tally(sent)
        while not tally.complete():
            batches = await asyncio.wait_for(consumer.getmany(timeout_ms=5000), 60)
            assert batches, "nothing came"
            for partition, records in batches.items():
                for record in records:
                    tally.note(partition.partition, record.value)
        tally.check(codec)
        await consumer.stop()


async def admin():
    name = f"{TOPIC}-admin"
    client = AIOKafkaAdminClient(bootstrap_servers=BROKER)
    await client.start()
    await client.create_topics([NewTopic(name, 2, 1)])
    await asyncio.sleep(0.3)
    assert name in await client.list_topics()
    described = await client.describe_topics([name])
    assert len(described[0]["partitions"]) == 2, described

    producer = AIOKafkaProducer(bootstrap_servers=BROKER)
    await producer.start()
    for index in range(5):
        await producer.send_and_wait(
            name, f"v{index}".encode(), partition=0,
            timestamp_ms=1_700_000_000_000 + index * 1000)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=BROKER)
    await consumer.start()
    partition = TopicPartition(name, 0)
    assert await consumer.beginning_offsets([partition]) == {partition: 0}
    assert await consumer.end_offsets([partition]) == {partition: 5}
    found = await consumer.offsets_for_times({partition: 1_700_000_001_500})
    assert found[partition].offset == 2, found
    await consumer.stop()
    await client.delete_topics([name])
    await client.close()


main(
    write=lambda: asyncio.run(write()),
    read=lambda: asyncio.run(read()),
    admin=lambda: asyncio.run(admin()),
)
