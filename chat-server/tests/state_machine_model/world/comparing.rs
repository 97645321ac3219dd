//! Whether what everybody knows is what the server says, and what the model says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::super::support::text;
use super::super::device::Device;
use super::super::steps::DEVICES;
use super::super::view::{Broken, Members, Said, Seen};
use super::super::{Room, Who};
use super::World;

impl World<'_> {
    /// How far everybody has read, and what is left, in the room and in the list of one's own rooms.
    pub(super) async fn compare_positions(&self, room: &Room) -> Result<(), Broken> {
        for user in room.roles.keys().copied() {
            let (expected, says) = (room.position(user), self.page(room, "read", user).await);
            let token = &self.stage.people[user].token;
            let mine = self.server().call("GET", "/rooms/mine?limit=200", token, Value::Null);
            let mine = mine.await.1;
            let listed = mine["rooms"].as_array().into_iter().flatten();
            let listed = listed.filter(|one| one["room"]["id"] == json!(room.id));
            let listed: Vec<_> = listed.map(|one| one["read"].clone()).collect();
            if says != expected || listed != [expected.clone()] {
                return Err(format!("{user}: {says} and {listed:?}, expected was {expected}"));
            }
        }
        let heard = self.devices.iter().filter(|device| room.has(device.user));
        for device in heard {
            let view = device.views.get(&room.id).filter(|view| view.hears);
            let (known, read) = (view.map(|view| view.read), room.read_by(device.user));
            if known.is_some_and(|known| known != read) {
                return Err(format!("a device knows {known:?} as read, expected was {read}"));
            }
        }
        Ok(())
    }

    /// The members that there are, and who of them is there.
    pub(super) fn expected_members(&self, room: &Room) -> Members {
        let members = room.roles.iter().map(|(user, role)| {
            let here = self.devices.iter().filter(|device| {
                device.user == *user && device.is_connected() && device.hears(&room.id)
            });
            let (devices, away) =
                here.fold((0, true), |(count, away), device| (count + 1, away && device.away));
            let state = match (devices, away) {
                (0, _) => "offline",
                (_, true) => "away",
                (_, false) => "online",
            };
            let (role, state) = ((*role).to_owned(), state.to_owned());
            (self.stage.people[*user].id.clone(), Seen { role, state, devices })
        });
        members.collect()
    }

    pub(super) async fn page(&self, room: &Room, path: &str, reader: Who) -> Value {
        let path = format!("/rooms/{}/{path}", room.id);
        let token = &self.stage.people[reader].token;
        self.server().call("GET", &path, token, Value::Null).await.1
    }

    /// Everything that everybody knows of every room is the same, and what the model says.
    pub(super) async fn check(&mut self) -> Result<(), Broken> {
        self.sessions_end().await;
        for room in 0..self.rooms.len() {
            let room = self.rooms[room].clone();
            if !room.is_whole() {
                return Err(format!("the numbers of a room have a gap: {room:?}"));
            }
            for device in 0..DEVICES {
                self.hear_all(device, &room).await?;
            }
            let expected = self.expected_members(&room);
            if let Some(reader) = room.roles.keys().next().copied() {
                self.compare_with_http(&room, reader, &expected).await?;
            }
            self.compare_positions(&room).await?;
            for device in &self.devices {
                self.compare_view(device, &room, &expected)?;
            }
        }
        Ok(())
    }

    /// A device hears whatever a room has said by now.
    async fn hear_all(&mut self, device: usize, room: &Room) -> Result<(), Broken> {
        let device = &mut self.devices[device];
        if !device.is_connected() || !device.hears(&room.id) {
            return Ok(());
        }
        if room.has(device.user) {
            let members = device.members(&room.id).await?;
            let view = &device.views[&room.id];
            let known = &view.members;
            // It may have heard of the end of its membership, and another device begun one since.
            if view.hears && *known != members {
                return Err(format!("{known:?} are known of {members:?}"));
            }
        } else if device.members(&room.id).await.is_ok() {
            return Err(format!("somebody reads the members of {} who is none", room.id));
        }
        Ok(())
    }

    async fn compare_with_http(
        &self,
        room: &Room,
        reader: Who,
        expected: &Members,
    ) -> Result<(), Broken> {
        let page = self.page(room, "members?limit=200", reader).await;
        let listed = || page["members"].as_array().into_iter().flatten();
        let members: Members = listed().map(Seen::of).collect();
        if members != *expected {
            return Err(format!("HTTP says {members:?}, expected was {expected:?}"));
        }
        let muted = listed().filter(|member| member["muted"] == true);
        let muted: Vec<_> = muted.map(|member| text(&member["id"])).collect();
        let silent =
            room.roles.iter().filter(|(who, role)| room.muted.contains(who) && **role != "owner");
        let mut silent: Vec<_> =
            silent.map(|(who, _)| self.stage.people[*who].id.clone()).collect();
        silent.sort_unstable();
        if muted != silent {
            return Err(format!("HTTP says that {muted:?} are muted, expected were {silent:?}"));
        }
        let mut said = BTreeMap::new();
        while (said.len() as u64) < room.end() {
            let path = format!("messages?limit=200&after={}", said.len());
            let page = self.page(room, &path, reader).await;
            let messages = page["messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Err(format!("HTTP has {} of {} messages", said.len(), room.end()));
            }
            let numbered = messages.iter().map(|one| (one["seq"].as_u64(), Said::of(one)));
            said.extend(numbered.filter_map(|(seq, one)| Some((seq?, one))));
        }
        let expected = room.said(reader, &self.stage.people);
        let different = said.iter().zip(&expected).find(|(said, expected)| said != expected);
        match different {
            None if said.len() == expected.len() => Ok(()),
            _ => Err(format!("HTTP says, and expected is: {different:?}")),
        }
    }

    fn compare_view(&self, device: &Device, room: &Room, expected: &Members) -> Result<(), Broken> {
        let Some(view) = device.views.get(&room.id).filter(|view| view.hears) else {
            return Ok(());
        };
        if !room.has(device.user) {
            return Err(format!("somebody hears {} who is no member", room.id));
        }
        if view.members != *expected {
            return Err(format!("{:?} are known, expected was {expected:?}", view.members));
        }
        let first = view.messages.keys().next().copied().unwrap_or(room.end() + 1);
        let mut expected = room.said(device.user, &self.stage.people);
        let expected = expected.split_off(&first);
        let different = view.messages.iter().zip(&expected).find(|(said, one)| said != one);
        match different {
            None if view.messages.len() == expected.len() => Ok(()),
            None => Err(format!("{} of {} are known", view.messages.len(), expected.len())),
            Some(_) => Err(format!("a device knows, and expected is: {different:?}")),
        }
    }
}
