//! What a room does because time has passed: members of an ephemeral room that stayed away go,
//! typing ends, presence is summarised, and a room that nobody needs stops. One timer for all of
//! it, set to whatever comes first.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::{ActorContext, ActorFutureExt, AsyncContext, Context};

use crate::room::actor::State;
use crate::room::{Hosted, RoomActor};

/// How much too early a timer may ring.
const EARLY: Duration = Duration::from_secs(1);

impl Hosted {
    /// When something is to be done next.
    fn next_deadline(&mut self) -> Option<Duration> {
        let limits = &self.shared.limits;
        let (grace, idle) = (limits.grace, limits.idle);
        let gone = if self.info.ephemeral { self.roster.first_gone() } else { None };
        let summary = self.summary.1.then_some(self.summary.0.saturating_add(limits.summary_every));
        let quiet = self.is_quiet().then_some(self.quiet_since.saturating_add(idle));
        let unsure = self.writes.unsure.filter(|_| self.writes.is_idle());
        let gone = gone.map(|since| since.saturating_add(grace));
        let (marks, positions) = (self.marks_due(), self.positions.due());
        let news = self.threads.due();
        let typing = self.typing.next_end();
        let deadlines = [gone, typing, summary, quiet, unsure, marks, positions, news];
        deadlines.into_iter().flatten().min()
    }

    /// Whether the room could stop: nobody is here, nothing is being written, and no membership is
    /// to end.
    fn is_quiet(&self) -> bool {
        self.roster.sessions() == 0
            && self.entering.is_empty()
            && self.reads == 0
            && self.writes.is_idle()
            && self.gathered.due().is_none()
            && self.positions.is_idle()
            && self.threads.due().is_none()
            && self.writes.unsure.is_none()
            && !(self.info.ephemeral && self.roster.counts().members > 0)
    }

    /// Sets the timer to the next deadline. One that is a little early stays: it does nothing then
    /// but set itself anew, and a room that is asked without pause does not set one for each
    /// question.
    pub(super) fn arm(&mut self, ctx: &mut Context<RoomActor>) {
        let next = self.next_deadline();
        let keep = match (self.timer, next) {
            (Some((armed, _)), Some(next)) => armed <= next && next - armed < EARLY,
            (armed, next) => armed.is_none() && next.is_none(),
        };
        if keep {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = next.map(|deadline| {
            let sleep = wrap_future::<_, RoomActor>(self.shared.clock.sleep_until(deadline));
            (deadline, ctx.spawn(sleep.map(move |(), room, ctx| room.time_passed(deadline, ctx))))
        });
    }

    fn do_what_is_due(&mut self) {
        let now = self.now();
        for user in self.typing.take_ended(now) {
            self.tell_typing(user, false);
        }
        if self.summary.1 && now >= self.summary.0.saturating_add(self.shared.limits.summary_every)
        {
            self.summarise();
        }
        if self.info.ephemeral && now >= self.shared.limits.grace {
            for membership in self.roster.take_gone(now - self.shared.limits.grace) {
                let user = membership.user.id;
                if self.entering.values().any(|(entering, _)| *entering == user) {
                    // Back in time: what it missed is just being read.
                    self.roster.still_gone(user, now);
                } else {
                    self.end_membership(membership, None);
                }
            }
        }
    }
}

impl RoomActor {
    fn time_passed(&mut self, deadline: Duration, ctx: &mut Context<Self>) {
        self.with_hosted(ctx, |hosted, _| {
            // A timer that was replaced in the very moment of its end leaves the new one alone.
            hosted.timer.take_if(|(armed, _)| *armed == deadline);
            hosted.do_what_is_due();
        });
        let State::Hosted(hosted) = &mut self.state else { return };
        let now = hosted.now();
        if hosted.is_quiet()
            && now >= hosted.quiet_since.saturating_add(self.rooms.shared.limits.idle)
        {
            if self.rooms.retire(self.id) {
                return ctx.stop();
            }
            // Somebody holds the room and may be about to ask.
            hosted.quiet_since = now;
            hosted.arm(ctx);
        }
    }
}
