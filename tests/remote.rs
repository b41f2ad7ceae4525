//! The wire against a real sshd on loopback, through a proxy that cuts connections.

#[path = "remote/algorithms.rs"]
mod algorithms;
#[path = "remote/costs.rs"]
mod costs;
#[path = "remote/edges.rs"]
mod edges;
#[path = "remote/keys.rs"]
mod keys;
#[path = "remote/large.rs"]
mod large;
#[path = "remote/lost.rs"]
mod lost;
#[path = "remote/many.rs"]
mod many;
#[path = "remote/reboots.rs"]
mod reboots;
#[path = "remote/sshd.rs"]
mod sshd;
#[path = "remote/stalls.rs"]
mod stalls;
mod support;
#[path = "remote/users.rs"]
mod users;
#[path = "remote/work.rs"]
mod work;
