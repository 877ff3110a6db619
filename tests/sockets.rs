//! What the network layer promises, with a protocol that has nothing of Kafka.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm::io::{Io, OpenMode, RealIo};
use klamm::net::{Endpoint, Gate, Limits, Listener, Piece, Protocol, Socket, Workers, serve};
use tokio::sync::watch;

static HELD: AtomicIsize = AtomicIsize::new(0);

/// Counts what the process holds.
struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The tests of this file measure one heap.
static ALONE: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

/// Answers every frame with itself and its length; a frame of `region:NAME:POSITION:LEN` with
/// that region of a file; `panic` with a panic; `slow` after a while.
struct Echo;

impl Protocol for Echo {
    async fn serve(self: Arc<Self>, mut socket: Socket) {
        while let Ok(Some(frame)) = socket.next(true, |_| usize::MAX).await {
            let bytes = Bytes::from(frame);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut words = text.split(':');
            let mut pieces = match words.next() {
                Some("region") => vec![framed(words.clone().nth(2).unwrap()), region(words)],
                Some("panic") => panic!("as asked"),
                Some("slow") => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    echo(bytes)
                }
                _ => echo(bytes),
            };
            if socket.write(&mut pieces).await.is_err() {
                return;
            }
        }
    }
}

fn echo(bytes: Bytes) -> Vec<Piece> {
    vec![framed(&bytes.len().to_string()), Piece::Memory(bytes)]
}

fn framed(len: &str) -> Piece {
    let len: u32 = len.parse().unwrap();
    Piece::from(len.to_be_bytes().to_vec())
}

fn region<'a>(mut words: impl Iterator<Item = &'a str>) -> Piece {
    let file = RealIo
        .open(Path::new(words.next().unwrap()), OpenMode::Read)
        .unwrap();
    let position = words.next().unwrap().parse().unwrap();
    let len = words.next().unwrap().parse().unwrap();
    Piece::Region {
        file,
        position,
        len,
    }
}

struct Served {
    address: SocketAddr,
    gate: Arc<Gate>,
    stop: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    task: tokio::task::JoinHandle<()>,
}

fn served(limits: Limits) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let endpoint = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: 0,
    };
    let listener = runtime
        .block_on(Listener::bind(&endpoint, &limits))
        .unwrap();
    let address = listener.address();
    let gate = Gate::new(limits);
    let (stop, stopping) = watch::channel(false);
    let task = runtime.spawn(serve(
        listener,
        Arc::new(Echo),
        Arc::clone(&gate),
        Workers::start(2).unwrap(),
        stopping,
    ));
    Served {
        address,
        gate,
        stop,
        runtime,
        task,
    }
}

impl Served {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }
}

fn send(stream: &mut TcpStream, frame: &[u8]) {
    let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    stream.write_all(&bytes).unwrap();
}

fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// Whether the other side closes within a while, without having sent anything.
fn closes(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0)) || stream.take_error().unwrap().is_some()
}

#[test]
fn frames_come_whole_however_they_are_cut() {
    let _alone = ALONE.lock();
    let served = served(Limits::default());
    let mut random = fastrand::Rng::with_seed(1);
    let mut stream = served.connect();
    stream.set_nodelay(true).unwrap();
    let frames: Vec<Vec<u8>> = [0, 1, 2, 3, 100, 8191, 8192, 8193, 100_000, 3_000_000]
        .map(|len| std::iter::repeat_with(|| random.u8(..)).take(len).collect())
        .to_vec();
    let mut bytes = Vec::new();
    for frame in &frames {
        bytes.extend((frame.len() as u32).to_be_bytes());
        bytes.extend(frame);
    }
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let longest = if random.bool() { 10 } else { 100_000 };
            let (part, later) = rest.split_at(random.usize(1..=longest).min(rest.len()));
            sender.write_all(part).unwrap();
            rest = later;
        }
    });
    for frame in &frames {
        assert!(
            receive(&mut stream).unwrap() == *frame,
            "frame of {} bytes",
            frame.len()
        );
    }
    sending.join().unwrap();
}

#[test]
fn a_thousand_sockets_that_only_announce_a_frame_cost_almost_nothing() {
    let _alone = ALONE.lock();
    let served = served(Limits::default());
    // The first connection brings what everybody shares.
    let mut warm = served.connect();
    send(&mut warm, b"warm");
    receive(&mut warm).unwrap();
    let before = HELD.load(Ordering::Relaxed);
    let mut streams: Vec<_> = (0..1000).map(|_| served.connect()).collect();
    for stream in &mut streams {
        stream
            .write_all(&(100u32 * 1024 * 1024).to_be_bytes())
            .unwrap();
    }
    while served.gate.connections() < 1001 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    let each = (HELD.load(Ordering::Relaxed) - before) / 1000;
    println!("{each} bytes of heap for each connection");
    assert!(each < 12 * 1024, "{each} bytes for each connection");
}

#[test]
fn a_buffer_holds_no_more_than_twice_what_has_arrived() {
    let _alone = ALONE.lock();
    let served = served(Limits::default());
    let mut stream = served.connect();
    send(&mut stream, b"warm");
    receive(&mut stream).unwrap();
    let before = HELD.load(Ordering::Relaxed);
    stream
        .write_all(&(100u32 * 1024 * 1024).to_be_bytes())
        .unwrap();
    stream.write_all(&vec![7; 5_000_000]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let grown = HELD.load(Ordering::Relaxed) - before;
    assert!((5_000_000..10_100_000).contains(&grown), "{grown}");
}

#[test]
fn a_frame_that_stops_half_way_is_given_up() {
    let _alone = ALONE.lock();
    let limits = Limits {
        frame_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let served = served(limits);
    for half in [&b"\0\0"[..], b"\0\0\0\x05", b"\0\0\0\x05abcd"] {
        let mut stream = served.connect();
        send(&mut stream, b"whole");
        assert_eq!(receive(&mut stream).unwrap(), b"whole");
        let start = Instant::now();
        stream.write_all(half).unwrap();
        assert!(closes(&mut stream), "{half:?}");
        assert!(
            (150..3000).contains(&start.elapsed().as_millis()),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_trickle_does_not_keep_a_frame_alive() {
    let _alone = ALONE.lock();
    let limits = Limits {
        frame_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let served = served(limits);
    let mut stream = served.connect();
    stream.write_all(&1000u32.to_be_bytes()).unwrap();
    let start = Instant::now();
    while stream.write_all(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let _alone = ALONE.lock();
    let limits = Limits {
        idle_timeout: Duration::from_millis(150),
        ..Limits::default()
    };
    let served = served(limits);
    let mut stream = served.connect();
    for _ in 0..5 {
        send(&mut stream, b"here");
        receive(&mut stream).unwrap();
        std::thread::sleep(Duration::from_millis(70));
    }
    send(&mut stream, b"slow");
    receive(&mut stream).unwrap();
    send(&mut stream, b"not idle while it was answered");
    receive(&mut stream).unwrap();
    assert!(closes(&mut stream));
}

#[test]
fn a_frame_that_is_too_long_or_negative_is_refused_from_its_length() {
    let _alone = ALONE.lock();
    let served = served(Limits {
        frame_bytes_max: 1000,
        ..Limits::default()
    });
    for length in [1001, i32::MAX, -1, i32::MIN] {
        let mut stream = served.connect();
        stream.write_all(&length.to_be_bytes()).unwrap();
        assert!(closes(&mut stream), "{length}");
    }
    let mut stream = served.connect();
    send(&mut stream, &[1; 1000]);
    assert_eq!(receive(&mut stream).unwrap().len(), 1000);
}

#[test]
fn a_panic_closes_its_connection_and_no_other() {
    let _alone = ALONE.lock();
    let served = served(Limits::default());
    let mut other = served.connect();
    let mut stream = served.connect();
    send(&mut stream, b"panic");
    assert!(closes(&mut stream));
    send(&mut other, b"still here");
    assert_eq!(receive(&mut other).unwrap(), b"still here");
}

#[test]
fn connections_beyond_the_share_of_an_address_are_closed() {
    let _alone = ALONE.lock();
    let served = served(Limits {
        connections_per_ip_max: 2,
        ..Limits::default()
    });
    let mut first = served.connect();
    let mut second = served.connect();
    for stream in [&mut first, &mut second] {
        send(stream, b"in");
        receive(stream).unwrap();
    }
    assert!(closes(&mut served.connect()));
    drop(first);
    while served.gate.connections() > 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut third = served.connect();
    send(&mut third, b"in");
    receive(&mut third).unwrap();
}

#[test]
fn connections_beyond_the_total_wait_for_a_place() {
    let _alone = ALONE.lock();
    let served = served(Limits {
        connections_max: 1,
        ..Limits::default()
    });
    let mut first = served.connect();
    send(&mut first, b"in");
    receive(&mut first).unwrap();
    let mut second = served.connect();
    send(&mut second, b"waiting");
    second
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(receive(&mut second).is_err());
    drop(first);
    second
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(receive(&mut second).unwrap(), b"waiting");
}

#[test]
fn regions_of_files_arrive_by_every_way() {
    let _alone = ALONE.lock();
    let served = served(Limits::default());
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 + n / 256) as u8).collect();
    let path = std::env::temp_dir().join(format!("klamm-sockets-{}", std::process::id()));
    std::fs::write(&path, &content).unwrap();
    let mut stream = served.connect();
    for (position, len) in [(0, 0), (5, 1), (1, 16_383), (1, 16_384), (7, 2_500_000)] {
        send(
            &mut stream,
            format!("region:{}:{position}:{len}", path.display()).as_bytes(),
        );
        let got = receive(&mut stream).unwrap();
        assert!(
            got == content[position..position + len],
            "{len} bytes from {position}"
        );
    }
    for len in [100, 1_000_000] {
        let mut stream = served.connect();
        send(
            &mut stream,
            format!("region:{}:2999990:{len}", path.display()).as_bytes(),
        );
        let error = receive(&mut stream).unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::UnexpectedEof,
            "a short file closes"
        );
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_peer_that_reads_nothing_is_given_up() {
    let _alone = ALONE.lock();
    let limits = Limits {
        write_stall_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let served = served(limits);
    let mut stream = served.connect();
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let frame = vec![1; 20_000_000];
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend(frame);
        let _ = sender.write_all(&bytes);
    });
    sending.join().unwrap();
    while served.gate.connections() > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(receive(&mut stream).is_err());
}

#[test]
fn a_full_budget_slows_requests_down_and_stops_none() {
    let _alone = ALONE.lock();
    let served = served(Limits {
        request_bytes_max: 100_000,
        ..Limits::default()
    });
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let mut stream = served.connect();
            std::thread::spawn(move || {
                for _ in 0..5 {
                    let mut sender = stream.try_clone().unwrap();
                    let sending = std::thread::spawn(move || send(&mut sender, &[number; 300_000]));
                    assert_eq!(receive(&mut stream).unwrap(), [number; 300_000]);
                    sending.join().unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_stop_lets_requests_finish_and_closes_idle_connections() {
    let _alone = ALONE.lock();
    let served = served(Limits::default());
    let mut idle = served.connect();
    let mut busy = served.connect();
    send(&mut idle, b"hello");
    receive(&mut idle).unwrap();
    send(&mut busy, b"slow");
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    served.stop.send_replace(true);
    assert_eq!(receive(&mut busy).unwrap(), b"slow");
    assert!(closes(&mut idle) && closes(&mut busy));
    served.runtime.block_on(served.task).unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert!(TcpStream::connect(served.address).is_err());
}

#[test]
fn a_peer_that_has_finished_is_let_go() {
    let _alone = ALONE.lock();
    let served = served(Limits::default());
    let mut stream = served.connect();
    send(&mut stream, b"last");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(receive(&mut stream).unwrap(), b"last");
    assert!(closes(&mut stream));
}
