//! What holds for the feed of every service.

use std::time::Duration;

use recordport::provider::ChangeKind;

use super::{Copy, DAY, Followed, Place, chance, paths};

pub(super) async fn a_feed_stopped_and_resumed_ten_times_ends_with_the_services_state(
    followed: &'static Followed,
) {
    let at = Place::small(followed).await;
    let mut chance = chance(11);
    let mut copy = Copy::now(&at).await;
    for (round, pause) in
        [0, 1, 20, 3_600, 3 * DAY, 40 * DAY, 0, 14 * DAY, 16 * DAY, 0].into_iter().enumerate()
    {
        at.stir(&mut chance, round).await;
        at.org.advance(pause).await;
        if pause > 0 && round % 2 == 0 {
            at.stir(&mut chance, 100 + round).await;
        }
        copy.read(&at.org).await;
        copy.is_exact(&at);
        assert_eq!(copy.compared(), pause > followed.days * DAY, "{:?}", copy.notices);
        let kinds = [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted];
        assert!(kinds.iter().all(|kind| copy.told.iter().any(|(told, _)| told == kind)), "each is told");
    }
}

pub(super) async fn a_feed_from_the_beginning_lists_everything_however_it_is_interrupted(
    followed: &'static Followed,
) {
    let at = Place::large(followed).await;
    let mut chance = chance(12);
    let mut copy = Copy::beginning(&at);
    let mut pages = 1;
    while copy.page(&at.org).await {
        assert!(copy.told.iter().all(|(kind, _)| *kind != ChangeKind::Deleted), "a listing deletes nothing");
        at.stir(&mut chance, pages).await;
        at.org.advance(60).await;
        pages += 1;
    }
    assert!(pages >= 2, "{pages} pages");
    copy.read(&at.org).await;
    copy.is_exact(&at);
    at.org.advance(40 * DAY).await;
    at.stir(&mut chance, 50).await;
    copy.read(&at.org).await;
    copy.is_exact(&at);
    assert!(copy.told.len() < 200, "{} lines", copy.told.len());
}

pub(super) async fn a_page_that_was_applied_and_not_kept_comes_again(followed: &'static Followed) {
    let at = Place::small(followed).await;
    let mut copy = Copy::now(&at).await;
    let keys = at.create(&["one".to_owned(), "two".to_owned()]).await;
    at.delete(&at.loose(1)).await;
    let kept = copy.place.clone();
    copy.read(&at.org).await;
    assert_eq!(copy.told.len(), 3);
    copy.place = kept;
    at.title(&keys[..1], "later").await;
    copy.read(&at.org).await;
    assert_eq!(copy.told.len(), 3, "all of it comes again");
    copy.is_exact(&at);
    copy.read(&at.org).await;
    assert_eq!(copy.told, []);
}

pub(super) async fn a_feed_without_progress_repeats_nothing(followed: &'static Followed) {
    let at = Place::small(followed).await;
    at.create(&["before".to_owned()]).await;
    let mut copy = Copy::now(&at).await;
    let key = at.create(&["after".to_owned()]).await.remove(0);
    for seconds in [0, 1, 30, 400, 400, 3_600, 20 * DAY] {
        copy.read(&at.org).await;
        let told = if seconds == 0 { vec![(ChangeKind::Created, key.to_string())] } else { Vec::new() };
        assert_eq!(copy.told, told, "after {seconds} seconds");
        at.org.advance(seconds.max(1)).await;
    }
}

pub(super) async fn changes_within_one_second_are_all_told(followed: &'static Followed) {
    let at = Place::small(followed).await;
    let mut copy = Copy::now(&at).await;
    let key = at.create(&["quick".to_owned()]).await;
    for round in 0..8 {
        at.title(&key, &format!("Title {round}")).await;
        copy.read(&at.org).await;
        let kind = if round == 0 { ChangeKind::Created } else { ChangeKind::Updated };
        assert_eq!(copy.told, [(kind, key[0].to_string())]);
        copy.is_exact(&at);
    }
    at.delete(&key).await;
    copy.read(&at.org).await;
    assert_eq!(copy.told, [(ChangeKind::Deleted, key[0].to_string())]);
}

pub(super) async fn another_selection_repeats_nothing_and_loses_nothing(followed: &'static Followed) {
    let at = Place::small(followed).await;
    at.create(&["before".to_owned()]).await;
    let mut copy = Copy::from(followed, None);
    copy.select.clear();
    copy.rows = at.stored();
    copy.read(&at.org).await;
    copy.select = paths(followed.select);
    let key = at.create(&["after".to_owned()]).await;
    copy.read(&at.org).await;
    assert_eq!(copy.told, [(ChangeKind::Created, key[0].to_string())]);
    at.title(&key, "changed").await;
    copy.select = paths(&[followed.changed, followed.title]);
    copy.read(&at.org).await;
    assert_eq!(copy.told, [(ChangeKind::Updated, key[0].to_string())]);
    assert_eq!(copy.rows[&key[0].to_string()][followed.title], "changed");
}

pub(super) async fn what_is_created_and_deleted_between_two_looks_is_not_told(followed: &'static Followed) {
    let at = Place::small(followed).await;
    let mut copy = Copy::now(&at).await;
    let key = at.create(&["short".to_owned()]).await;
    at.delete(&key).await;
    at.org.advance(120).await;
    copy.read(&at.org).await;
    assert_eq!(copy.told, []);
    copy.is_exact(&at);
}

pub(super) async fn a_clock_of_ours_that_is_wrong_loses_nothing(followed: &'static Followed) {
    for (wrong, how) in [(600, "ten minutes fast"), (40 * DAY, "forty days fast")] {
        let at = Place::small(followed).await;
        let mut copy = Copy::now(&at).await;
        at.org.clock.advance(Duration::from_secs(wrong));
        let some = at.loose(3);
        at.title(&some[..2], how).await;
        at.delete(&some[2..]).await;
        at.create(&[how.to_owned()]).await;
        copy.read(&at.org).await;
        assert_eq!(copy.told.len(), 4, "{how}");
        copy.is_exact(&at);
        let mut late = Copy::now(&at).await;
        at.title(&some[..1], "again").await;
        late.read(&at.org).await;
        late.is_exact(&at);
        assert_eq!(late.told.len(), 1, "{how}");
    }
}
