//! The stream format: what is written can be read, by us and by others, and nothing else can.

mod comparing;
mod damage;
mod document;
mod golden;
mod inspecting;
mod order;
mod refusals;
mod round_trip;
mod sample;
