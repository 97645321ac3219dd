//! What stands for ids, times and tokens in the examples of the OpenAPI document.

pub(super) const ROOM: &str = "0192f0c1-7a3b-7c4d-8e5f-0a1b2c3d4e5f";
pub(super) const CAROL: &str = "0192f0c1-6b2a-7d3c-9f4e-1a2b3c4d5e6f";
pub(super) const DORA: &str = "0192f0c2-1c4d-7e5f-8a6b-2b3c4d5e6f70";
pub(super) const GROUP: &str = "0192f0c3-2d5e-7f60-9b7c-3c4d5e6f7081";
pub(super) const AT: &str = "2026-01-02T03:04:05.678Z";
/// As much of a token as fits on a line.
pub(super) const TOKEN: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI.c2lnbmF0dXJl";
pub(super) const REFRESH: &str =
    "chat_rt_4f1c2b7d9e60a3854f1c2b7d9e60a3854f1c2b7d9e60a3854f1c2b7d9e60a385";
