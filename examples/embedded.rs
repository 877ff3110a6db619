//! A broker inside a program: no process, no container, no socket for its own records, and a
//! loopback port for every Kafka client.

use klamm::{Broker, NewRecord, Offset};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::builder().memory().start().await?;
    println!("kcat -b {} -L", broker.bootstrap());

    broker.create_topic("greetings", 1).await?;
    let record = NewRecord::new("hello from inside").key("greeting");
    broker.produce("greetings", 0, [record]).await?;

    let mut consumer = broker.consumer("greetings", 0, Offset(0))?;
    let record = consumer.next().await?;
    println!("{}: {:?}", record.offset, record.value);

    broker.stop().await?;
    Ok(())
}
