//! The wire against a real sshd on loopback, through a proxy that cuts connections.

#[path = "remote/edges.rs"]
mod edges;
#[path = "remote/keys.rs"]
mod keys;
#[path = "remote/lost.rs"]
mod lost;
#[path = "remote/sshd.rs"]
mod sshd;
#[path = "remote/users.rs"]
mod users;
#[path = "remote/work.rs"]
mod work;
