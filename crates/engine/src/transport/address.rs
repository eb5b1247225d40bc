use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Error;

/// A place that a stream goes to or comes from, as text: a path, `unix:PATH`, `tcp:HOST:PORT`, `fd:N`, or `-` for standard
/// input and output.
///
/// ```
/// use vfio_migration::Address;
/// assert_eq!("tcp:[::1]:4444".parse(), Ok(Address::Tcp { host: "::1".into(), port: 4444 }));
/// assert_eq!("gpu0.state".parse(), Ok(Address::File("gpu0.state".into())));
/// assert_eq!("./tcp:x".parse(), Ok(Address::File("./tcp:x".into())));
/// assert_eq!("tcp:localhost:0".parse::<Address>().unwrap().to_string(), "tcp:localhost:0");
/// assert!("http:example.org".parse::<Address>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A file, a FIFO or a device with this path.
    File(PathBuf),
    /// A unix stream socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// A name or an address; IPv6 without brackets.
        host: String,
        /// The port; 0 takes any when listening.
        port: u16,
    },
    /// A file descriptor that the process was started with.
    Fd(u32),
    /// Standard input or output.
    Stdio,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::usage(format!("'{text}' {what}")));
        if text == "-" {
            return Ok(Self::Stdio);
        }
        if text.is_empty() {
            return wrong("is no address: it is empty");
        }
        if text.contains('\0') {
            return wrong("is no address: it contains a zero byte");
        }
        // A scheme is letters before a colon; whatever has a slash before the first colon is a path.
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => (scheme, rest),
            _ => return Ok(Self::File(text.into())),
        };
        match scheme {
            "unix" if rest.is_empty() => wrong("names no socket: write unix:PATH"),
            "unix" => Ok(Self::Unix(rest.into())),
            "fd" => match rest.parse() {
                Ok(number) if i32::try_from(number).is_ok() => Ok(Self::Fd(number)),
                _ => wrong("names no file descriptor: write fd:N"),
            },
            "tcp" => {
                let Some((host, port)) = rest.rsplit_once(':') else {
                    return wrong("names no port: write tcp:HOST:PORT");
                };
                let Ok(port) = port.parse() else { return wrong("names no port from 0 to 65535") };
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                match bare.unwrap_or(host) {
                    "" => wrong("names no host: write tcp:HOST:PORT"),
                    v6 if bare.is_none() && v6.contains(':') => wrong("needs brackets around its IPv6 address"),
                    host => Ok(Self::Tcp { host: host.into(), port }),
                }
            }
            _ => wrong("has an unknown scheme: use unix:, tcp:, fd:, - or a path (./NAME if it has a colon)"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::Stdio => f.write_str("-"),
        }
    }
}
