//! The rules of a session, one by one: what each machine asks for, and what it must never ask for, when devices, hooks,
//! trackers or the peer do not do as they ought to.

mod buffers;
mod companions;
mod deadlines;
mod driver;
mod estimates;
mod hostile_peer;
mod in_doubt;
mod lengths;
mod one_way;
mod ownership;
mod refusing;
mod regions;
mod scenes;
mod trackers;
mod way_back;
