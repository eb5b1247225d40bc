use core::fmt;
use core::str::FromStr;

/// Declares [`Errno`] with Linux's numbers, so that a report reads the same on every platform.
macro_rules! errnos {
    ($($name:ident = $number:literal),* $(,)?) => {
        /// Why a call failed: Linux's error numbers, the same on every platform.
        ///
        /// ```
        /// use vfio_migration_protocol::Errno;
        /// assert_eq!(Errno::from_linux(22), Errno::EINVAL);
        /// assert_eq!(Errno::from_linux(4095).to_string(), "errno 4095");
        /// assert_eq!("EINVAL".parse(), Ok(Errno::EINVAL));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Errno {
            $(#[doc = concat!("errno ", stringify!($number))] $name,)*
            /// A number without a name here.
            Other(i32),
        }

        impl Errno {
            /// From Linux's number.
            pub const fn from_linux(number: i32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            /// Linux's number.
            pub const fn to_linux(self) -> i32 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Other(other) => other,
                }
            }
        }

        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self::Other(other) => write!(f, "errno {other}"),
                }
            }
        }

        impl FromStr for Errno {
            type Err = NotAnErrno;

            fn from_str(text: &str) -> Result<Self, NotAnErrno> {
                match text {
                    $(stringify!($name) => Ok(Self::$name),)*
                    other => {
                        let number = other.strip_prefix("errno").and_then(|rest| rest.strip_prefix([' ', '_']));
                        number.and_then(|digits| digits.parse().ok()).map(Self::from_linux).ok_or(NotAnErrno)
                    }
                }
            }
        }
    };
}

/// The text was no error's name, nor `errno` with a number after a blank or a `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnErrno;

errnos! {
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, E2BIG = 7, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13,
    EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19, EINVAL = 22, ENFILE = 23, EMFILE = 24, ENOTTY = 25,
    EFBIG = 27, ENOSPC = 28, ESPIPE = 29, EPIPE = 32, ENOMSG = 42, EOVERFLOW = 75, EOPNOTSUPP = 95,
    ENOTCONN = 107, ETIMEDOUT = 110, ESTALE = 116,
}

/// A call to a device, a tracker or guest memory that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What the call answered.
    pub errno: Errno,
    /// What the callee says about it, where it says anything: one sentence without a full stop.
    pub detail: Option<Box<str>>,
}

impl CallError {
    /// An error of which only the number is known.
    pub const fn new(errno: Errno) -> Self {
        Self { errno, detail: None }
    }

    /// An error with a sentence about it.
    pub fn because(errno: Errno, detail: impl Into<Box<str>>) -> Self {
        Self { errno, detail: Some(detail.into()) }
    }
}

impl From<Errno> for CallError {
    fn from(errno: Errno) -> Self {
        Self::new(errno)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.errno),
            None => self.errno.fmt(f),
        }
    }
}

impl core::error::Error for CallError {}
