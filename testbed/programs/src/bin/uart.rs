//! Uses a serial port of the kernel's sample device mtty as a guest would, through the device's region:
//!
//! `uart UUID PORT send TEXT` sends text, which the port, being its own other end, keeps until it is received;
//! `uart UUID PORT receive` prints all that was kept; `uart UUID PORT scratch [VALUE]` writes the port's scratch register,
//! or prints it. Opening and closing mtty changes nothing in it.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("uart: there is no VFIO here");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{Error, Result, Write as _, stdout};
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;
    use std::process::ExitCode;

    use testbed::open;
    use vfio_migration_uapi::device::region;

    /// Registers of a 16550.
    const DATA: u64 = 0;
    const LINE_STATUS: u64 = 5;
    const SCRATCH: u64 = 7;
    /// In the line status: there is something to receive.
    const DATA_READY: u8 = 0x01;

    /// More than any port of mtty keeps: a device that always says there is more does not hold us.
    const MOST: usize = 1024;

    pub(super) fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        match run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("uart: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run(arguments: &[String]) -> Result<()> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (uuid, number, what) = match words[..] {
            [uuid, number, ref what @ ..] if !what.is_empty() => (uuid, number.parse().map_err(Error::other)?, what),
            _ => return Err(Error::other("usage: uart UUID PORT send TEXT | receive | scratch [VALUE]")),
        };
        let opened = open(&Path::new("/sys/bus/mdev/devices").join(uuid), uuid)?;
        let at = region(opened.device.as_fd(), number)?.offset;
        let port = Port { device: &opened.device, at };
        match *what {
            ["send", text] => text.bytes().try_for_each(|byte| port.write(DATA, byte)),
            ["receive"] => {
                let mut received = Vec::new();
                while received.len() < MOST && port.read(LINE_STATUS)? & DATA_READY != 0 {
                    received.push(port.read(DATA)?);
                }
                stdout().write_all(&received)
            }
            ["scratch"] => writeln!(stdout(), "{}", port.read(SCRATCH)?),
            ["scratch", value] => port.write(SCRATCH, value.parse().map_err(Error::other)?),
            _ => Err(Error::other(format!("uart does not know how to {}", what.join(" ")))),
        }
    }

    struct Port<'a> {
        device: &'a File,
        at: u64,
    }

    impl Port<'_> {
        fn read(&self, register: u64) -> Result<u8> {
            let mut byte = [0];
            self.device.read_exact_at(&mut byte, self.at + register)?;
            Ok(byte[0])
        }

        fn write(&self, register: u64, value: u8) -> Result<()> {
            self.device.write_all_at(&[value], self.at + register)
        }
    }
}
