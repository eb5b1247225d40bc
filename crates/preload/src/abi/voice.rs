//! What the library has to say: lines on standard error, under its name.

use core::ffi::c_int;
use core::fmt::{self, Write};

/// A line of at most 1 KiB, written at once and without memory of the heap.
struct Line {
    text: [u8; 1024],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last byte is kept for the end of the line.
        let room = (self.text.len() - 1).saturating_sub(self.length);
        let taken = text.len().min(room);
        self.text[self.length..self.length + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        Ok(())
    }
}

/// Says something that whoever started the program must hear.
pub(super) fn say(what: fmt::Arguments<'_>) {
    let mut line = Line { text: [0; 1024], length: 0 };
    let _ = write!(line, "vfio-migration preload: {what}");
    line.text[line.length] = b'\n';
    // Not through libc: its `write` is ours.
    let _ = rustix::io::write(rustix::stdio::stderr(), &line.text[..=line.length]);
}

/// Says why the program cannot go on, and ends it. What went wrong would otherwise show as wrong data.
pub(super) fn give_up(why: fmt::Arguments<'_>) -> ! {
    say(why);
    // SAFETY: always may be called. Nothing of the program's may run on: no handlers, no destructors.
    unsafe { libc::_exit(STATUS) }
}

/// How a program ends that cannot go on: no shell and no usual program uses it.
pub(super) const STATUS: c_int = 113;
