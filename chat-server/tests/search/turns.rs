//! Who may search at a time.

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{Code, Engine, NewRoom, RoomId, StoreError, User, UserId};
use chat_server::search::{Extent, Found, Place as Spot, Query, Search, SearchIndex};
use tokio::sync::{Semaphore, watch};

use super::{query, user};

/// An index in which every search takes until it is let go.
struct Slow {
    under_way: watch::Sender<usize>,
    let_go: Semaphore,
}

impl Slow {
    async fn find<N>(&self) -> Result<Found<N>, StoreError> {
        self.under_way.send_modify(|count| *count += 1);
        self.let_go.acquire().await.unwrap().forget();
        self.under_way.send_modify(|count| *count -= 1);
        Ok(Found { messages: Vec::new(), next: None })
    }

    async fn until_under_way(&self, count: usize) {
        self.under_way.subscribe().wait_for(|now| *now == count).await.unwrap();
    }
}

#[async_trait]
impl SearchIndex for Slow {
    async fn find(
        &self,
        _: RoomId,
        _: &Query,
        _: Option<u64>,
        _: usize,
    ) -> Result<Found<u64>, StoreError> {
        self.find().await
    }

    async fn find_of(
        &self,
        _: UserId,
        _: &Query,
        _: Option<Spot>,
        _: usize,
    ) -> Result<Found<Spot>, StoreError> {
        self.find().await
    }
}

#[tokio::test]
async fn whoever_searches_without_pause_leaves_others_their_turn() {
    let index = Arc::new(Slow { under_way: watch::Sender::new(0), let_go: Semaphore::new(0) });
    let engine = Engine::builder().threads(1).start().unwrap();
    let search = Search::new(engine.clone(), Arc::clone(&index) as _);
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = engine.open_room(&ann, NewRoom::open("a room").unwrap()).await.unwrap().id();
    let (query, extent) = (query("needle"), Extent { limit: 9, context: 0 });
    let everywhere = async |user: &User| {
        let found = search.everywhere(user, &query, None, extent).await;
        found.map(drop).map_err(|error| error.code())
    };
    let in_room = async |user: &User| {
        let found = search.in_room(user, room, &query, None, extent).await;
        found.map(drop).map_err(|error| error.code())
    };
    for _ in 0..2 {
        // The first two take all turns there are.
        let hers = async { tokio::join!(everywhere(&ann), in_room(&ann)) };
        let others = async {
            index.until_under_way(2).await;
            for _ in 0..100 {
                assert_eq!(everywhere(&ann).await, Err(Code::Busy));
                assert_eq!(in_room(&ann).await, Err(Code::Busy), "wherever she searches");
            }
            // His waits for one of hers.
            index.let_go.add_permits(3);
            assert_eq!(everywhere(&bob).await, Ok(()));
        };
        // When they are done, she searches again.
        assert_eq!(tokio::join!(hers, others), ((Ok(()), Ok(())), ()));
    }
    engine.stop().await;
}
