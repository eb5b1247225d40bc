//! What the engine promises, one behaviour a file.

mod scene;

mod damaged_streams_are_refused;
mod descriptors_are_asked_what_they_are;
mod files_appear_whole;
mod one_process_moves_a_device;
mod pipes_carry_a_stream;
mod unix_sockets_are_private;
