"""A member of a group: kafka-python."""

from kafka import KafkaConsumer
from kafka.errors import CommitFailedError, RebalanceInProgressError

from member import BROKER, GROUP, HEARTBEAT_MS, SESSION_MS, TOPIC, leaving, show

consumer = KafkaConsumer(
    TOPIC,
    bootstrap_servers=BROKER,
    group_id=GROUP,
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    session_timeout_ms=SESSION_MS,
    heartbeat_interval_ms=HEARTBEAT_MS,
)
while not leaving():
    batches = consumer.poll(timeout_ms=100)
    for partition, records in batches.items():
        for record in records:
            show(partition.partition, record.offset, record.value)
    if batches:
        try:
            consumer.commit()
        except (CommitFailedError, RebalanceInProgressError):
            pass  # The records come again, to whom they belong.
consumer.close()
