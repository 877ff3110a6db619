"""A member of a group: confluent-kafka (librdkafka), in either protocol."""

from confluent_kafka import Consumer, KafkaException

from member import BROKER, GROUP, HEARTBEAT_MS, PROTOCOL, SESSION_MS, TOPIC, leaving, show

settings = {
    "bootstrap.servers": BROKER,
    "broker.address.family": "v4",
    "group.id": GROUP,
    "group.protocol": PROTOCOL,
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "topic.metadata.refresh.interval.ms": 1000,
}
if PROTOCOL == "classic":
    settings |= {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS}
consumer = Consumer(settings)
consumer.subscribe([TOPIC])
while not leaving():
    records = [record for record in consumer.consume(100, timeout=0.1) if record.error() is None]
    for record in records:
        show(record.partition(), record.offset(), record.value())
    if records:
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            # The partitions were lost meanwhile; their records come again, to whom they belong.
            assert error.args[0].code() in (22, 25, 27, 113, -168), error
consumer.close()
