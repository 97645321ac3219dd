//! The engine's store in SQL. What every database has in common (which rows a commit writes, what
//! is selected, how a row is read) stands beside this file; what one database does in its own way
//! stands in a folder of its name.

mod names;
mod plan;
mod rows;
mod selects;
mod statement;

mod sqlite;
pub use sqlite::{OpenError, SqliteStore};
