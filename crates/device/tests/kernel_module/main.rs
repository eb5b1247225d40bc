//! The kernel module of `testbed/module` against the rules of the kernel's migration interface, by the calls of
//! `vfio-migration-uapi`. Where there is no such device the tests say so and are skipped.
#![cfg(target_os = "linux")]

mod all_at_once;
mod arcs;
mod bench;
mod damage;
mod data;
mod dma;
mod faults;
mod interrupt;
mod open_device;
mod pre_copy;
mod trackers;
mod tracking;
