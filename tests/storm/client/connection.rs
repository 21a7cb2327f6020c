//! A client's connection to one life of the proxy, and the ways to leave it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;

use crate::message::{Head, Peer, Trouble, reset};

/// One process of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub number: u32,
    pub address: SocketAddr,
    /// The first life of the same ledger: tags of the ones before it are dead.
    pub fresh_since: u32,
}

/// Which life clients can talk to now; none while there is none.
#[derive(Default)]
pub struct Lives(Mutex<Option<Life>>);

impl Lives {
    pub fn now(&self) -> Option<Life> {
        *self.0.lock()
    }

    /// `None` is told before a life is ended, so that nobody takes the next one on its port for it.
    pub fn tell(&self, life: Option<Life>) {
        *self.0.lock() = life;
    }
}

/// What a client does to a request of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Well,
    /// In pieces, with pauses between them.
    Slowly,
    LeaveInHead,
    LeaveInBody,
    LeaveWhileWaiting,
    LeaveInAnswer,
}

impl Manner {
    /// Usually well.
    pub fn draw(chance: &mut StdRng, has_body: bool) -> Self {
        match chance.random_range(0..120) {
            0 => Manner::LeaveInHead,
            1 if has_body => Manner::LeaveInBody,
            2 | 3 => Manner::LeaveWhileWaiting,
            4 => Manner::LeaveInAnswer,
            5 | 6 if has_body => Manner::Slowly,
            _ => Manner::Well,
        }
    }

    /// For the account; `None` where nothing is wrong.
    pub fn fault(self) -> Option<&'static str> {
        match self {
            Manner::Well => None,
            Manner::Slowly => Some("client: uploads slowly"),
            Manner::LeaveInHead => Some("client: resets within its head"),
            Manner::LeaveInBody => Some("client: resets within its body"),
            Manner::LeaveWhileWaiting => Some("client: resets while it waits"),
            Manner::LeaveInAnswer => Some("client: resets within the answer"),
        }
    }
}

/// What came of a request.
pub enum Outcome {
    Answer {
        status: u16,
        head: Head,
        body: Result<Vec<u8>, Trouble>,
    },
    /// We left.
    Left,
    Lost(Trouble),
}

pub struct Connection {
    pub life: Life,
    peer: Peer,
}

/// Longer than anything that the proxy may take: its own times are shorter by far.
const PATIENCE: Duration = Duration::from_secs(15);

impl Connection {
    /// A connection to the life that is there now.
    pub fn open(lives: &Lives) -> Option<Self> {
        let life = lives.now()?;
        let stream = TcpStream::connect_timeout(&life.address, Duration::from_secs(1)).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        // Still the same: so it was this process that accepted, and not a later one on the same port.
        (lives.now() == Some(life)).then(|| Connection { life, peer: Peer::new(stream) })
    }

    /// Sends a request and reads its answer. The connection is good for another one only if the flag says so.
    pub fn exchange(
        &mut self,
        head: &str,
        body: &[u8],
        manner: Manner,
        chance: &mut StdRng,
    ) -> (Outcome, bool) {
        let outcome = self.try_exchange(head, body, manner, chance).unwrap_or_else(Outcome::Lost);
        let good = match &outcome {
            Outcome::Answer { head, body, .. } => body.is_ok() && !head.closes(),
            Outcome::Left => {
                reset(&self.peer.stream);
                false
            }
            Outcome::Lost(_) => false,
        };
        (outcome, good)
    }

    fn try_exchange(
        &mut self,
        head: &str,
        body: &[u8],
        manner: Manner,
        chance: &mut StdRng,
    ) -> Result<Outcome, Trouble> {
        let sent = self.send(head, body, manner, chance);
        match manner {
            Manner::LeaveInHead | Manner::LeaveInBody => return Ok(Outcome::Left),
            Manner::LeaveWhileWaiting => {
                std::thread::sleep(Duration::from_millis(chance.random_range(0..40)));
                return Ok(Outcome::Left);
            }
            Manner::Well | Manner::Slowly | Manner::LeaveInAnswer => {}
        }
        // Who is refused before the body is through may hear so and find the connection closed.
        let (status, answer) = loop {
            let Some(answer) = self.peer.head()? else { return Err(sent.err().unwrap_or(Trouble::Ended)) };
            let status = answer.first.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
            match status {
                None => return Err(Trouble::Malformed("malformed: a status line")),
                Some(100..=199) => {}
                Some(status) => break (status, answer),
            }
        };
        if manner == Manner::LeaveInAnswer {
            return Ok(Outcome::Left);
        }
        let body = if matches!(status, 204 | 304) { Ok(Vec::new()) } else { self.peer.body(&answer) };
        Ok(Outcome::Answer { status, head: answer, body })
    }

    fn send(&mut self, head: &str, body: &[u8], manner: Manner, chance: &mut StdRng) -> Result<(), Trouble> {
        let whole = [head.as_bytes(), body].concat();
        let until = match manner {
            Manner::LeaveInHead => chance.random_range(1..head.len()),
            Manner::LeaveInBody => head.len() + chance.random_range(0..body.len().max(1)),
            Manner::Well | Manner::Slowly | Manner::LeaveWhileWaiting | Manner::LeaveInAnswer => whole.len(),
        };
        let bytes = whole.get(..until).unwrap_or(&whole);
        if manner != Manner::Slowly {
            return Ok(self.peer.stream.write_all(bytes)?);
        }
        for piece in bytes.chunks(bytes.len().div_ceil(5).max(1)) {
            self.peer.stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(chance.random_range(10..600)));
        }
        Ok(())
    }
}
