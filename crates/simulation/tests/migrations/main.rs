//! Whole migrations, simulated: where everything goes well, and where everything that can go wrong does.

mod chance;
mod courses_as_data;
mod doubt;
mod everything_moves;
mod faults_at_every_call;
mod links_that_fail;
mod peers_that_break_the_rules;
mod pre_copy_ends;
mod regions_fail;
mod regions_in_doubt;
mod regions_move;
mod reports;
mod scenarios_as_text;
mod scenarios_have_bounds;
mod states_found;
mod sweep;
mod the_checks_can_fail;
mod wishes_at_every_step;
