use super::{Pace, Publish, Traffic};
use crate::order::Heard;

/// Traffic in one room of these connections, and what each has heard.
fn room(pace: Pace, members: u32) -> (Traffic, Vec<Heard>) {
    let mut traffic = Traffic::new();
    traffic.add_group(pace, vec![(0..members).collect()]);
    traffic.start(0);
    (traffic, vec![Heard::default(); members as usize])
}

fn sent(traffic: &mut Traffic, now: u64) -> Vec<Publish> {
    std::iter::from_fn(|| traffic.publish(now)).collect()
}

#[test]
fn in_a_closed_loop_the_next_goes_when_all_have_the_last() {
    let (mut traffic, mut heard) = room(Pace::Closed { in_flight: 1, at_most: usize::MAX }, 3);
    for round in 1..10 {
        let [publish] = sent(&mut traffic, round * 1_000_000)[..] else { panic!("one") };
        assert_eq!(u64::from(publish.sender), (round - 1) % 3, "each in turn");
        for heard in &mut heard {
            assert_eq!(sent(&mut traffic, round * 1_000_000), []);
            let (seq, number) = (Some(round), Some(publish.number));
            traffic.deliver(0, heard, seq, number, round * 1_000_000 + 500_000);
        }
    }
    let figures = traffic.figures().next().expect("one group");
    assert_eq!((figures.messages, figures.deliveries), (9, 27));
    let micros = |nanos: u64| (nanos as f64 / 1e3).round();
    assert_eq!((micros(figures.latency.min()), micros(figures.latency.max())), (500.0, 500.0));
    assert!(!traffic.faults.any());
}

#[test]
fn a_closed_loop_of_few_senders_goes_round_all_rooms() {
    let mut traffic = Traffic::new();
    let pace = Pace::Closed { in_flight: 1, at_most: 2 };
    traffic.add_group(pace, (0..3).map(|connection| vec![connection]).collect());
    traffic.start(0);
    let mut heard = [Heard::default(); 3];
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let publishes = sent(&mut traffic, 0);
        assert_eq!(publishes.len(), 2);
        for Publish { room, number, .. } in publishes {
            rooms.push(room);
            traffic.deliver(room, &mut heard[room as usize], None, Some(number), 1);
        }
    }
    assert_eq!(rooms, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn an_open_loop_counts_from_when_a_message_should_have_been_sent() {
    let (mut traffic, mut heard) = room(Pace::Open { rate: 1_000.0 }, 1);
    assert_eq!(sent(&mut traffic, 0).len(), 1);
    assert_eq!(traffic.next_due(), Some(1_000_000));
    // Nobody looked for four milliseconds: four are due, the first of them for three.
    let late = sent(&mut traffic, 4_000_000);
    assert_eq!(late.len(), 4);
    for number in 1..=5 {
        traffic.deliver(0, &mut heard[0], Some(number), Some(number), 4_000_000);
    }
    let latency = &traffic.figures().next().expect("one group").latency;
    let millis = |nanos: u64| (nanos as f64 / 1e6).round();
    assert_eq!((millis(latency.max()), millis(latency.value_at_quantile(0.5))), (4.0, 2.0));
}

#[test]
fn whoever_has_gone_is_waited_for_no_more() {
    let (mut traffic, mut heard) = room(Pace::Closed { in_flight: 2, at_most: usize::MAX }, 3);
    let publishes = sent(&mut traffic, 0);
    traffic.deliver(0, &mut heard[2], None, Some(publishes[0].number), 1);
    traffic.leave(2, 0, heard[2], "gone");
    for heard in &mut heard[..2] {
        for publish in &publishes {
            assert!(traffic.under_way() > 0);
            traffic.deliver(0, heard, None, Some(publish.number), 1);
        }
    }
    assert_eq!(traffic.under_way(), 0);
    assert_eq!((traffic.faults.closed, traffic.faults.gaps), (1, 0));
    assert!(sent(&mut traffic, 2).iter().all(|publish| publish.sender < 2));
}

#[test]
fn what_is_refused_or_lost_is_a_fault_and_holds_nothing_up() {
    let (mut traffic, mut heard) = room(Pace::Closed { in_flight: 1, at_most: usize::MAX }, 2);
    let refused = sent(&mut traffic, 0)[0].number;
    traffic.refuse(Some(refused), "busy");
    assert_eq!((traffic.faults.errors, traffic.faults.causes["busy"]), (1, 1));
    let lost = sent(&mut traffic, 0)[0].number;
    traffic.deliver(0, &mut heard[0], Some(1), Some(lost), 1);
    assert_eq!(traffic.under_way(), 1);
    traffic.give_up();
    assert_eq!((traffic.faults.missing, traffic.under_way()), (1, 0));
}

#[test]
fn without_numbers_all_must_hear_what_the_first_one_heard() {
    let (mut traffic, mut heard) = room(Pace::Closed { in_flight: 3, at_most: usize::MAX }, 2);
    let numbers: Vec<_> = sent(&mut traffic, 0).iter().map(|publish| publish.number).collect();
    // Not in the order of sending, which no server can know of several senders.
    for place in [1, 0, 2] {
        traffic.deliver(0, &mut heard[0], None, Some(numbers[place]), 1);
    }
    assert!(!traffic.faults.any());
    for place in [0, 1, 2] {
        traffic.deliver(0, &mut heard[1], None, Some(numbers[place]), 1);
    }
    assert_eq!((traffic.faults.gaps, traffic.faults.disorder), (0, 1));
}
