//! What went wrong, for the caller: a stable code, one sentence, the device's state, and what to do about it.

use std::fmt;
use std::io;

use serde::Serialize;
use vfio_migration_device::{self as device, KernelError, OpenError};
use vfio_migration_protocol::session::{Failure, Fault, NotNow};
use vfio_migration_protocol::{CallError, Errno, State};

/// Something failed: who must act is the [`code`](Error::code), what was being done the [`what`](Error::what).
///
/// ```
/// use vfio_migration::{Code, Error};
/// let error = Error::new(Code::Exists, "cannot write gpu0.state: the file exists");
/// assert_eq!(error.code.as_str(), "ERR_VFIO_EXISTS");
/// assert!(error.to_string().starts_with("cannot write gpu0.state: the file exists ("));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Who must act.
    pub code: Code,
    /// What was being done and what came of it: one sentence without a full stop.
    pub what: String,
    /// The object it happened to, by its id.
    pub object: Option<String>,
    /// What the device says now, where one failed and still answers.
    pub state: Option<State>,
    /// What a call answered, where one did.
    pub errno: Option<Errno>,
    /// What the caller can do about it, where more is known than the code says.
    pub remedy: Option<String>,
}

impl Error {
    /// An error of which only the code and the sentence are known.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), object: None, state: None, errno: None, remedy: None }
    }

    /// What the caller can do about it: one sentence.
    pub fn remedy(&self) -> &str {
        self.remedy.as_deref().unwrap_or(self.code.remedy())
    }

    /// A call to a log of dirty pages ([`DirtyLog`](device::DirtyLog)) that failed: because of what the caller asked for, if
    /// `asked_wrongly`, because nothing tracks, or because a tracker did. Only who made the call can know the first: a tracker
    /// may answer `EINVAL` too.
    ///
    /// ```
    /// use vfio_migration::device::{DirtyLog, open};
    /// use vfio_migration::{Code, Error};
    /// let mut opened = open("model:size=1MiB", None)?;
    /// let failed = DirtyLog::start(&mut opened.trackers, Vec::new(), 4096).map_err(|error| {
    ///     Error::dirty_log("cannot log dirty pages", &error, false)
    /// });
    /// assert_eq!(failed.err().map(|error| error.code), Some(Code::Unsupported));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dirty_log(doing: &str, error: &CallError, asked_wrongly: bool) -> Self {
        let (code, remedy) = match error.errno {
            _ if asked_wrongly => (Code::Usage, None),
            Errno::EOPNOTSUPP => {
                let lend = "lend it the tracking of its container or of its page table, if memory is mapped there";
                (Code::Unsupported, Some(lend.to_owned()))
            }
            _ => (Code::MemoryFailed, None),
        };
        Self { errno: Some(error.errno), remedy, ..Self::new(code, format!("{doing}: {error}")) }
    }

    pub(crate) fn io(code: Code, what: impl fmt::Display, error: &io::Error) -> Self {
        let errno = error.raw_os_error().map(Errno::from_linux);
        Self { errno, ..Self::new(code, format!("{what}: {error}")) }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.remedy())
    }
}

impl std::error::Error for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (errno, detail) = failure.error.map(|error| (error.errno, error.detail)).unzip();
        let what = match detail.flatten() {
            // Which of its registers is wrong, say: the errno is the same for all of them.
            Some(detail) => format!("{}: {detail}", failure.what),
            None => failure.what,
        };
        Self { code: failure.fault.into(), what, object: failure.object, state: None, errno, remedy: None }
    }
}

/// A device that was not opened.
impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Kernel(error) => error.into(),
            other => {
                let remedy = other.remedy().map(str::to_owned);
                Self { remedy, ..Self::new(other.fault().into(), other.what()) }
            }
        }
    }
}

impl From<KernelError> for Error {
    fn from(KernelError { fault, what, remedy, errno }: KernelError) -> Self {
        Self { remedy: Some(remedy), errno, ..Self::new(fault.into(), what) }
    }
}

impl From<NotNow> for Error {
    fn from(not_now: NotNow) -> Self {
        match not_now {
            NotNow::TooLate => Self::new(Code::TooLate, "the guest was given up already"),
            NotNow::NotInDoubt => Self::usage("this can be asked for only while the session is in doubt"),
            NotNow::Ending => Self::usage("the session is ending already"),
        }
    }
}

/// Names and remedies of all codes, in one place, so that docs, binding and command line cannot disagree.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $remedy:literal;)*) => {
        /// Who must act. The texts are API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* #[doc = concat!("(`", $text, "`)")] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The text that stands for it everywhere: `ERR_VFIO_...`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What the caller can do about it: one sentence.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

codes! {
    /// A device refused a call or failed.
    DeviceFailed = "ERR_VFIO_DEVICE_FAILED", "look at the device's state in the report and act on the device itself";
    /// Guest memory or a tracker of dirty pages failed.
    MemoryFailed = "ERR_VFIO_MEMORY_FAILED", "check that the guest's memory is mapped and its trackers are usable";
    /// The peer broke the rules or fell silent.
    Peer = "ERR_VFIO_PEER", "look at the other end's report; both ends must speak the same version";
    /// The peer said that it cannot go on.
    Refused = "ERR_VFIO_REFUSED", "mend what the other end names, then start again";
    /// The stream is damaged or out of order.
    StreamCorrupt = "ERR_VFIO_STREAM_CORRUPT", "save again: nothing of this stream after the damage can be used";
    /// The stream ends before its end.
    StreamTruncated = "ERR_VFIO_STREAM_TRUNCATED", "save again: the stream was cut short";
    /// The stream does not fit what is here.
    Incompatible = "ERR_VFIO_INCOMPATIBLE", "restore into devices and memory like those of the source";
    /// The connection or the file failed.
    Transport = "ERR_VFIO_TRANSPORT", "check the connection, the path and the space left, then start again";
    /// A hook of the caller failed.
    Hook = "ERR_VFIO_HOOK", "mend the hook; its own words stand in the message";
    /// The caller asked for something that cannot be.
    Usage = "ERR_VFIO_USAGE", "mend the call; nothing was changed";
    /// The caller cancelled.
    Cancelled = "ERR_VFIO_CANCELLED", "nothing to mend: this is what was asked for";
    /// A wait passed its deadline.
    Deadline = "ERR_VFIO_DEADLINE", "find out what hangs, or allow more time";
    /// The guest was given up already.
    TooLate = "ERR_VFIO_TOO_LATE", "wait for the session to end; the other end may have the guest";
    /// It cannot be known which end owns the guest.
    InDoubt = "ERR_VFIO_IN_DOUBT", "ask the other end who has the guest, then take back, claim or discard";
    /// A device, an address or a file descriptor that cannot be served.
    Unsupported = "ERR_VFIO_UNSUPPORTED", "use a device or an address of a kind that is supported";
    /// This host lacks something or does not permit it.
    Host = "ERR_VFIO_HOST", "check permissions, limits and what the kernel offers";
    /// This platform cannot do it.
    Platform = "ERR_VFIO_PLATFORM", "use Linux for this";
    /// A file stands there already.
    Exists = "ERR_VFIO_EXISTS", "choose another name, or ask for the file to be overwritten";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<Fault> for Code {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Device => Self::DeviceFailed,
            Fault::Memory => Self::MemoryFailed,
            Fault::Peer => Self::Peer,
            Fault::Refused => Self::Refused,
            Fault::Corrupt => Self::StreamCorrupt,
            Fault::Truncated => Self::StreamTruncated,
            Fault::Incompatible => Self::Incompatible,
            Fault::Transport => Self::Transport,
            Fault::Hook => Self::Hook,
            Fault::Usage => Self::Usage,
            Fault::Cancelled => Self::Cancelled,
            Fault::Deadline => Self::Deadline,
        }
    }
}

impl From<device::Fault> for Code {
    fn from(fault: device::Fault) -> Self {
        match fault {
            device::Fault::Usage => Self::Usage,
            device::Fault::Unsupported => Self::Unsupported,
            device::Fault::Host => Self::Host,
            device::Fault::Device => Self::DeviceFailed,
            device::Fault::Platform => Self::Platform,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_was_not_opened_says_who_must_act_and_what_to_do() {
        for (address, code, remedy) in [
            ("model", Code::Usage, Code::Usage.remedy()),
            ("floppy:0", Code::Unsupported, Code::Unsupported.remedy()),
            ("mdev:5", Code::Usage, "'ls /sys/bus/mdev/devices' shows them"),
        ] {
            let refused = device::open(address, None).unwrap_err();
            let words = refused.to_string();
            let error = Error::from(refused);
            assert_eq!((error.code, error.remedy()), (code, remedy), "{address}");
            assert!(words.starts_with(&error.what), "{words}");
        }
    }

    #[test]
    fn of_a_log_that_failed_it_is_said_who_must_act() {
        let failed = |errno, asked_wrongly| Error::dirty_log("cannot read", &CallError::new(errno), asked_wrongly);
        for (errno, asked_wrongly, code) in [
            (Errno::EINVAL, true, Code::Usage),
            // A tracker's own answer is not the caller's mistake.
            (Errno::EINVAL, false, Code::MemoryFailed),
            (Errno::EIO, false, Code::MemoryFailed),
            (Errno::EOPNOTSUPP, false, Code::Unsupported),
        ] {
            let error = failed(errno, asked_wrongly);
            assert_eq!((error.code, error.errno), (code, Some(errno)));
            assert!(error.what.starts_with("cannot read: "), "{error}");
        }
        assert!(failed(Errno::EOPNOTSUPP, false).remedy().starts_with("lend it the tracking"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_call_answered_is_kept() {
        let error = Error::from(device::open("pidfd:2147483647:3", None).unwrap_err());
        assert_eq!((error.code, error.errno), (Code::Usage, Some(Errno::from_linux(3))), "{error}");
        assert_eq!(error.remedy(), "name a process that runs");
    }
}
