"""A member of a group: aiokafka."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError, RebalanceInProgressError

from member import BROKER, GROUP, HEARTBEAT_MS, SESSION_MS, TOPIC, leaving, show


async def consume():
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=BROKER,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
    )
    await consumer.start()
    while not leaving():
        batches = await consumer.getmany(timeout_ms=100)
        for partition, records in batches.items():
            for record in records:
                show(partition.partition, record.offset, record.value)
        if batches:
            try:
                await consumer.commit()
            except (CommitFailedError, IllegalStateError, RebalanceInProgressError):
                pass  # The records come again, to whom they belong.
    await consumer.stop()


asyncio.run(consume())
