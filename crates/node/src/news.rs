//! What a session has to say to JavaScript, which asks for it: nothing of JavaScript's is called from another thread.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use napi_derive::napi;
use vfio_migration::Event;

use crate::promise::Answer;

/// What a hook answers, in the words of the engine.
pub(crate) type HookResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A hook of the caller that is to be called now.
#[napi(object, object_from_js = false)]
pub struct BindingHookCall {
    /// To be given with the answer.
    pub id: u32,
    /// `pause`, `unpause`, `configure` or `takeOver`.
    pub name: String,
    /// For `pause`: how many bytes pre-copy left to do; absent is unknown.
    pub left: Option<u64>,
    /// For `unpause`: the worst outcome of all devices.
    pub outcome: Option<String>,
}

/// What happened since the last question.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct BindingNews {
    /// Events, each as JSON.
    pub events: Vec<String>,
    /// Hooks to call.
    pub hooks: Vec<BindingHookCall>,
    /// Whether the session is over; nothing comes after that.
    pub over: bool,
}

/// A queue of news and the question that waits for it.
#[derive(Default)]
pub(crate) struct News {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    hooks: Vec<BindingHookCall>,
    called: HashMap<u32, Sender<HookResult>>,
    last_id: u32,
    over: bool,
    /// JavaScript is gone, so hooks are not called any more.
    deaf: bool,
    asked: Option<Answer<BindingNews>>,
}

impl News {
    /// Answers as soon as there is something to say.
    pub(crate) fn ask(&self, answer: Answer<BindingNews>) {
        let mut state = self.lock();
        state.asked = Some(answer);
        state.tell();
    }

    pub(crate) fn event(&self, event: Event) {
        let mut state = self.lock();
        state.events.push_back(event);
        state.tell();
    }

    pub(crate) fn over(&self) {
        let mut state = self.lock();
        state.over = true;
        state.tell();
    }

    /// Has JavaScript call a hook, and waits for its answer.
    pub(crate) fn hook(&self, name: &str, left: Option<u64>, outcome: Option<String>) -> HookResult {
        let (to, from) = channel();
        let mut state = self.lock();
        if state.deaf {
            return Err("JavaScript has ended".into());
        }
        state.last_id = state.last_id.wrapping_add(1);
        let id = state.last_id;
        state.called.insert(id, to);
        state.hooks.push(BindingHookCall { id, name: name.to_owned(), left, outcome });
        state.tell();
        drop(state);
        from.recv().unwrap_or_else(|_| Err("JavaScript has ended".into()))
    }

    /// The answer of a hook: nothing, or what went wrong.
    pub(crate) fn answer_hook(&self, id: u32, error: Option<String>) {
        if let Some(to) = self.lock().called.remove(&id) {
            let _ = to.send(error.map_or(Ok(()), |error| Err(error.into())));
        }
    }

    /// JavaScript is gone: every hook that waits, and every one after it, fails.
    pub(crate) fn deafen(&self) {
        let mut state = self.lock();
        state.deaf = true;
        state.called.clear();
        state.asked = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self) {
        if self.events.is_empty() && self.hooks.is_empty() && !self.over {
            return;
        }
        if let Some(answer) = self.asked.take() {
            let (events, hooks, over) = (mem::take(&mut self.events), mem::take(&mut self.hooks), self.over);
            answer.make(move |_| {
                let events = events.iter().map(|event| serde_json::to_string(event).expect("an event is plain data"));
                Ok(BindingNews { events: events.collect(), hooks, over })
            });
        }
    }
}
