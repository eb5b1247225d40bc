//! Bytes between a session's threads and web streams: the engine's `Write` fills buffers that JavaScript lends, its
//! `Read` takes what JavaScript wrote. One buffer goes out at a time, and what comes in waits up to a bound: that is the
//! back-pressure.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{Object, Uint8Array};
use napi_derive::napi;
use vfio_migration::{Code, Duplex, Error, Sink, Source};

use crate::promise::Answer;
use crate::transport::{BindingSink, BindingSource};
use crate::view::{View, count_buffer};

/// Below this many bytes that nobody has read yet JavaScript may write on at once: enough that neither side waits for the
/// other's turn.
const ROOM: usize = 2 << 20;

/// A read of more bytes is a payload's, all of which is to come: its thread sleeps until it has, and not for each piece.
const PAYLOAD: usize = 64 << 10;

/// How many pieces are kept to be filled again.
const SPARE: usize = 16;

/// One end of a pair of byte streams; the session has the other.
#[napi]
#[derive(Default)]
pub struct BindingPipe {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// A buffer that JavaScript lends for the session's next bytes.
    lent: Option<(View, Answer<u32>)>,
    /// What JavaScript wrote and nobody has read yet, and how many bytes of the first piece were read.
    written: VecDeque<Vec<u8>>,
    done: usize,
    /// Pieces that were read, to be filled again: a fresh one would cost more than the copy.
    spare: Vec<Vec<u8>>,
    /// How many bytes `written` holds, the read ones of its first piece included.
    waiting: usize,
    /// Room of the session's thread, which sleeps until bytes came; then nothing is `written`.
    wanted: Option<Wanted>,
    /// Whom to tell once there is room again.
    full: Option<Answer<()>>,
    /// The session writes nothing more.
    output_over: bool,
    /// JavaScript writes nothing more.
    input_over: bool,
    /// The session reads nothing more. What it still has to say goes out all the same.
    unread: bool,
    /// Why nothing goes either way any more.
    broken: Option<String>,
}

#[napi]
impl BindingPipe {
    /// A pipe that is connected to nothing yet.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// The session's end for a save: connected, or one-way.
    #[napi(catch_unwind)]
    pub fn sink(&self, connected: bool) -> BindingSink {
        let (writer, interrupt) = (Output(self.shared.clone()), self.interrupt());
        BindingSink::new(if connected {
            Sink::duplex(Duplex::new(Input(self.shared.clone()), writer, interrupt))
        } else {
            Sink::writer(writer, interrupt)
        })
    }

    /// The session's end for a restore: connected, or one-way.
    #[napi(catch_unwind)]
    pub fn source(&self, connected: bool) -> BindingSource {
        let (reader, interrupt) = (Input(self.shared.clone()), self.interrupt());
        BindingSource::new(if connected {
            Source::duplex(Duplex::new(reader, Output(self.shared.clone()), interrupt))
        } else {
            Source::reader(reader, interrupt)
        })
    }

    /// Lends a buffer for the session's next bytes; answers how many came, 0 at the end. One at a time.
    #[napi(catch_unwind, ts_return_type = "Promise<number | BindingError>")]
    pub fn pull<'env>(&self, env: &'env Env, into: Uint8Array) -> napi::Result<Object<'env>> {
        let (answer, promise) = Answer::promised(env)?;
        let view = View::new(into);
        let mut state = self.shared.lock();
        if let Some(why) = &state.broken {
            answer.give(Err(Error::new(Code::Transport, why.clone())));
        } else if state.output_over {
            answer.give(Ok(0));
        } else {
            state.lent = Some((view, answer));
            self.shared.news.notify_all();
        }
        Ok(promise)
    }

    /// Hands bytes, copied before this returns, to the session; a promise is settled once there is room for more. One at a
    /// time.
    #[napi(catch_unwind, ts_return_type = "Promise<undefined | BindingError> | null")]
    pub fn push<'env>(&self, env: &'env Env, bytes: &[u8]) -> napi::Result<Option<Object<'env>>> {
        count_buffer();
        let mut state = self.shared.lock();
        let refused = match &state.broken {
            Some(why) => Some(Error::new(Code::Transport, why.clone())),
            None => state.unread.then(unread),
        };
        if let Some(error) = refused {
            let (answer, promise) = Answer::<()>::promised(env)?;
            answer.give(Err(error));
            return Ok(Some(promise));
        }
        let mut rest = bytes;
        if let Some(wanted) = &mut state.wanted {
            rest = wanted.fill(rest);
            if wanted.is_served() {
                self.shared.news.notify_all();
            }
        }
        if !rest.is_empty() {
            state.waiting += rest.len();
            let mut piece = state.spare.pop().unwrap_or_default();
            piece.extend_from_slice(rest);
            state.written.push_back(piece);
        }
        if state.waiting < ROOM {
            return Ok(None);
        }
        let (answer, promise) = Answer::promised(env)?;
        state.full = Some(answer);
        Ok(Some(promise))
    }

    /// JavaScript writes nothing more.
    #[napi(catch_unwind)]
    pub fn end_input(&self) {
        self.shared.lock().input_over = true;
        self.shared.news.notify_all();
    }

    /// Nothing goes either way any more.
    #[napi(catch_unwind)]
    pub fn break_off(&self, why: String) {
        self.shared.break_off(&why);
    }

    fn interrupt(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.break_off("the session has ended its connection")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.news.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn break_off(&self, why: &str) {
        let mut state = self.lock();
        if state.broken.is_some() {
            return;
        }
        state.broken = Some(why.to_owned());
        state.written.clear();
        let (lent, full) = (state.lent.take(), state.full.take());
        drop(state);
        self.news.notify_all();
        if let Some((view, answer)) = lent {
            give_back(view, answer, Err(Error::new(Code::Transport, why)));
        }
        if let Some(answer) = full {
            answer.give(Err(Error::new(Code::Transport, why)));
        }
    }
}

impl State {
    /// Reads what is there, and tells whoever waits for room.
    fn read(&mut self, into: &mut [u8]) -> usize {
        let mut count = 0;
        while let Some(first) = self.written.front()
            && count < into.len()
        {
            let rest = &first[self.done..];
            let now = rest.len().min(into.len() - count);
            into[count..count + now].copy_from_slice(&rest[..now]);
            count += now;
            self.done += now;
            if self.done == first.len() {
                self.waiting -= self.done;
                self.done = 0;
                let piece = self.written.pop_front().filter(|_| self.spare.len() < SPARE);
                self.spare.extend(piece.map(|mut piece| {
                    piece.clear();
                    piece
                }));
            }
        }
        if self.waiting < ROOM
            && let Some(answer) = self.full.take()
        {
            answer.give(Ok(()));
        }
        count
    }
}

/// Room for bytes that a thread sleeps for: what JavaScript writes is copied straight into it.
struct Wanted {
    room: NonNull<u8>,
    len: usize,
    got: usize,
    /// Whether to sleep until all of it is filled.
    whole: bool,
}

// SAFETY: the room is plain bytes, and is reached under the lock of the state alone.
unsafe impl Send for Wanted {}

impl Wanted {
    /// The thread takes it out of the state again before the room ends.
    const fn new(room: &mut [u8], whole: bool) -> Self {
        Self { len: room.len(), got: 0, whole, room: NonNull::from_mut(room).cast() }
    }

    /// Takes as many bytes as there is room for, and returns the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(self.len - self.got));
        // SAFETY: `got` stays below `len`, the length of the slice that this was made of. Its thread sleeps in `read`, which
        // borrows it mutably, until it has taken this out of the state, so that nobody else reaches it.
        unsafe { self.room.add(self.got).copy_from_nonoverlapping(NonNull::from_ref(now).cast(), now.len()) };
        self.got += now.len();
        rest
    }

    /// Whether the thread need not sleep longer.
    const fn is_served(&self) -> bool {
        self.got == self.len || (self.got > 0 && !self.whole)
    }
}

fn give_back(view: View, answer: Answer<u32>, result: Result<u32, Error>) {
    answer.make(move |env| {
        view.give_back(env);
        result
    });
}

fn unread() -> Error {
    Error::new(Code::Transport, "the session reads nothing more")
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, why.to_owned())
}

/// What the session writes to.
struct Output(Arc<Shared>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Ok(0);
        }
        let mut state = self.0.lock();
        let (mut view, answer) = loop {
            if let Some(why) = &state.broken {
                return Err(broken(why));
            }
            match state.lent.take() {
                Some(lent) => break lent,
                None => state = self.0.wait(state),
            }
        };
        drop(state);
        let mut room = view.bytes();
        let whole = room.len();
        for slice in slices {
            let (now, later) = room.split_at_mut(room.len().min(slice.len()));
            now.copy_from_slice(&slice[..now.len()]);
            room = later;
        }
        let count = whole - room.len();
        give_back(view, answer, Ok(u32::try_from(count).unwrap_or(u32::MAX)));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.output_over = true;
        if let Some((view, answer)) = state.lent.take() {
            give_back(view, answer, Ok(0));
        }
    }
}

/// What the session reads from.
struct Input(Arc<Shared>);

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        let mut count = state.read(into);
        if count == into.len() || (count > 0 && into.len() <= PAYLOAD) {
            return Ok(count);
        }
        let whole = into.len() > PAYLOAD;
        state.wanted = Some(Wanted::new(&mut into[count..], whole));
        while !state.wanted.as_ref().is_some_and(Wanted::is_served) && !state.input_over && state.broken.is_none() {
            state = self.0.wait(state);
        }
        // From here on nobody else writes to the room.
        count += state.wanted.take().map_or(0, |wanted| wanted.got);
        match &state.broken {
            Some(why) if count == 0 => Err(broken(why)),
            _ => Ok(count),
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // What is written from now on reaches nobody, and must not wait for a reader.
        let mut state = self.0.lock();
        state.unread = true;
        if let Some(answer) = state.full.take() {
            answer.give(Err(unread()));
        }
    }
}
