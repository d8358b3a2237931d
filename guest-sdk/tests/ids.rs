//! Checks the maps of ids.

use wireplug_guest::ids::{Ids, InsertError};

#[test]
fn each_open_id_has_a_number_of_its_own() {
    let mut ids = Ids::new(3);
    assert!(ids.is_empty());
    assert_eq!(["a", "b", "c"].map(|id| ids.insert(id)), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!((ids.take(2), ids.take(2), ids.take(9)), (Some("b"), None, None));
    assert_eq!(ids.insert("d"), Ok(4));
    assert_eq!((ids.take(1), ids.take(3), ids.take(4), ids.len()), (Some("a"), Some("c"), Some("d"), 0));
}

#[test]
fn an_id_is_open_once() {
    let mut ids = Ids::new(1).drop_oldest();
    assert_eq!(ids.insert("a"), Ok(1));
    let error = ids.insert("a").unwrap_err();
    assert_eq!(error.to_string(), "a request with this id is open already");
    assert_eq!(ids.take(1), Some("a"));
    assert_eq!(ids.insert("a"), Ok(2));
}

#[test]
fn more_ids_than_the_limit_are_an_error() {
    let mut ids = Ids::new(2);
    ids.insert(1).unwrap();
    ids.insert(2).unwrap();
    let error = ids.insert(3).unwrap_err();
    assert_eq!(error, InsertError::Full { limit: 2 });
    assert_eq!(error.to_string(), "2 requests are open, and no more are allowed");
    assert_eq!(ids.take(1), Some(1));
    assert_eq!(ids.insert(3), Ok(3));
}

#[test]
fn the_oldest_id_may_give_way() {
    let mut ids = Ids::new(2).largest(4).drop_oldest();
    let numbers = ['a', 'b', 'c', 'd', 'e', 'f'].map(|id| ids.insert(id));
    assert_eq!(numbers, [Ok(1), Ok(2), Ok(3), Ok(4), Ok(1), Ok(2)]);
    assert_eq!((ids.take(1), ids.take(2), ids.len()), (Some('e'), Some('f'), 0));
    // All numbers are open.
    let mut all = Ids::new(2).largest(2).drop_oldest();
    assert_eq!(['a', 'b', 'c', 'd'].map(|id| all.insert(id)), [Ok(1), Ok(2), Ok(1), Ok(2)]);
}

#[test]
fn numbers_begin_again_and_pass_over_open_ones() {
    let mut ids = Ids::new(3).largest(3);
    for number in 1..=3 {
        assert_eq!(ids.insert(number), Ok(number));
    }
    assert_eq!(ids.take(2), Some(2));
    assert_eq!(ids.insert(4), Ok(2));
    assert_eq!(ids.take(1), Some(1));
    assert_eq!(ids.insert(5), Ok(1));
}

#[test]
fn an_abandoned_id_is_removed() {
    let mut ids = Ids::new(2);
    ids.insert(70_000).unwrap();
    ids.insert(70_001).unwrap();
    assert_eq!((ids.remove(&70_001), ids.remove(&70_001), ids.take(2)), (Some(2), None, None));
}

#[test]
fn saved_ids_are_restored() {
    let mut ids = Ids::new(2).largest(3);
    ids.insert("a".to_owned()).unwrap();
    ids.insert("b".to_owned()).unwrap();
    ids.take(1);
    let saved = ids.save().unwrap();
    let mut restored = Ids::new(2).largest(3);
    restored.restore(&saved).unwrap();
    assert_eq!(restored, ids);
    assert_eq!(restored.insert("c".to_owned()), Ok(3));
    assert_eq!(restored.take(2), Some("b".to_owned()));
}

#[test]
fn saved_ids_that_do_not_fit_are_refused() {
    let (format, fit) = ("the saved ids have another format", "the saved ids do not fit");
    for (saved, reason) in [
        ("", format),
        ("[]", format),
        ("[1,[[1,2]]]", format),
        ("[4,[]]", fit),
        (r#"[1,[[4,"a"]]]"#, fit),
        (r#"[1,[[0,"a"]]]"#, fit),
        (r#"[2,[[1,"a"],[1,"b"]]]"#, fit),
        (r#"[2,[[1,"a"],[2,"a"]]]"#, fit),
        (r#"[3,[[1,"a"],[2,"b"],[3,"c"]]]"#, fit),
    ] {
        let mut ids = Ids::new(2).largest(3);
        ids.insert("old".to_owned()).unwrap();
        assert_eq!(ids.restore(saved.as_bytes()), Err(reason.to_owned()), "{saved}");
        assert_eq!(ids.take(1), Some("old".to_owned()));
    }
}
