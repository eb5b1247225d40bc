use core::fmt;

use crate::{Errno, State};

/// The call of a line that is no call: what the device knows.
pub const NOTE: &str = "note";

/// One call, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    call: Box<str>,
    arguments: Vec<Box<str>>,
    answer: Answer,
    device: Option<Box<str>>,
    state: Option<State>,
}

/// What came of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It succeeded and gave nothing.
    #[default]
    Done,
    /// It succeeded and gave this, one word or more.
    Gave(Vec<Box<str>>),
    /// It failed.
    Failed(Errno),
}

impl Access {
    /// A call without a device, a state or an argument, that succeeded and gave nothing. What is no single word of a trace is
    /// written as one, here and everywhere below: blanks become `_`.
    pub fn new(call: &str) -> Self {
        let (arguments, answer, device, state) = (Vec::new(), Answer::Done, None, None);
        Self { call: word(call), arguments, answer, device, state }
    }

    /// What the device knows, under a name: a line that is no call.
    pub fn note(name: &str) -> Self {
        Self::new(NOTE).with(name)
    }

    /// With the device that was called.
    #[must_use]
    pub fn of(mut self, device: impl fmt::Display) -> Self {
        self.device = Some(word(device));
        self
    }

    /// With the state in which the device was before.
    #[must_use]
    pub const fn within(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// With one more argument.
    #[must_use]
    pub fn with(mut self, argument: impl fmt::Display) -> Self {
        self.arguments.push(word(argument));
        self
    }

    /// With one more word of what it gave.
    #[must_use]
    pub fn giving(mut self, value: impl fmt::Display) -> Self {
        match &mut self.answer {
            Answer::Gave(words) => words.push(word(value)),
            other => *other = Answer::Gave(vec![word(value)]),
        }
        self
    }

    /// With the error that it failed with.
    #[must_use]
    pub fn failing(mut self, errno: Errno) -> Self {
        self.answer = Answer::Failed(errno);
        self
    }

    /// The call's name.
    pub fn call(&self) -> &str {
        &self.call
    }

    /// Its arguments.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &str> {
        self.arguments.iter().map(|word| &**word)
    }

    /// What came of it.
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The device that was called.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// The state in which the device was before.
    pub const fn state(&self) -> Option<State> {
        self.state
    }

    /// Whether this is no call, but what the device knows.
    pub fn is_note(&self) -> bool {
        self.call() == NOTE
    }

    /// The same without how many bytes there were; whether there were any stays.
    pub(super) fn without_amounts(&self) -> Self {
        let less = |words: &[Box<str>]| words.iter().map(|word| without_amount(word)).collect();
        let answer = match &self.answer {
            Answer::Gave(words) => Answer::Gave(less(words)),
            other => other.clone(),
        };
        Self { arguments: less(&self.arguments), answer, ..self.clone() }
    }

    /// From the words of a line, without those that say how often it came.
    pub(super) fn from_words(words: &[&str]) -> Result<Self, &'static str> {
        let &[device, state, call, ref rest @ ..] = words else {
            return Err("a line has a device, a state and a call: write - for a device or a state that is not known");
        };
        let state = match state {
            "-" => None,
            text => Some(text.parse().map_err(|_| "the second word is no state")?),
        };
        let (arguments, answer) = match rest.iter().position(|word| *word == ARROW) {
            None => (rest, Answer::Done),
            Some(at) => (&rest[..at], Answer::from_words(&rest[at + 1..])?),
        };
        if matches!(call, ARROW | "-") || rest.iter().filter(|word| **word == ARROW).count() > 1 {
            return Err("an arrow stands where there is none: one may follow the arguments of a call");
        }
        if words.iter().any(|word| times(word).is_some()) {
            return Err("a number of times stands at the end of a line, once");
        }
        Ok(Self {
            call: call.into(),
            arguments: arguments.iter().map(|word| (*word).into()).collect(),
            answer,
            device: (device != "-").then(|| device.into()),
            state,
        })
    }
}

impl Answer {
    fn from_words(words: &[&str]) -> Result<Self, &'static str> {
        match words {
            [] => Err("nothing follows the arrow"),
            [word] => Ok(word.parse().map_or_else(|_| Self::Gave(vec![(*word).into()]), Self::Failed)),
            words => Ok(Self::Gave(words.iter().map(|word| (*word).into()).collect())),
        }
    }
}

pub(super) const ARROW: &str = "->";

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.device().unwrap_or("-"))?;
        match self.state {
            // As wide as the longest of them.
            Some(state) => write!(f, "{:<12} ", state.to_string())?,
            None => write!(f, "{:<12} ", "-")?,
        }
        f.write_str(&self.call)?;
        for word in &self.arguments {
            write!(f, " {word}")?;
        }
        match &self.answer {
            Answer::Done => Ok(()),
            Answer::Failed(errno) => write!(f, " {ARROW} {}", one_word(&errno.to_string())),
            Answer::Gave(words) => {
                f.write_str(" ")?;
                f.write_str(ARROW)?;
                words.iter().try_for_each(|word| write!(f, " {word}"))
            }
        }
    }
}

fn word(text: impl fmt::Display) -> Box<str> {
    one_word(&text.to_string()).into()
}

/// The text as one word that a reader takes for nothing else.
fn one_word(text: &str) -> String {
    let mut word: String = text.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
    if word.is_empty() || matches!(&*word, ARROW | "-" | "{" | "}") || word.starts_with('#') || times(&word).is_some() {
        word.insert(0, '_');
    }
    word
}

/// How often a line came, if the word says that.
pub(super) fn times(word: &str) -> Option<u64> {
    let digits = word.strip_prefix('x')?;
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// `65536B` becomes `B`, `initial=65536B` becomes `initial=B`; nothing stays `0B`.
fn without_amount(word: &str) -> Box<str> {
    let at = word.find('=').map_or(0, |place| place + 1);
    let (name, value) = word.split_at(at);
    match value.strip_suffix('B') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let none = digits.bytes().all(|byte| byte == b'0');
            format!("{name}{}", if none { "0B" } else { "B" }).into()
        }
        _ => word.into(),
    }
}
