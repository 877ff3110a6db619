//! Isolated brokers side by side in one process, e.g. one per test.

use klamm::{Broker, NewRecord, Offset};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut brokers = Vec::new();
    for number in 0..10 {
        let broker = Broker::builder().memory().start().await?;
        broker.create_topic("mine", 1).await?;
        broker
            .produce("mine", 0, [NewRecord::new(format!("of broker {number}"))])
            .await?;
        brokers.push(broker);
    }
    for broker in &brokers {
        let record = broker.consumer("mine", 0, Offset(0))?.next().await?;
        println!("{}: {:?}", broker.bootstrap(), record.value);
    }
    // Dropping the handles stops them all.
    Ok(())
}
