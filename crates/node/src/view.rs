//! Buffers of JavaScript that Rust fills, and a count of them.

use std::sync::atomic::{AtomicU32, Ordering};

use napi::Env;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

static BUFFERS: AtomicU32 = AtomicU32::new(0);

/// How many buffers with payload have crossed between Rust and JavaScript since the addon was loaded, in all threads: 0
/// as long as only the native path was used.
#[napi]
pub fn buffers_for_java_script() -> u32 {
    BUFFERS.load(Ordering::Relaxed)
}

/// Counts a buffer with payload that crosses.
pub(crate) fn count_buffer() {
    BUFFERS.fetch_add(1, Ordering::Relaxed);
}

/// A buffer that JavaScript lends until the promise is settled. The facade takes it from a byte stream's request, whose
/// buffer was transferred to the stream, or makes a fresh one that it shows to nobody before, so that no JavaScript can
/// reach it meanwhile.
pub(crate) struct View(Uint8Array);

impl View {
    pub(crate) fn new(view: Uint8Array) -> Self {
        count_buffer();
        Self(view)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: no JavaScript reaches the buffer while it is lent (see the type), the reference that `Uint8Array` holds
        // keeps it alive, and `&mut self` makes this the only reference from Rust.
        unsafe { self.0.as_mut() }
    }

    /// Gives the buffer back, on JavaScript's thread.
    pub(crate) fn give_back(self, env: Env) {
        let Self(view) = self;
        lent_back(view, env);
    }
}

#[cfg(not(target_family = "wasm"))]
fn lent_back(view: Uint8Array, _env: Env) {
    drop(view);
}

/// Here the view was a copy of JavaScript's buffer.
#[cfg(target_family = "wasm")]
fn lent_back(mut view: Uint8Array, env: Env) {
    view.sync(&env);
}
