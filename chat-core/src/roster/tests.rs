//! Who is in a room, against a plain model.

use proptest::prelude::*;

use super::*;
use crate::model::Name;

fn member(name: &str) -> Membership {
    newcomer(User::new(UserId::new(), Name::new(name).unwrap()))
}

const T0: Duration = Duration::ZERO;
const T1: Duration = Duration::from_secs(1);

#[test]
fn presence_follows_all_sessions_of_a_user() {
    let (ann, mut roster) = (member("Ann"), Roster::new(vec![], vec![], T0));
    let user = ann.user.id;
    roster.add(ann, T0);
    let (phone, laptop) = (ConnectionId::new(), ConnectionId::new());
    assert_eq!(roster.enter(user, phone, (), false).unwrap().devices, 1);
    assert_eq!(roster.enter(user, laptop, (), true).unwrap().devices, 2);
    assert_eq!(roster.set_away(phone, true).unwrap().presence, Presence::Away);
    assert_eq!(roster.set_away(laptop, false).unwrap().presence, Presence::Online);
    assert!(roster.set_away(laptop, false).is_none(), "nothing changed");
    let (_, view) = roster.depart(laptop, T1).unwrap();
    assert_eq!((view.presence, view.devices), (Presence::Away, 1));
    assert_eq!(roster.depart(phone, T1).unwrap().1.presence, Presence::Offline);
    assert_eq!(roster.counts(), Counts { members: 1, online: 0 });
    assert!(roster.depart(phone, T1).is_none(), "a session departs once");
    assert_eq!(roster.role(user), Some(Role::Member));
}

#[test]
fn only_members_are_seated_and_each_session_once() {
    let mut roster = Roster::new(vec![member("Ann")], vec![], T0);
    let id = ConnectionId::new();
    assert!(roster.enter(UserId::new(), id, (), false).is_none());
    let user = roster.page(&all(), true).members[0].id();
    assert!(roster.enter(user, id, (), false).is_some());
    assert!(roster.enter(user, id, (), false).is_none());
    assert_eq!(roster.sessions(), 1);
    assert_eq!(roster.remove(user).len(), 1);
    assert_eq!((roster.sessions(), roster.counts().members), (0, 0));
}

#[test]
fn who_comes_and_goes_again_and_again_leaves_no_memory_behind() {
    let ann = member("Ann");
    let mut roster = Roster::new(vec![ann.clone()], vec![], T0);
    for second in 0..1_000 {
        let id = ConnectionId::new();
        roster.enter(ann.user.id, id, (), false);
        roster.depart(id, Duration::from_secs(second));
    }
    assert!(roster.gone.len() < 100);
    assert_eq!(roster.take_gone(Duration::from_secs(999)), vec![ann]);
}

#[test]
fn gone_members_are_taken_once_and_only_while_gone() {
    let (ann, bob) = (member("Ann"), member("Bob"));
    let mut roster = Roster::new(vec![ann.clone(), bob.clone()], vec![], T0);
    let id = ConnectionId::new();
    roster.enter(ann.user.id, id, (), false);
    assert_eq!(roster.take_gone(T0), vec![bob.clone()]);
    assert!(roster.take_gone(T0).is_empty());
    roster.depart(id, T1);
    assert!(roster.take_gone(T0).is_empty(), "not gone long enough");
    assert_eq!(roster.first_gone(), Some(T1));
    assert_eq!(roster.take_gone(T1), vec![ann]);
    roster.still_gone(bob.user.id, T1);
    assert_eq!(roster.take_gone(T1), vec![bob]);
}

fn all() -> MemberQuery {
    MemberQuery { after: None, limit: 200, online: false }
}

#[test]
fn pages_meet_without_gap_or_double() {
    let members: Vec<_> = (0..25).map(|n| member(&format!("m{n}"))).collect();
    let mut roster = Roster::new(members.clone(), vec![], T0);
    for present in members.iter().step_by(2) {
        roster.enter(present.user.id, ConnectionId::new(), (), false);
    }
    for online in [false, true] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = roster.page(&MemberQuery { after, limit: 4, online }, true);
            seen.extend(page.members.iter().map(MemberView::id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let step = if online { 2 } else { 1 };
        let expected: Vec<_> = members.iter().step_by(step).map(|m| m.user.id).collect();
        assert_eq!(seen, expected);
    }
    assert!(roster.page(&MemberQuery { limit: 0, ..all() }, true).members.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Invite(usize),
    Disinvite(usize),
    SetRole(usize, bool),
    Enter { user: usize, session: usize, away: bool },
    Depart(usize),
    SetAway(usize, bool),
    StillGone(usize),
    Pass(u64),
    TakeGone(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (user, session) = (|| 0usize..4, || 0usize..7);
    prop_oneof![
        user().prop_map(Step::Add),
        user().prop_map(Step::Remove),
        user().prop_map(Step::Invite),
        user().prop_map(Step::Disinvite),
        (user(), any::<bool>()).prop_map(|(user, up)| Step::SetRole(user, up)),
        (user(), session(), any::<bool>()).prop_map(|(user, session, away)| Step::Enter {
            user,
            session,
            away
        }),
        session().prop_map(Step::Depart),
        (session(), any::<bool>()).prop_map(|(session, away)| Step::SetAway(session, away)),
        user().prop_map(Step::StillGone),
        (1u64..5).prop_map(Step::Pass),
        (0u64..6).prop_map(Step::TakeGone),
    ]
}

fn role(moderator: bool) -> Role {
    if moderator { Role::Moderator } else { Role::Member }
}

/// The plainest roster: lists, and every question answered by looking at all of them.
#[derive(Default)]
struct Model {
    /// Members, and since when each has been gone if it is and has not been taken.
    members: BTreeMap<usize, Option<u64>>,
    invited: BTreeSet<usize>,
    moderators: BTreeSet<usize>,
    /// Sessions: whose, and whether away.
    sessions: BTreeMap<usize, (usize, bool)>,
}

impl Model {
    fn seen(&self, user: usize) -> Option<(Presence, usize)> {
        self.members.get(&user)?;
        let of_user: Vec<_> = self.sessions.values().filter(|(u, _)| *u == user).collect();
        let presence = match of_user.iter().filter(|(_, away)| !away).count() {
            _ if of_user.is_empty() => Presence::Offline,
            0 => Presence::Away,
            _ => Presence::Online,
        };
        Some((presence, of_user.len()))
    }
}

proptest! {
    #[test]
    fn matches_a_plain_model(steps in prop::collection::vec(step(), 1..120)) {
        let users: Vec<_> = (0..4).map(|n| member(&format!("m{n}"))).collect();
        let ids: Vec<_> = (0..7).map(|_| ConnectionId::new()).collect();
        let mut roster: Roster<usize> = Roster::new(vec![], vec![], T0);
        let (mut model, mut now) = (Model::default(), 0);
        let at = Duration::from_secs;
        let seen = |view: MemberView| (view.presence, view.devices);
        for step in steps {
            match step {
                Step::Add(user) => {
                    roster.add(users[user].clone(), at(now));
                    model.invited.remove(&user);
                    model.members.entry(user).or_insert(Some(now));
                }
                Step::Remove(user) => {
                    let mut removed: Vec<_> =
                        roster.remove(users[user].user.id).into_iter().map(|(_, s)| s).collect();
                    removed.sort_unstable();
                    let member = model.members.remove(&user).is_some();
                    model.moderators.remove(&user);
                    let expected: Vec<_> = model.sessions.iter()
                        .filter(|(_, (u, _))| member && *u == user).map(|(s, _)| *s).collect();
                    model.sessions.retain(|_, (u, _)| *u != user);
                    prop_assert_eq!(removed, expected);
                }
                Step::Invite(user) => {
                    roster.invite(users[user].user.clone());
                    model.invited.insert(user);
                }
                Step::Disinvite(user) => {
                    roster.disinvite(users[user].user.id);
                    model.invited.remove(&user);
                }
                Step::SetRole(user, up) => {
                    roster.set_role(users[user].user.id, role(up));
                    if model.members.contains_key(&user) {
                        model.moderators.retain(|other| *other != user);
                        model.moderators.extend(up.then_some(user));
                    }
                }
                Step::Enter { user, session, away } => {
                    let view = roster.enter(users[user].user.id, ids[session], session, away);
                    let new = model.members.contains_key(&user)
                        && !model.sessions.contains_key(&session);
                    if new {
                        model.sessions.insert(session, (user, away));
                        model.members.insert(user, None);
                    }
                    prop_assert_eq!(view.map(seen), model.seen(user).filter(|_| new));
                }
                Step::Depart(session) => {
                    let departed = roster.depart(ids[session], at(now));
                    let expected = model.sessions.remove(&session).and_then(|(user, _)| {
                        let seen = model.seen(user)?;
                        if seen.1 == 0 {
                            model.members.insert(user, Some(now));
                        }
                        Some((session, seen))
                    });
                    prop_assert_eq!(departed.map(|(s, view)| (s, seen(view))), expected);
                }
                Step::SetAway(session, away) => {
                    let view = roster.set_away(ids[session], away);
                    let expected = model.sessions.get(&session).copied().and_then(|(user, _)| {
                        let before = model.seen(user)?;
                        model.sessions.insert(session, (user, away));
                        model.seen(user).filter(|after| *after != before)
                    });
                    prop_assert_eq!(view.map(seen), expected);
                }
                Step::StillGone(user) => {
                    roster.still_gone(users[user].user.id, at(now));
                    if model.seen(user).is_some_and(|(_, devices)| devices == 0) {
                        model.members.insert(user, Some(now));
                    }
                }
                Step::Pass(seconds) => now += seconds,
                Step::TakeGone(ago) => {
                    let then = now.saturating_sub(ago);
                    let first = model.members.values().flatten().min().copied();
                    prop_assert_eq!(roster.first_gone(), first.map(at));
                    let mut taken: Vec<_> =
                        roster.take_gone(at(then)).into_iter().map(|m| m.user.id).collect();
                    taken.sort_unstable();
                    let mut expected = Vec::new();
                    for (user, since) in &mut model.members {
                        if since.is_some_and(|since| since <= then) {
                            *since = None;
                            expected.push(users[*user].user.id);
                        }
                    }
                    expected.sort_unstable();
                    prop_assert_eq!(taken, expected);
                }
            }
            let online = (0..4).filter(|u| model.seen(*u).is_some_and(|s| s.1 > 0)).count();
            let counts = Counts { members: model.members.len(), online };
            prop_assert_eq!((roster.counts(), roster.sessions()), (counts, model.sessions.len()));
            // The page that was asked for last is kept from step to step, and is never out of
            // date.
            prop_assert_eq!(&*roster.page(&all(), true).members, roster.views(&all()));
            for (n, user) in users.iter().enumerate() {
                let id = user.user.id;
                prop_assert_eq!(roster.member(id).map(seen), model.seen(n));
                prop_assert_eq!(roster.is_invited(id), model.invited.contains(&n));
                let moderates = model.moderators.contains(&n);
                let expected = model.members.contains_key(&n).then(|| role(moderates));
                prop_assert_eq!(roster.role(id), expected);
            }
        }
    }
}
