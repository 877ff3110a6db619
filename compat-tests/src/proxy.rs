//! A proxy that writes down what clients send, the first request of every API and version, with its
//! answer. The broker has to advertise the proxy's address, or clients go around it.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::hex;
use crate::schema;
use crate::session::{framed, read_frame};

/// Listens until the process ends. Lines of the file are `{"api", "version", "request", "answer"}`.
///
/// # Errors
/// If it cannot listen or cannot write the file.
pub fn run(listen: &str, upstream: &str, file: &Path) -> io::Result<()> {
    let out = OpenOptions::new().create(true).append(true).open(file)?;
    let book = Arc::new(Mutex::new(Book {
        seen: HashSet::new(),
        out,
    }));
    for client in TcpListener::bind(listen)?.incoming() {
        let (client, broker) = (client?, TcpStream::connect(upstream)?);
        let waiting = Arc::new(Mutex::new(HashMap::new()));
        let (to_broker, from_client) = (broker.try_clone()?, client.try_clone()?);
        let sent = Arc::clone(&waiting);
        std::thread::spawn(move || {
            pass(from_client, to_broker, |frame| {
                let correlation = frame.get(4..8).map(<[u8]>::to_vec).unwrap_or_default();
                sent.lock()
                    .expect("no panic")
                    .insert(correlation, frame.to_vec());
            })
        });
        let book = Arc::clone(&book);
        std::thread::spawn(move || {
            pass(broker, client, |frame| {
                let correlation = frame.get(..4).unwrap_or_default();
                let request = waiting.lock().expect("no panic").remove(correlation);
                if let Some(request) = request {
                    book.lock().expect("no panic").note(&request, frame);
                }
            })
        });
    }
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let end = loop {
        match read_frame(&mut from) {
            Ok(frame) => {
                see(&frame);
                to.write_all(&framed(&frame))?;
            }
            Err(error) => break error,
        }
    };
    to.shutdown(std::net::Shutdown::Both)?;
    Err(end)
}

struct Book {
    seen: HashSet<Vec<u8>>,
    out: std::fs::File,
}

impl Book {
    fn note(&mut self, request: &[u8], answer: &[u8]) {
        let Some((&[k1, k2, v1, v2], _)) = request.split_first_chunk() else {
            return;
        };
        // Large requests and answers say no more than small ones.
        let small = request.len() < 20_000 && answer.len() < 20_000;
        if !small || !self.seen.insert(vec![k1, k2, v1, v2]) {
            return;
        }
        let key = i16::from_be_bytes([k1, k2]);
        let api =
            schema::by_key(key).map_or_else(|| key.to_string(), |message| message.name.clone());
        let line = json!({
            "api": api, "version": i16::from_be_bytes([v1, v2]),
            "request": hex::encode(request), "answer": hex::encode(answer),
        });
        writeln!(self.out, "{line}").expect("the file can be written");
    }
}
