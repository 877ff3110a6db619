"""confluent-kafka (librdkafka), with idempotence."""

import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka import OFFSET_BEGINNING
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from lines import BROKER, PARTITIONS, TOPIC, Tally, lines, main

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def write():
    sent = lines()
    for codec in CODECS:
        producer = Producer({
            "bootstrap.servers": BROKER,
            "enable.idempotence": True,
            "compression.type": codec,
            "sticky.partitioning.linger.ms": 0,
        })
        failed = []
        delivered = [0]

        def report(error, message):
            if error is not None:
                failed.append(error)
            delivered[0] += 1

        for line in sent:
            while True:
                try:
                    producer.produce(f"{TOPIC}-{codec}", line, on_delivery=report)
                    break
                except BufferError:
                    producer.poll(0.05)
            producer.poll(0)
        assert producer.flush(120) == 0
        assert not failed, failed[:3]
        assert delivered[0] == len(sent)


def read():
    sent = lines()
    for codec in CODECS:
        consumer = Consumer({
            "bootstrap.servers": BROKER, "group.id": "none", "enable.partition.eof": True,
            # Else closing it waits for a coordinator to commit to.
            "enable.auto.commit": False,
        })
        consumer.assign([
            TopicPartition(f"{TOPIC}-{codec}", partition, OFFSET_BEGINNING)
            for partition in range(PARTITIONS)
        ])
        tally, ended, deadline = Tally(sent), 0, time.time() + 600
        while ended < PARTITIONS:
            assert time.time() < deadline, "the end of a partition did not come"
            for message in consumer.consume(1000, timeout=0.2):
                if message.error() is None:
                    tally.note(message.partition(), message.value())
                else:
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    ended += 1
        tally.check(codec)
        consumer.close()


def admin():
    name = f"{TOPIC}-admin"
    client = AdminClient({"bootstrap.servers": BROKER})

    def done(futures):
        for future in futures.values():
            future.result(30)

    done(client.create_topics([NewTopic(name, 2, 1, config={"retention.ms": "-1"})]))
    try:
        done(client.create_topics([NewTopic(name, 2, 1)]))
        raise AssertionError("the topic was created twice")
    except Exception as error:
        assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, error
    done(client.create_partitions([NewPartitions(name, 3)]))
    time.sleep(0.3)
    topic = client.list_topics(name, timeout=30).topics[name]
    assert sorted(topic.partitions) == [0, 1, 2]

    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    entries = client.describe_configs([resource])[resource].result(30)
    assert entries["retention.ms"].value == "-1"
    assert entries["cleanup.policy"].value == "delete"
    assert entries["retention.ms"].source == 1
    change = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND),
    ])
    done(client.incremental_alter_configs([change]))
    time.sleep(0.3)
    entries = client.describe_configs([resource])[resource].result(30)
    assert entries["cleanup.policy"].value == "delete,compact", entries["cleanup.policy"]
    node = next(iter(client.list_topics(timeout=30).brokers))
    broker = ConfigResource(ConfigResource.Type.BROKER, str(node))
    assert "log.dirs" in client.describe_configs([broker])[broker].result(30)

    producer = Producer({"bootstrap.servers": BROKER})
    for index in range(5):
        producer.produce(
            name, f"v{index}", "k", partition=0, timestamp=1_700_000_000_000 + index * 1000)
    assert producer.flush(30) == 0
    partition = TopicPartition(name, 0)

    def offset(spec):
        future = client.list_offsets({partition: spec})[partition]
        return future.result(30).offset

    assert offset(OffsetSpec.earliest()) == 0
    assert offset(OffsetSpec.latest()) == 5
    assert offset(OffsetSpec.for_timestamp(1_700_000_001_500)) == 2
    assert offset(OffsetSpec.max_timestamp()) == 4
    deleted = client.delete_records([TopicPartition(name, 0, 3)])
    assert next(iter(deleted.values())).result(30).low_watermark == 3
    assert offset(OffsetSpec.earliest()) == 3
    cluster = client.describe_cluster().result(30)
    assert len(cluster.nodes) == 1
    done(client.delete_topics([name]))


main(write=write, read=read, admin=admin)
