"""kafka-python, a client of its own in Python."""

import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError

from lines import BROKER, PARTITIONS, TOPIC, Tally, lines, main

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def write():
    sent = lines()
    for codec in CODECS:
        producer = KafkaProducer(
            bootstrap_servers=BROKER,
            enable_idempotence=True,
            compression_type=None if codec == "none" else codec,
            linger_ms=5,
        )
        futures = [
            producer.send(f"{TOPIC}-{codec}", line, partition=index % PARTITIONS)
            for index, line in enumerate(sent)
        ]
        producer.flush(60)
        for future in futures:
            future.get(30)
        producer.close()


def read():
    sent = lines()
    for codec in CODECS:
        consumer = KafkaConsumer(bootstrap_servers=BROKER, auto_offset_reset="earliest")
        partitions = [TopicPartition(f"{TOPIC}-{codec}", index) for index in range(PARTITIONS)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        tally, deadline = Tally(sent), time.time() + 60
        while not tally.complete() and time.time() < deadline:
            for partition, records in consumer.poll(timeout_ms=1000).items():
                for record in records:
                    tally.note(partition.partition, record.value)
        tally.check(codec)
        consumer.close()


def admin():
    name = f"{TOPIC}-admin"
    client = KafkaAdminClient(bootstrap_servers=BROKER)
    client.create_topics([NewTopic(name, 2, 1)])
    try:
        client.create_topics([NewTopic(name, 2, 1)])
        raise AssertionError("the topic was created twice")
    except TopicAlreadyExistsError:
        pass
    time.sleep(0.3)
    assert name in client.list_topics()
    described = client.describe_topics([name])[0]
    assert len(described["partitions"]) == 2, described

    producer = KafkaProducer(bootstrap_servers=BROKER)
    for index in range(5):
        producer.send(
            name, f"v{index}".encode(), key=b"k", partition=0,
            headers=[("h", b"1"), ("h", b"2")], timestamp_ms=1_700_000_000_000 + index * 1000,
        ).get(30)
    consumer = KafkaConsumer(bootstrap_servers=BROKER)
    partition = TopicPartition(name, 0)
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 5}
    found = consumer.offsets_for_times({partition: 1_700_000_001_500})
    assert found[partition].offset == 2, found
    consumer.assign([partition])
    consumer.seek(partition, 4)
    record = next(consumer)
    assert (record.key, record.value) == (b"k", b"v4")
    assert [(name, value) for name, value in record.headers] == [("h", b"1"), ("h", b"2")]
    client.delete_topics([name])


main(write=write, read=read, admin=admin)
