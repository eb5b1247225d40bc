//! QEMU's files: those that it wrote are read to the last byte, and whatever else the bytes are, something true is said.

mod config;
mod damage;
mod file;
mod framing;
mod generated;
mod multifd;
mod seen;
mod vfio;
