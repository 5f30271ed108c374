use super::*;
use arrow_array::Int32Array;
use arrow_schema::{DataType, Field, Schema};
use bartizan_filter::Context;

/// So many rows to different ports, from 0.
fn rows(n: i32) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("dport", DataType::Int32, false)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int32Array::from_iter_values(0..n))]).unwrap()
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, &Context::default()).unwrap()
}

async fn rest(mut subscription: Subscription) -> Vec<LiveItem> {
    let mut items = Vec::new();
    while let Some(item) = subscription.next().await {
        items.push(item);
    }
    items
}

/// Rows in a batch, and how many were missed and skipped before it.
fn numbers(item: &LiveItem) -> (u64, u64, u64) {
    (item.rows.num_rows() as u64, item.missed, item.skipped)
}

#[tokio::test]
async fn what_a_slow_subscriber_did_not_get_is_counted_in_rows() {
    let onlookers = Onlookers::new(1).unwrap();
    let feed = Feed::new(2, Micros(0), &onlookers);
    feed.publish(rows(50));
    let slow = feed.subscribe(&filter(""));
    for n in [1, 2, 4, 8, 16] {
        feed.publish(rows(n));
    }
    drop(feed);
    let got: Vec<_> = rest(slow).await.iter().map(numbers).collect();
    // How far the relay and the sieve had come before it was too much is their own affair.
    assert_eq!(got.last().map(|(rows, ..)| *rows), Some(16));
    assert_eq!(got.iter().map(|(rows, missed, skipped)| rows + missed + skipped).sum::<u64>(), 31, "{got:?}");
}

/// Of what it skipped, only what passed its filter.
#[tokio::test]
async fn a_sieve_that_kept_up_says_what_passed_unread() {
    let onlookers = Onlookers::new(1).unwrap();
    let feed = Feed::new(4, Micros(0), &onlookers);
    let mut quick = feed.subscribe(&filter("dport:0-9"));
    let slow = feed.subscribe(&filter("dport:0-9"));
    for n in 0..100 {
        feed.publish(rows(20 + n));
        let item = quick.next().await.unwrap();
        assert_eq!((item.passed.len(), item.missed, item.skipped), (10, 0, 0));
    }
    drop(feed);
    let got = rest(slow).await;
    let passed: u64 = got.iter().map(|item| item.passed.len() as u64).sum();
    let skipped: u64 = got.iter().map(|item| item.skipped).sum();
    assert_eq!((passed, skipped, got.len()), (40, 960, 4));
    assert!(got.iter().all(|item| item.missed == 0));
}

#[tokio::test]
async fn what_was_published_before_is_not_shown_and_nobody_is_kept_waiting() {
    let onlookers = Onlookers::new(1).unwrap();
    let feed = Feed::new(100, Micros(0), &onlookers);
    let mut first = feed.subscribe(&filter(""));
    for n in 1..=60 {
        feed.publish(rows(n));
    }
    // The relay and the sieve, which is theirs together, may be anywhere in them.
    let second = feed.subscribe(&filter(""));
    assert_eq!(feed.watchers(), 2);
    feed.publish(rows(61));
    assert_eq!(first.next().await.as_ref().map(numbers), Some((1, 0, 0)));
    drop(feed);
    let got: Vec<_> = rest(first).await.iter().map(numbers).collect();
    assert_eq!(got, (2..=61).map(|n| (n, 0, 0)).collect::<Vec<_>>());
    let later: Vec<_> = rest(second).await.iter().map(numbers).collect();
    assert_eq!(later, [(61, 0, 0)]);
}

/// Everybody with a filter is woken for what passes it, and for nothing else.
#[tokio::test]
async fn a_filter_is_looked_for_once_and_wakes_only_whom_it_concerns() {
    let onlookers = Onlookers::new(1).unwrap();
    let feed = Feed::new(100, Micros(7), &onlookers);
    let mut same = [feed.subscribe(&filter("dport:30")), feed.subscribe(&filter("dport:30"))];
    let mut other = feed.subscribe(&filter("dport:1"));
    assert_eq!((feed.watchers(), feed.sieves.len()), (3, 2));
    for n in [10, 20, 40, 10] {
        feed.publish(rows(n));
    }
    for subscription in &mut same {
        let item = subscription.next().await.unwrap();
        assert_eq!((&*item.passed, numbers(&item)), (&[30][..], (40, 0, 0)));
    }
    for _ in 0..20 {
        assert_eq!(other.seen(), None, "what waits for it has not been seen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for n in [10, 20, 40, 10] {
        assert_eq!(other.next().await.as_ref().map(numbers), Some((n, 0, 0)));
    }
    // Nobody was woken for the last ten rows, and still it is known how far the sieve is.
    while same[0].seen().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(same[0].seen(), Some(Micros(7)));
    drop(same);
    while feed.sieves.len() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(feed.watchers(), 1);
    feed.publish(rows(2));
    assert_eq!(other.next().await.as_ref().map(numbers), Some((2, 0, 0)));
    // And again, from the beginning.
    let again = feed.subscribe(&filter("dport:30"));
    feed.publish(rows(31));
    drop(feed);
    assert_eq!(rest(again).await.iter().map(numbers).collect::<Vec<_>>(), [(31, 0, 0)]);
}

#[tokio::test]
async fn who_subscribes_when_nothing_arrives_any_more_hears_so() {
    let onlookers = Onlookers::new(1).unwrap();
    let feed = Feed::new(4, Micros(0), &onlookers);
    drop(onlookers);
    assert!(rest(feed.subscribe(&filter(""))).await.is_empty());
}
