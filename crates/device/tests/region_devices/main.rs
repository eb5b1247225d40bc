//! The client of a migration region, against software devices and against devices that break the rules.
#![forbid(unsafe_code)]

mod bad_regions;
mod direct;
mod faults;
mod moves;
mod scripted;
mod states;
