use super::*;

fn checked(log: &str, remembered: Remembered<'_>) -> Findings {
    let mut checker = Checker::default();
    for line in log.lines().map(str::trim).filter(|line| !line.is_empty()) {
        checker.line(line);
    }
    checker.judge(remembered)
}

fn lost(log: &str) -> Vec<WriteId> {
    let findings = checked(log, Remembered::default());
    assert_eq!(findings.broken, Vec::<String>::new());
    findings.lost.iter().map(|loss| loss.0.id).collect()
}

fn acknowledged(ids: &[WriteId]) -> Remembered<'_> {
    Remembered { acknowledged: ids, ..Remembered::default() }
}

#[test]
fn writes_that_replace_what_their_authors_saw_lose_nothing() {
    let log = "received items/1 a1 10
               applied items/1 a1 0 0 create 11
               received items/1 b1 20
               applied items/1 b1 a1 a1 put 21
               received items/2 b2 22
               applied items/2 b2 0 - post 23
               applied items/1 c1 b1 a1|b1 put 31
               applied items/1 c2 c1 c1 delete 41
               applied items/1 a2 0 0 create 51
               applied items/1 a3 a2 - blind 61";
    let findings = checked(log, acknowledged(&[WriteId(0xa1), WriteId(0xb1), WriteId(0xc2)]));
    assert_eq!((findings.lost, findings.broken), (vec![], Vec::<String>::new()));
    assert_eq!(findings.applied.get(&Kind::Put), Some(&2));
    assert_eq!(findings.received, 3);
}

#[test]
fn a_write_over_a_state_that_its_author_did_not_see_is_found() {
    let log = "applied items/1 a1 0 0 create 1
               applied items/1 b1 a1 a1 put 2
               applied items/1 c1 b1 a1 put 3";
    assert_eq!(lost(log), [WriteId(0xc1)]);
}

#[test]
fn a_list_of_tags_is_no_leave_to_replace_something_else() {
    let log = "applied items/1 a1 0 0 create 1
               applied items/1 b1 a1 a1 put 2
               applied items/1 c1 b1 b1 put 3
               applied items/1 d1 c1 a1|b1 put 4";
    assert_eq!(lost(log), [WriteId(0xd1)]);
}

#[test]
fn a_blind_write_in_between_is_lost_if_the_next_author_did_not_see_it() {
    let log = "applied items/1 a1 0 0 create 1
               applied items/1 b1 a1 - post 2
               applied items/1 c1 b1 a1 put 3";
    assert_eq!(lost(log), [WriteId(0xc1)]);
}

#[test]
fn a_creation_that_replaces_something_is_found() {
    let log = "applied items/1 a1 0 0 create 1
               applied items/1 b1 a1 0 create 2";
    assert_eq!(lost(log), [WriteId(0xb1)]);
}

#[test]
fn a_deletion_of_what_was_not_seen_is_found_and_so_is_a_write_to_what_was_deleted() {
    let log = "applied items/1 a1 0 0 create 1
               applied items/1 b1 a1 a1 put 2
               applied items/1 c1 b1 a1 delete 3
               applied items/1 d1 0 b1 put 4";
    assert_eq!(lost(log), [WriteId(0xc1), WriteId(0xd1)]);
}

#[test]
fn a_list_is_changed_by_every_write_to_a_member() {
    let log = "applied lists/7 a1 0 0 create 1
               applied members/5 b1 0 0 create 2
               applied lists/7 c1 b1 a1 put 3
               applied members/5 d1 b1 b1 delete 4
               applied lists/7 e1 d1 d1 put 5";
    assert_eq!(lost(log), [WriteId(0xc1)]);
}

#[test]
fn another_resource_is_another_story() {
    let log = "applied items/1 a1 0 0 create 1
               applied items/2 b1 0 0 create 2
               applied items/1 c1 a1 a1 put 3
               applied items/2 d1 b1 b1 put 4";
    assert_eq!(lost(log), []);
}

#[test]
fn what_was_applied_outside_of_the_assumption_is_excused_and_counted() {
    // b1 is applied so late that its resource was free again; the other way round in items/2.
    let log = "applied items/1 a1 0 0 create 1
               applied items/1 c1 a1 a1 put 2
               applied items/1 b1 c1 a1 put 3
               outside b1
               applied items/2 a2 0 0 create 4
               applied items/2 b2 a2 a2 put 5
               outside b2
               applied items/2 c2 b2 a2 put 6
               applied items/2 d2 c2 a2 put 7";
    let findings = checked(log, Remembered::default());
    let ids = |losses: &[Loss]| losses.iter().map(|loss| loss.0.id.0).collect::<Vec<_>>();
    assert_eq!((ids(&findings.excused), ids(&findings.lost)), (vec![0xb1, 0xc2], vec![0xd2]));
    assert_eq!(findings.outside, 2);
}

#[test]
fn an_acknowledged_write_that_is_not_in_the_log_is_found() {
    let findings = checked("received items/1 a1 1", acknowledged(&[WriteId(0xa1)]));
    assert_eq!(findings.broken, ["write a1 was acknowledged and never applied"]);
}

#[test]
fn a_write_that_came_in_or_was_applied_twice_is_found() {
    let log = "received items/1 a1 1
               received items/1 a1 2
               applied items/1 a1 0 - post 3
               applied items/1 a1 a1 - post 4";
    let findings = checked(log, Remembered::default());
    assert_eq!(
        findings.broken,
        ["write a1 was sent to the origin more than once", "write a1 was applied more than once"]
    );
}

#[test]
fn a_write_with_a_dead_tag_that_came_through_is_found() {
    let dead = [WriteId(0xa1), WriteId(0xb1)];
    let remembered = Remembered { with_dead_tags: &dead, ..Remembered::default() };
    let findings = checked("received items/1 b1 1", remembered);
    assert_eq!(findings.broken, ["write b1 came through with a tag of a ledger that is gone"]);
}

#[test]
fn a_log_that_contradicts_itself_is_found() {
    let log = "applied items/1 a1 0 0 create 1
               applied items/1 b1 c1 c1 put 2
               found items/1 a1
               found items/2 0
               half a li";
    let findings = checked(log, Remembered::default());
    assert_eq!(
        findings.broken,
        [
            "write b1 says that it replaced c1 in items/1, which held a1",
            "the origin began with a1 in items/1, which held b1",
            "not a line of the log: \"half a li\""
        ]
    );
}
