//! What the engine promises, one behaviour a file.

mod region_devices_move;
mod regions_that_break_the_rules_have_named_outcomes;
mod regions_that_fail_leave_one_owner;
mod relay;
mod scene;

mod a_blocked_call_is_interrupted;
mod a_cut_connection_leaves_one_owner;
mod a_session_that_does_not_start_gives_all_back;
mod a_silent_peer_is_given_up;
mod call_orders_are_golden;
mod cancelling_brings_everything_back;
mod damaged_streams_are_refused;
mod descriptors_are_asked_what_they_are;
mod doubt_is_for_the_callers_to_settle;
mod events_tell_the_course;
mod files_appear_whole;
mod hooks_are_the_callers;
mod one_process_moves_a_device;
mod one_slow_end_holds_the_other;
mod own_streams_carry_a_session;
mod pipes_carry_a_stream;
mod tcp_stays_at_home_unless_told;
mod the_proof_can_fail;
mod two_processes_move_a_device;
mod unix_sockets_are_private;
