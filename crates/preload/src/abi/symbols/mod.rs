//! The functions of libc's that we stand in front of, in all their variants, by what they do.
//!
//! Some of them take a variable number of arguments in C. Here they take as many as they ever have: on the machines we
//! build for, both kinds of function find these in the same registers.

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("here it is not known how functions with variable arguments are called");

mod close;
mod control;
mod links;
mod map;
mod numbered;
mod open;
mod poll;
mod select;
mod status;
mod transfer;

/// The names of all of ours.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    [
        open::ALL,
        transfer::ALL,
        control::ALL,
        map::ALL,
        close::ALL,
        status::ALL,
        poll::ALL,
        select::ALL,
        numbered::ALL,
        links::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Defines functions that programs call instead of libc's, each under one or more names, and the list of them.
macro_rules! symbols {
    ($( $($name:ident)|+ ($($argument:ident: $type:ty),* $(,)?) $(-> $answer:ty)? $body:block )*) => {
        $( symbols!(@each [$($name)+] { ($($argument: $type),*) $(-> $answer)? $body }); )*

        /// Their names.
        pub(super) static ALL: &[&str] = &[
            $($( stringify!($name), )+)*
        ];
    };
    (@each [$($name:ident)+] $rest:tt) => {
        $( symbols!(@one $name $rest); )+
    };
    (@one $name:ident { $arguments:tt $(-> $answer:ty)? $body:block }) => {
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $name $arguments $(-> $answer)? $body
    };
}
use symbols;
