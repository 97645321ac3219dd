//! Big rooms: what is told of a member that joins, leaves its keyboard or goes does not grow with those who are
//! there, who is there is summarised, and the pages of members are true all the same.

mod support;

use std::sync::Arc;
use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, Event, Limits, MemberQuery, MemberView, MemoryStore, NewRoom, Presence, Room, User,
};
use support::{Bench, draft, engine_with, until, user};

const SECOND: Duration = Duration::from_secs(1);
/// Above this number, rooms are big.
const BIG: usize = 20;

/// How many events of each kind somebody has heard.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    presence: usize,
    comings: usize,
    summaries: usize,
    messages: usize,
    typing: usize,
}

impl Heard {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Presence { .. } => self.presence += 1,
            Event::Change { .. } => self.comings += 1,
            Event::Summary { .. } => self.summaries += 1,
            Event::Message { .. } => self.messages += 1,
            Event::Typing { .. } => self.typing += 1,
            other => panic!("{other:?} is told"),
        }
    }

    fn all(&self) -> usize {
        self.presence + self.comings + self.summaries + self.messages + self.typing
    }
}

/// A room in which so many are, who have heard everything so far.
async fn room(bench: &Bench, people: usize) -> (Room, Vec<Probe>) {
    let (id, mut owner) = bench.room_of("owner", NewRoom::open("big").expect("a good title")).await;
    // The room is its own, before it hears it; nothing else is told beside what the room tells.
    owner.find(|event| matches!(event, Event::Mine { .. }).then_some(())).await;
    let mut probes = vec![owner];
    for n in 1..people {
        probes.push(bench.joined(&format!("guest {n}"), id).await);
    }
    (bench.engine.room(id), probes)
}

fn big() -> Bench {
    engine_with(MemoryStore::default(), Limits { big_room: BIG, ..Limits::default() })
}

/// What each of these has heard by now, and all of them together: up to a message that is sent here.
async fn hear(room: &Room, probes: &mut [Probe]) -> (Vec<Vec<Arc<Event>>>, Heard) {
    let end = probes[0].session.send(room.id(), draft("that is all")).await.expect("sent").seq;
    let (mut each, mut all) = (Vec::new(), Heard::default());
    for probe in probes {
        let mut events = Vec::new();
        loop {
            let event = probe.event().await;
            if matches!(&*event, Event::Message { message, .. } if message.seq == end) {
                break;
            }
            all.count(&event);
            events.push(event);
        }
        each.push(events);
    }
    (each, all)
}

async fn page(room: &Room, asker: &User) -> Vec<MemberView> {
    let (mut all, mut query) = (Vec::new(), MemberQuery { after: None, limit: 50, online: false });
    loop {
        let page = room.members(asker, query).await.expect("a page");
        all.extend(page.members.iter().cloned());
        query.after = page.next;
        if query.after.is_none() {
            return all;
        }
    }
}

/// How a member is seen, with how many devices, as the pages say.
async fn seen(room: &Room, asker: &User, of: &User) -> (Presence, usize) {
    let members = page(room, asker).await;
    let member = members.into_iter().find(|member| member.id() == of.id).expect("a member");
    (member.presence, member.devices)
}

/// As many as are there come and go once more; with each interval of summaries in between, everybody hears one
/// summary, and nothing else. So the number of events is that of those present, not its square.
#[tokio::test]
async fn who_comes_and_goes_costs_a_summary_an_interval() {
    for people in [100, 400] {
        let bench = big();
        let (room, mut present) = room(&bench, people).await;
        let (_, heard) = hear(&room, &mut present).await;
        // Until it was big, each was announced to those who were there: with its membership, and its presence.
        let small: usize = (1..=BIG).map(|here| 2 * here).sum();
        let first = heard.all();
        assert!(first <= small + people, "{heard:?} of {people}, where {small} were small talk");

        bench.clock.advance(SECOND);
        all_are_summarised(&mut present).await;
        for round in 1..=3 {
            let mut guests = Vec::new();
            for n in 0..people {
                guests.push(bench.joined(&format!("passer-by {round}.{n}"), room.id()).await);
            }
            for guest in &guests {
                guest.session.leave(room.id()).await.expect("left");
            }
            drop(guests);
            until("they are gone", async || bench.engine.stats().sessions == people).await;
            bench.clock.advance(SECOND);
            // Nothing else comes before it.
            for probe in &mut present {
                let event = probe.event().await;
                assert!(matches!(&*event, Event::Summary { .. }), "round {round}: {event:?}");
            }
            let (_, heard) = hear(&room, &mut present).await;
            assert_eq!(heard, Heard::default(), "round {round} of {people}");
        }
    }
}

async fn all_are_summarised(probes: &mut [Probe]) {
    for probe in probes {
        probe.find(|event| matches!(event, Event::Summary { .. }).then_some(())).await;
    }
}

/// A message is told once to each of those present; and it is not said who is typing it.
#[tokio::test]
async fn speaking_costs_one_event_for_each_of_those_present() {
    let bench = big();
    let (room, mut present) = room(&bench, 200).await;
    hear(&room, &mut present).await;
    for n in 0..10 {
        let speaker = &present[n * 7].session;
        speaker.typing(room.id(), true).await.expect("typing");
        speaker.send(room.id(), draft(&format!("message {n}"))).await.expect("sent");
        speaker.typing(room.id(), true).await.expect("typing");
        speaker.typing(room.id(), false).await.expect("not typing");
    }
    let (_, heard) = hear(&room, &mut present).await;
    assert_eq!(heard, Heard { messages: 10 * 200, ..Heard::default() });
}

/// Who is there, with how many devices and whether at one of their keyboards, is told by events in a small
/// room, and by the pages of members in a big one.
#[tokio::test]
async fn devices_and_keyboards_are_counted_in_rooms_of_any_size() {
    for people in [5, 50] {
        let bench = big();
        let (room, mut present) = room(&bench, people).await;
        hear(&room, &mut present).await;
        let asker = present[0].session.user().clone();
        let bob = user("Bob");
        let mut expected = Vec::new();
        let devices: Vec<Probe> = (0..3).map(|_| bench.connect_as(bob.clone())).collect();
        for (n, device) in (1..).zip(&devices) {
            device.session.join(room.id(), After::Nothing).await.expect("in it");
            expected.push((Presence::Online, n));
            assert_eq!(seen(&room, &asker, &bob).await, (Presence::Online, n));
        }
        for (n, device) in (1..).zip(&devices) {
            device.session.presence(Presence::Away).await.expect("away");
            // The one that hears it last decides, when nobody is at any of them.
            let how = if n == 3 { Presence::Away } else { Presence::Online };
            assert_eq!(seen(&room, &asker, &bob).await, (how, 3));
        }
        expected.push((Presence::Away, 3));
        devices[1].session.presence(Presence::Online).await.expect("back");
        assert_eq!(seen(&room, &asker, &bob).await, (Presence::Online, 3));
        expected.push((Presence::Online, 3));
        let how = [(Presence::Online, 2), (Presence::Away, 1), (Presence::Offline, 0)];
        for (device, how) in devices.into_iter().zip(how) {
            drop(device);
            until("a device is gone", async || seen(&room, &asker, &bob).await == how).await;
            expected.push(how);
        }
        let (heard, _) = hear(&room, &mut present[..1]).await;
        let heard = heard[0].iter().filter_map(|event| match &**event {
            Event::Presence { user, presence, devices, .. } if user.id == bob.id => {
                Some((*presence, *devices))
            }
            _ => None,
        });
        let heard: Vec<_> = heard.collect();
        if people > BIG {
            assert_eq!(heard, [], "a big room names nobody");
        } else {
            assert_eq!(heard, expected, "a small one says each");
        }
    }
}

/// When it has become small again, who comes and goes is announced again, and what was not is made up for by a
/// summary.
#[tokio::test]
async fn a_room_that_becomes_small_again_announces_again() {
    let bench = big();
    let (room, mut present) = room(&bench, BIG + 5).await;
    hear(&room, &mut present).await;
    present.truncate(BIG - 1);
    until("some have gone", async || bench.engine.stats().sessions == BIG - 1).await;
    bench.clock.advance(SECOND);
    let ann = &mut present[0];
    let counts = ann.find(|event| match event {
        Event::Summary { counts, .. } if counts.online == BIG - 1 => Some(*counts),
        _ => None,
    });
    assert_eq!(counts.await.members, BIG + 5);
    let bob = bench.joined("Bob", room.id()).await;
    let named = present[0].find(|event| match event {
        Event::Presence { user, presence, .. } => Some((user.id, *presence)),
        _ => None,
    });
    assert_eq!(named.await, (bob.session.user().id, Presence::Online));
}
