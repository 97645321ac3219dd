//! The model: what is asked of rooms, and what plain rules make of it; and the world in which it is asked.

mod client;
mod plain;
mod steps;
mod world;
mod writes;

pub(crate) use steps::{Step, steps};
pub(crate) use world::World;
