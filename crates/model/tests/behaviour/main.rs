//! What the model promises, one behaviour a file.
#![forbid(unsafe_code)]

mod a_guest_drives_the_device;
mod bad_data_is_refused;
mod everything_arrives;
mod faults_happen_as_planned;
mod guest_memory_is_memory;
mod pre_copy_sends_what_changed;
mod region;
mod regions_are_documented;
mod regions_are_strict;
mod regions_fail_as_planned;
mod regions_move_everything;
mod settings_are_text;
mod states_follow_the_kernel;
mod the_log_names_every_write;
mod transfer;
