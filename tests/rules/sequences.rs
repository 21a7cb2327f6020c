//! Random sequences on the real decision and the real ledger, with so little room that entries are forgotten
//! all the time, against a naive model that forgets nothing: `checks/world.rs`.

use std::time::Duration;

use ifmatch::decide::policy::{Unconditional, WeakIfMatch};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use crate::checks::decision::LAG;
use crate::checks::ops::{Begin, Condition, ENDS, FORMS, Form, KEYS, Named, Op, Pick, Setting, Told};
use crate::checks::world::{Counts, World};
use crate::seeded;

fn pick() -> impl Strategy<Value = Pick> {
    any::<u16>().prop_map(Pick)
}

fn named() -> impl Strategy<Value = Named> {
    let form = prop_oneof![5 => Just(Form::AsGiven), 1 => select(&FORMS[..])];
    (pick(), form).prop_map(|(tag, form)| Named { tag, form })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        12 => vec(named(), 1..3).prop_map(Condition::Tags),
        2 => Just(Condition::Any),
        1 => Just(Condition::Malformed),
    ]
}

fn begin() -> impl Strategy<Value = Op> {
    let stated = (weighted(0.7, condition()), weighted(0.1, condition()));
    let weighted_bool = proptest::bool::weighted;
    let how = (any::<bool>(), weighted_bool(0.1), weighted_bool(0.1), weighted_bool(0.05));
    (weighted(0.3, 0..KEYS), stated, weighted(0.2, 0..KEYS), how).prop_map(
        |(key, (if_match, if_none_match), also, (guarded, deletes, all, observe))| {
            Op::Begin(Begin { key, guarded, if_match, if_none_match, deletes, also, all, observe })
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let told = prop_oneof![
        9 => (0..ENDS.len()).prop_map(Told::End),
        1 => Just(Told::Nothing),
    ];
    let serve = (pick(), weighted(0.2, named()), any::<bool>());
    prop_oneof![
        12 => (0..KEYS).prop_map(Op::Stamp),
        12 => serve.prop_map(|(which, known, lagging)| Op::Serve { which, known, lagging }),
        24 => begin(),
        12 => pick().prop_map(Op::Apply),
        16 => (pick(), told).prop_map(|(at, told)| Op::Settle(at, told)),
        4 => (0..KEYS).prop_map(Op::Touch),
        6 => Just(Op::Wait),
        1 => Just(Op::Restart),
        1 => Just(Op::Crash),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let unconditional = select(&[Unconditional::Require, Unconditional::Overlap, Unconditional::Allow][..]);
    (
        prop_oneof![1..6usize, Just(4096)],
        any::<bool>(),
        select(&[Duration::ZERO, LAG][..]),
        unconditional,
        select(&[WeakIfMatch::Refuse, WeakIfMatch::Accept][..]),
    )
        .prop_map(|(capacity, whole, lag, unconditional, weak)| Setting {
            capacity,
            whole,
            lag,
            unconditional,
            weak,
        })
}

#[test]
fn every_verdict_is_that_of_a_naive_ledger_that_forgets_nothing() {
    let counts = Counts::default();
    seeded::check(1500, (setting(), vec(op(), 1..120)), |(setting, ops)| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new(setting, &counts);
            for op in ops {
                world.run(op).await;
            }
            world.finish();
        });
        Ok(())
    });
    for (what, often) in counts.iter() {
        println!("{what}: {often}");
        assert!(often > 0, "{what} never happened");
    }
}
