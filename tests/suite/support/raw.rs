//! HTTP by hand over TCP, to see what really goes over the wire.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How the server ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// FIN.
    Closed,
    /// RST.
    Reset,
}

/// Everything that a server sent until it ended the connection.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Heard {
    /// The value of a header, its name spelled exactly so.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// Sends bytes to `http://address` and listens until the connection ends. The request must ask for
/// `Connection: close` unless the server is expected to end it by itself.
pub(crate) async fn exchange(url: &str, request: &[u8]) -> Heard {
    let address = url.strip_prefix("http://").expect("a plain address");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request).await.expect("is sent");
    let mut all = Vec::new();
    let mut buffer = vec![0_u8; 64 * 1024];
    let end = loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break End::Closed,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(error) => panic!("reading failed: {error}"),
        }
    };
    let (head, body) = match all.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (all[..at].to_vec(), all[at + 4..].to_vec()),
        None => (all, Vec::new()),
    };
    Heard { head: String::from_utf8(head).expect("a readable head"), body, end }
}

/// A GET with a bearer token after which the server is to close the connection.
pub(crate) fn get(path: &str, token: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}
