//! What stands between a store and a real S3 server: it lets one conditional put through at a time, notes them, and can
//! lose answers.
//!
//! S3 decides between conditional puts of one object atomically. s3s-fs looks whether the object is there, and writes it
//! a moment later: of several at once more than one may succeed. One at a time it decides as S3 does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the gate does with a conditional put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditional {
    /// Lets it through.
    Through,
    /// Lets it through, and answers 500 whatever the server has answered.
    AnswerLost,
    /// Answers that it was done, as storage does that has never heard of conditions.
    Ignored,
}

/// A gate in front of a server.
pub(crate) struct Gate {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    conditional: Mutex<Conditional>,
    one_at_a_time: Mutex<()>,
    /// First lines of the conditional puts.
    seen: Mutex<Vec<String>>,
}

impl Gate {
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            conditional: Mutex::new(Conditional::Through),
            one_at_a_time: Mutex::default(),
            seen: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming() {
                let served = Arc::clone(&served);
                // A client that has gone away needs no answer.
                thread::spawn(move || served.serve(client.unwrap()).ok());
            }
        });
        Self { port, shared }
    }

    pub(crate) fn set(&self, conditional: Conditional) {
        *self.shared.conditional.lock().unwrap() = conditional;
    }

    /// How many conditional puts of this object were asked for.
    pub(crate) fn conditional_puts_of(&self, path: &str) -> usize {
        self.shared.seen.lock().unwrap().iter().filter(|line| line.contains(path)).count()
    }
}

impl Shared {
    /// One request to a connection.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            if from.read_line(&mut text)? == 0 {
                return Ok(());
            }
        }
        let head = Head::read(&text);
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let answer = if head.header("if-none-match") == Some("*") {
            let _one = self.one_at_a_time.lock().unwrap();
            self.seen.lock().unwrap().push(head.first.clone());
            match *self.conditional.lock().unwrap() {
                Conditional::Through => self.forward(&head, &body)?,
                Conditional::AnswerLost => {
                    self.forward(&head, &body)?;
                    b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec()
                }
                Conditional::Ignored => {
                    b"HTTP/1.1 200 OK\r\netag: \"x\"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec()
                }
            }
        } else {
            self.forward(&head, &body)?
        };
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    }

    fn forward(&self, head: &Head, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(("127.0.0.1", self.server))?;
        write!(server, "{}\r\nconnection: close\r\n", head.first)?;
        for (name, value) in &head.headers {
            write!(server, "{name}: {value}\r\n")?;
        }
        server.write_all(b"\r\n")?;
        server.write_all(body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The head of a request.
struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(text: &str) -> Self {
        let mut lines = text.trim_end().lines();
        let first = lines.next().unwrap().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Self { first, headers }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}
