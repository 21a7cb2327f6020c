//! A client's request's body, for whoever takes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::body::{BodyError, NextFrame};
use super::client_tunnel::ClientUpgrade;
use super::wire::{Hold, SharedWire};
use crate::http1::decode::{Decoded, Decoder, take_whole};
use crate::http1::framing::BodyLength;

/// A request's body, as it comes. Dropped before its end, the rest is nobody's.
pub struct ClientBody {
    source: Source,
    /// Whether the connection may become a tunnel.
    can_upgrade: Option<SharedWire>,
}

enum Source {
    /// All of it was taken, or there is none.
    Over,
    /// It came with its head, as a whole.
    Here(Bytes),
    /// It is still to come, or part of it.
    Comes(Coming),
}

struct Coming {
    wire: SharedWire,
    /// How much, where that is known.
    rest: Option<u64>,
    /// Nothing more of it comes: what comes on the wire is somebody else's from then on.
    over: bool,
}

/// What a request's head says of what comes behind it.
#[derive(Clone, Copy)]
pub struct Behind {
    /// How long the body is.
    pub length: BodyLength,
    /// Whether the client expects anything before it is sent, whatever that is.
    pub expects: bool,
    /// Whether that is 100 (Continue).
    pub awaits_continue: bool,
    /// Whether another protocol may follow.
    pub may_upgrade: bool,
}

impl ClientBody {
    /// The body of the request whose head was just taken.
    pub fn begin(wire: &mut Hold, behind: Behind) -> Self {
        let source = Source::begin(wire, behind);
        ClientBody { source, can_upgrade: behind.may_upgrade.then(|| wire.share()) }
    }

    /// None.
    pub fn none() -> Self {
        ClientBody { source: Source::Over, can_upgrade: None }
    }

    /// All of it, where it came with its head and nothing was taken yet.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let Source::Here(whole) = &mut self.source else { return None };
        let whole = std::mem::take(whole);
        self.source = Source::Over;
        Some(whole)
    }

    /// Whoever has it only drops what still comes: who waits for its end need not.
    pub fn goes_nowhere(&self) {
        let Source::Comes(coming) = &self.source else { return };
        coming.wire.lock().body_will_go_nowhere();
    }

    /// What the connection becomes, if the request is answered with 101.
    pub fn upgrade(&mut self) -> Option<ClientUpgrade> {
        let wire = self.can_upgrade.take()?;
        let (told, upgraded) = oneshot::channel();
        wire.lock().tells_of_tunnel(told);
        Some(ClientUpgrade { upgraded, wire })
    }
}

impl Source {
    fn begin(wire: &mut Hold, Behind { length, expects, awaits_continue, .. }: Behind) -> Self {
        // What is expected comes from the origin, whatever of the body is here: until then it counts as still to come.
        let whole = if expects { None } else { wire.with(|wire| take_whole(length, &mut wire.come)) };
        let decoder = Decoder::new(length);
        match whole {
            _ if decoder.is_over() => Source::Over,
            Some(whole) => Source::Here(whole),
            None => {
                let rest = decoder.rest();
                wire.with(|wire| wire.begins_body(decoder, awaits_continue));
                Source::Comes(Coming { wire: wire.share(), rest, over: false })
            }
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> NextFrame {
        if let Some(whole) = self.take_whole() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        let Source::Comes(coming) = &mut self.source else { return Poll::Ready(None) };
        let mut wire = coming.wire.lock();
        let frame = match ready!(wire.poll_body(cx)) {
            Ok(Decoded::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Decoded::Trailers(fields)) => Some(Ok(Frame::trailers(fields))),
            Ok(Decoded::End | Decoded::Needs) => None,
            Err(error) => Some(Err(error)),
        };
        coming.rest = wire.rest_of_body();
        // Known while it is locked: once it is not, the next request's body may begin on it.
        coming.over = wire.body_is_over() || matches!(frame, Some(Err(_)));
        drop(wire);
        if coming.over {
            self.source = Source::Over;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Over => SizeHint::with_exact(0),
            Source::Here(whole) => SizeHint::with_exact(whole.len() as u64),
            Source::Comes(coming) => coming.rest.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if !self.over {
            self.wire.lock().leave_body();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use prometheus::{IntCounterVec, Opts};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::proxy::client::{Client, ClientStream};
    use crate::proxy::in_flight::Counter;
    use crate::proxy::patience::Pace;
    use crate::proxy::wire::{Taken, Wire};
    use crate::report::limits_hit::LimitsHit;

    /// A wire, and its client's end of it.
    fn wire() -> (Hold, DuplexStream) {
        let (near, far) = duplex(1024 * 1024);
        let hits =
            LimitsHit::new(&IntCounterVec::new(Opts::new("hits", "hits"), &["limit"]).expect("counts"));
        let counted = Counter::new().enter(1).expect("one");
        let client = Client::new(None, Pace::new(Duration::MAX, hits));
        (Hold::Alone(Wire::new(ClientStream::new(Box::new(near), client, counted))), far)
    }

    // A client may be sending without end what nobody wants.
    #[tokio::test]
    async fn what_nobody_wants_is_dropped_a_read_at_a_time_and_what_comes_behind_it_is_kept() {
        const LONG: usize = 900_000;
        let (mut wire, mut client) = wire();
        let length = BodyLength::Exact(LONG as u64);
        drop(ClientBody::begin(
            &mut wire,
            Behind { length, expects: true, awaits_continue: true, may_upgrade: false },
        ));
        client.write_all(&[&[b'x'; LONG], &b"GET"[..]].concat()).await.expect("room for it");
        let mut longest = 0;
        poll_fn(|cx| {
            wire.with(|wire| {
                assert!(wire.poll_left(cx).is_pending());
                longest = longest.max(wire.come.len());
                if wire.taken() == Taken::Whole { Poll::Ready(()) } else { Poll::Pending }
            })
        })
        .await;
        assert!(longest <= 128 * 1024, "{longest} at a time");
        wire.take_back();
        assert!(matches!(wire, Hold::Alone(_)));
        wire.with(|wire| assert_eq!(&wire.come[..], b"GET"));
        // Nor was anybody invited to send it.
        wire.with(Wire::close);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.expect("the end");
        assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
    }

    // Whoever takes a body in a task of its own may get to its end just before its connection goes on.
    #[tokio::test]
    async fn a_body_that_is_over_does_not_leave_the_next_one() {
        let (mut wire, _client) = wire();
        let over = Coming { wire: wire.share(), rest: Some(0), over: true };
        let next = Decoder::new(BodyLength::Chunked);
        wire.with(|wire| wire.begins_body(next, false));
        drop(over);
        assert_eq!(wire.with(|wire| wire.taken()), Taken::NotYet);
        drop(Coming { wire: wire.share(), rest: None, over: false });
        assert_eq!(wire.with(|wire| wire.taken()), Taken::Left);
    }
}
