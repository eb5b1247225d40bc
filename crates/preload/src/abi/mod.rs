//! The edge to the program: the functions that stand in front of libc's, and the table that tells which fds are ours.
//!
//! | module | what it knows |
//! |---|---|
//! | [`symbols`] | the functions, by what they do |
//! | [`serve`] | how a call is answered: by a node, else by libc |
//! | [`process`] | what this process serves, over fork and exec |
//! | [`table`] | which fd is which node |
//! | [`descriptor`] | the fds themselves: what they are made of, and what they tell another process |
//! | [`environment`] | what is asked for |
//! | [`check`], [`imports`] | that the program's calls reach us |
//! | [`real`] | libc's own functions |
//! | [`voice`] | lines on standard error |
//!
//! In a program that asks for nothing, every call goes to libc.

mod check;
mod descriptor;
mod environment;
mod imports;
mod process;
mod real;
mod serve;
mod symbols;
mod table;
mod voice;

/// Called by the loader, before the program begins.
extern "C" fn load() {
    process::inside(|| {
        if process::start() {
            check::check();
        }
    });
}

#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;
