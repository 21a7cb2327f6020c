//! The whole decision against a naive model, in sequences that bytes make.

use std::time::Duration;

use ifmatch::decide::policy::{Unconditional, WeakIfMatch};

use super::drive::{Bytes, in_paused_time};
use super::ops::{Begin, Condition, ENDS, FORMS, KEYS, Named, Op, Pick, Setting, Told};
use super::world::{Counts, World};

/// Takes two bytes for the setting and the others for what happens.
pub(crate) fn check(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setting = setting(&mut bytes);
    let counts = Counts::default();
    // Where one input is looked at, what happens in it.
    let shows = std::env::var_os("IFMATCH_INPUT").is_some();
    if shows {
        println!("{setting:?}");
    }
    in_paused_time(async {
        let mut world = World::new(setting, &counts);
        while let Some(op) = op(&mut bytes) {
            if shows {
                println!("{op:?}");
            }
            world.run(op).await;
        }
        world.finish();
    });
}

fn setting(bytes: &mut Bytes<'_>) -> Setting {
    let (room, how) = (bytes.byte(), bytes.byte());
    Setting {
        capacity: match room % 8 {
            0 => 4096,
            few => few.into(),
        },
        whole: how & 1 != 0,
        lag: if how & 2 != 0 { LAG } else { Duration::ZERO },
        unconditional: match how / 4 % 4 {
            0 => Unconditional::Allow,
            1 => Unconditional::Overlap,
            _ => Unconditional::Require,
        },
        weak: if how & 16 != 0 { WeakIfMatch::Accept } else { WeakIfMatch::Refuse },
    }
}

/// Neither a multiple of what is waited at a time nor a divisor of the settle time.
pub(crate) const LAG: Duration = Duration::from_millis(7002);

fn op(bytes: &mut Bytes<'_>) -> Option<Op> {
    let kind = bytes.next()?;
    Some(match kind % 32 {
        0..6 => Op::Stamp(key(kind / 32)),
        6..11 => Op::Serve {
            which: pick(bytes),
            known: (kind >= 192).then(|| named(bytes)),
            lagging: kind & 32 != 0,
        },
        11..20 => Op::Begin(begin(kind, bytes)),
        20..23 => Op::Apply(pick(bytes)),
        23..27 => Op::Settle(pick(bytes), told(bytes)),
        27 => Op::Touch(key(kind / 32)),
        28 | 29 => Op::Wait,
        30 => Op::Restart,
        _ => Op::Crash,
    })
}

fn key(byte: u8) -> usize {
    usize::from(byte) % KEYS
}

fn pick(bytes: &mut Bytes<'_>) -> Pick {
    Pick(bytes.byte().into())
}

fn told(bytes: &mut Bytes<'_>) -> Told {
    let which = usize::from(bytes.byte()) % (ENDS.len() + 1);
    if which == ENDS.len() { Told::Nothing } else { Told::End(which) }
}

/// Mostly as it was given.
fn named(bytes: &mut Bytes<'_>) -> Named {
    let (tag, form) = (pick(bytes), usize::from(bytes.byte() % 16));
    Named { tag, form: FORMS.get(form).copied().unwrap_or(FORMS[0]) }
}

fn condition(how: u8, bytes: &mut Bytes<'_>) -> Option<Condition> {
    Some(match how % 8 {
        0..=2 => Condition::Tags(vec![named(bytes)]),
        3 => Condition::Tags(vec![named(bytes), named(bytes)]),
        4 => Condition::Any,
        5 if how == 5 => Condition::Malformed,
        _ => return None,
    })
}

fn begin(kind: u8, bytes: &mut Bytes<'_>) -> Begin {
    let (who, how) = (bytes.byte(), bytes.byte());
    Begin {
        if_match: condition(how, bytes),
        // Seldom both.
        if_none_match: if how / 8 % 4 == 0 { condition(how / 32, bytes) } else { None },
        key: (kind & 32 != 0).then(|| key(who)),
        guarded: who & 4 == 0,
        deletes: who & 24 == 24,
        also: (who & 96 == 96).then(|| key(who / 8)),
        all: kind >= 224,
        observe: who >= 240,
    }
}
