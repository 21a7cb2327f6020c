//! The shell: pingora hands over a stream, requests are read from it, and each takes its way.
//!
//! [`serve`] accepts, [`connection`] reads requests and writes answers, [`handle`] finds the route and the kind of request, [`read`], [`mod@write`] and
//! [`pass`] are the three ways, [`origin`] is the other side. Decisions are made in the pure layers;
//! here is what they need to be carried out.

pub mod admit;
pub mod ask;
pub mod body;
pub mod changes;
pub mod client;
pub mod client_body;
pub mod client_tunnel;
pub mod connection;
pub mod cors;
pub mod date;
pub mod fields;
pub mod gateway;
pub mod handle;
pub mod head;
pub mod in_flight;
pub mod lazy_timer;
pub mod noted;
pub mod observe;
pub mod origin;
pub mod outgoing;
pub mod outlive;
pub mod pass;
pub mod patience;
pub mod probe;
pub mod read;
pub mod reading;
pub mod refuse;
pub mod representation;
pub mod request_body;
pub mod rules;
pub mod serve;
pub mod shown_read;
pub mod shown_tag;
pub mod slips_by;
pub mod stopping;
pub mod target;
pub mod told_of;
pub mod translate;
pub mod tunnel;
pub mod turn;
pub mod twice;
pub mod under_permit;
pub mod unjudged;
pub mod verify;
pub mod views;
pub mod wire;
pub mod write;
