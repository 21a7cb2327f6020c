//! What is sent next, and what was learnt from the answers. All connections share what they know of the resources, as if one
//! client had many of them.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::Options;
use crate::connection::Answer;

/// As long as the tags of `ifmatch`: stated where no tag was given, so that proxies without a guard forward as many bytes.
const NO_TAG: &[u8] = b"\"0000000000000000.00000000.0.00000000\"";

/// What a write sends.
const CONTENT: [u8; 1024] = [b'x'; 1024];

/// In the mix, which share of the requests wants to write.
const WRITES: f64 = 0.1;

/// Runs are told apart by the proxy alone: each draws the same resources.
const SEED: u64 = 1;

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Case {
    /// Every connection writes to a resource of its own.
    Put,
    /// 90 % reads and 10 % writes; resources by Zipf's law with s = 1.
    Mix,
    /// Every connection writes to a resource of its own and says nothing of what it saw.
    Blind,
    /// One POST to each resource, so that all of them have been written.
    Fill,
}

/// One request: what to which resource.
#[derive(Clone, Copy)]
pub(crate) enum Turn {
    Read(u32),
    Write(u32),
    WriteBlindly(u32),
    Create(u32),
}

impl Turn {
    fn resource(self) -> u32 {
        let (Self::Read(resource)
        | Self::Write(resource)
        | Self::WriteBlindly(resource)
        | Self::Create(resource)) = self;
        resource
    }

    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Read(_) => "GET",
            Self::Write(_) | Self::WriteBlindly(_) => "PUT",
            Self::Create(_) => "POST",
        }
    }
}

pub(crate) struct Workload {
    case: Case,
    /// What stands before the name of each resource.
    below: String,
    random: SmallRng,
    /// For `fill`: the next resource.
    next: u32,
    /// By resource.
    tags: Vec<Option<Box<[u8]>>>,
}

impl Workload {
    pub(crate) fn new(options: &Options) -> Self {
        let Options { case, connections, resources, ref below, .. } = *options;
        let resources = match case {
            Case::Put | Case::Blind => connections,
            Case::Mix | Case::Fill => resources,
        };
        let tags = (0..resources).map(|_| None).collect();
        Self { case, below: below.clone(), random: SmallRng::seed_from_u64(SEED), next: 0, tags }
    }

    /// The next request of a connection, written to `request`; none if all is done. A write whose tag is not known becomes a
    /// read, and is `owed`: the connection's next request.
    pub(crate) fn choose(
        &mut self,
        connection: u32,
        owed: &mut Option<u32>,
        request: &mut Vec<u8>,
    ) -> Option<Turn> {
        let turn = match owed.take() {
            Some(resource) => Turn::Write(resource),
            None => self.draw(connection)?,
        };
        let turn = match turn {
            Turn::Write(resource) if self.tag(resource).is_none() => {
                *owed = Some(resource);
                Turn::Read(resource)
            }
            Turn::Read(_) | Turn::Write(_) | Turn::WriteBlindly(_) | Turn::Create(_) => turn,
        };
        self.write(turn, request);
        Some(turn)
    }

    /// Files the tag under the resource. After a refusal nothing is known of it any more.
    pub(crate) fn learn(&mut self, turn: Turn, answer: Answer) {
        let tag = (answer.status == 200).then(|| answer.tag.unwrap_or_else(|| NO_TAG.into()));
        if let Some(known) = self.tags.get_mut(turn.resource() as usize) {
            *known = tag;
        }
    }

    fn draw(&mut self, connection: u32) -> Option<Turn> {
        match self.case {
            Case::Put => Some(Turn::Write(connection)),
            Case::Blind => Some(Turn::WriteBlindly(connection)),
            Case::Mix => {
                let resource = self.zipf();
                Some(if self.random.random_bool(WRITES) {
                    Turn::Write(resource)
                } else {
                    Turn::Read(resource)
                })
            }
            Case::Fill => {
                let resource = self.next;
                self.next += 1;
                ((resource as usize) < self.tags.len()).then_some(Turn::Create(resource))
            }
        }
    }

    /// Zipf's law with s = 1: the k-th of N resources comes with a probability of ln((k + 1) / k) / ln(N + 1), close to 1 / k.
    fn zipf(&mut self) -> u32 {
        let resources = self.tags.len() as f64;
        let rank = (resources + 1.0).powf(self.random.random::<f64>()).min(resources);
        rank as u32 - 1
    }

    fn tag(&self, resource: u32) -> Option<&[u8]> {
        self.tags.get(resource as usize)?.as_deref()
    }

    fn write(&self, turn: Turn, request: &mut Vec<u8>) {
        let case = match self.case {
            Case::Put | Case::Blind => "put",
            Case::Mix | Case::Fill => "mix",
        };
        let (method, below, resource) = (turn.method(), &self.below, turn.resource());
        let line = format!("{method} {below}{case}-{resource} HTTP/1.1\r\nHost: compare\r\n");
        request.extend_from_slice(line.as_bytes());
        if let Turn::Write(resource) = turn {
            request.extend_from_slice(b"If-Match: ");
            request.extend_from_slice(self.tag(resource).unwrap_or(NO_TAG));
            request.extend_from_slice(b"\r\n");
        }
        match turn {
            Turn::Read(_) => request.extend_from_slice(b"\r\n"),
            Turn::Write(_) | Turn::WriteBlindly(_) | Turn::Create(_) => {
                request.extend_from_slice(b"Content-Type: application/json\r\nContent-Length: 1024\r\n\r\n");
                request.extend_from_slice(&CONTENT);
            }
        }
    }
}
