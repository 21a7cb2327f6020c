//! Bodies that are far larger than the memory that the proxy may take for them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::harness::{HANG, Proxy, with_origin};

const GIB: u64 = 1024 * 1024 * 1024;
const MIB: usize = 1024 * 1024;
/// The whole process: its code, its threads, and whatever it keeps of bodies.
const MOST_MEMORY: u64 = 64 * 1024 * 1024;
/// A peer that takes nothing for so long has stopped taking: everything on the way is full.
const FULL: Duration = Duration::from_secs(1);

pub const FILES: &str = r#"
[[routes]]
name = "file"
path = "/files/{id}"
upstream = "origin"
"#;

/// An origin that streams: a GiB of zeros to GET, and to PUT a count of what came. It tells how many bytes
/// of each body it has read or written, once that has ended or the other side takes no more.
pub fn streaming_origin() -> (SocketAddr, Receiver<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            // Connections end when the proxy does.
            std::thread::spawn(move || while serve(&stream, &tell).is_ok() {});
        }
    });
    (address, told)
}

fn serve(mut stream: &TcpStream, tell: &Sender<u64>) -> io::Result<()> {
    let head = head(stream)?;
    let length = |bytes| format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nContent-Type: a/b\r\n\r\n");
    let method = head.split(' ').next().unwrap_or_default();
    match method {
        // Its body stays unread.
        "POST" => {
            std::thread::park_timeout(HANG);
            Err(io::ErrorKind::Other.into())
        }
        "PUT" => {
            let count = read(stream, GIB)?;
            let text = count.to_string();
            stream.write_all((length(text.len() as u64) + &text).as_bytes())?;
            tell.send(count).map_err(io::Error::other)
        }
        "HEAD" => stream.write_all(length(GIB).as_bytes()),
        _ => {
            stream.write_all(length(GIB).as_bytes())?;
            let written = write(stream, GIB);
            tell.send(written).map_err(io::Error::other)?;
            if written == GIB { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
        }
    }
}

/// Reads a head byte by byte, so that nothing of the body is read with it.
pub fn head(mut stream: &TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads so many bytes, fewer if the stream ends before.
fn read(stream: &TcpStream, at_most: u64) -> io::Result<u64> {
    let mut buffer = vec![1; MIB];
    let (mut stream, mut count) = (stream.take(at_most), 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(count),
            n => {
                assert!(buffer[..n].iter().all(|byte| *byte == 0), "nothing but zeros was sent");
                count += n as u64;
            }
        }
    }
}

/// Writes so many zeros, fewer if nobody takes them; how many.
fn write(mut stream: &TcpStream, bytes: u64) -> u64 {
    stream.set_write_timeout(Some(FULL)).expect("a deadline");
    let zeros = vec![0; MIB];
    let mut written = 0;
    while written < bytes {
        let left = usize::try_from(bytes - written).unwrap_or(MIB).min(MIB);
        match stream.write(&zeros[..left]) {
            Ok(n) => written += n as u64,
            Err(_) => break,
        }
    }
    written
}

pub fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(HANG)).expect("a deadline");
    stream
}

pub fn ask(mut stream: &TcpStream, method: &str, target: &str, fields: &str) {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).expect("the proxy takes a head");
}

fn tag(proxy: &Proxy) -> String {
    let stream = connect(proxy);
    ask(&stream, "HEAD", "/files/1", "");
    let head = head(&stream).expect("an answer");
    let tag =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("etag: ").map(str::to_owned));
    tag.unwrap_or_else(|| panic!("no entity-tag: {head}"))
}

/// The most memory that the process has ever had resident.
pub fn most_resident(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a high-water mark");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

#[track_caller]
fn assert_small(proxy: &Proxy) {
    let most = most_resident(proxy);
    println!("at most {} MiB resident", most / MIB as u64);
    assert!(most < MOST_MEMORY, "{most} bytes were resident");
}

#[test]
fn a_gibibyte_goes_up_through_a_guarded_route_in_little_memory() {
    let (origin, told) = streaming_origin();
    let proxy = Proxy::start(&with_origin(origin, FILES));
    let stream = connect(&proxy);
    let fields = format!("If-Match: {}\r\nContent-Length: {GIB}\r\n", tag(&proxy));
    ask(&stream, "PUT", "/files/1", &fields);
    assert_eq!(write(&stream, GIB), GIB);
    assert_eq!(told.recv_timeout(HANG), Ok(GIB));
    let answer = head(&stream).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_small(&proxy);
}

#[test]
fn a_gibibyte_comes_down_through_a_guarded_route_in_little_memory() {
    let (origin, told) = streaming_origin();
    let proxy = Proxy::start(&with_origin(origin, FILES));
    let stream = connect(&proxy);
    ask(&stream, "GET", "/files/1", "");
    let answer = head(&stream).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(read(&stream, GIB).expect("a body"), GIB);
    assert_eq!(told.recv_timeout(HANG), Ok(GIB));
    assert_small(&proxy);
}

/// Between the origin and a client there are four socket buffers, which Linux lets grow to a few MiB each,
/// and the proxy's own. A proxy that read ahead would take far more off the origin.
const ON_THE_WAY: u64 = 48 * 1024 * 1024;

#[test]
fn clients_that_do_not_read_hold_the_origin_back() {
    let (origin, told) = streaming_origin();
    let proxy = Proxy::start(&with_origin(origin, FILES));
    let stalled: Vec<TcpStream> = (0..8).map(|_| connect(&proxy)).collect();
    for stream in &stalled {
        ask(stream, "GET", "/files/1", "");
    }
    for _ in &stalled {
        let written = told.recv_timeout(HANG).expect("the origin stops");
        assert!(written < ON_THE_WAY, "{written} bytes were taken for a client that reads nothing");
    }
    assert_small(&proxy);
}

#[test]
fn an_origin_that_does_not_read_holds_the_client_back() {
    let (origin, _told) = streaming_origin();
    let proxy = Proxy::start(&with_origin(origin, FILES));
    let stalled: Vec<TcpStream> = (0..8).map(|_| connect(&proxy)).collect();
    std::thread::scope(|scope| {
        for stream in &stalled {
            // Not guarded, so that all of them are let through to the one file.
            scope.spawn(|| {
                ask(stream, "POST", "/files/1", &format!("Content-Length: {GIB}\r\n"));
                let written = write(stream, GIB);
                assert!(written < ON_THE_WAY, "{written} bytes were taken for an origin that reads nothing");
            });
        }
    });
    assert_small(&proxy);
}
