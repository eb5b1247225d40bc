//! One end of one run, in a process of its own: this program, started again.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use vfio_migration::{RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source};

use crate::device::{BenchDevice, buffer};
use crate::pump;

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mover {
    /// A raw pump.
    A,
    /// A raw pump with CRC32C at both ends.
    B,
    /// The engine.
    Ours,
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Unix,
    Tcp,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) mover: Mover,
    pub(crate) carrier: Carrier,
    pub(crate) size: u64,
    pub(crate) chunk: u32,
}

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// Peak resident size of both ends, in bytes.
    pub(crate) peak: [u64; 2],
}

impl Run {
    /// Runs both ends as processes.
    pub(crate) fn measure(self) -> Result<Measured, Box<dyn Error>> {
        let mut destination = self.start("destination", None)?;
        let mut says = BufReader::new(destination.stdout.take().ok_or("no standard output")?);
        let mut place = String::new();
        says.read_line(&mut place)?;
        let source = self.start("source", Some(place.trim()))?;
        let source = source.wait_with_output()?;
        let mut rest = String::new();
        says.read_to_string(&mut rest)?;
        if !destination.wait()?.success() || !source.status.success() {
            return Err(format!("{self:?} failed").into());
        }
        let (source, destination): (Value, Value) =
            (serde_json::from_slice(&source.stdout)?, serde_json::from_str(&rest)?);
        let peak = |end: &Value| end["peak"].as_u64().ok_or("no peak");
        let seconds = source["seconds"].as_f64().ok_or("no seconds")?;
        Ok(Measured { seconds, peak: [peak(&source)?, peak(&destination)?] })
    }

    fn start(self, end: &str, place: Option<&str>) -> std::io::Result<Child> {
        let Self { mover, carrier, size, chunk } = self;
        let (mover, carrier) = (format!("{mover:?}"), format!("{carrier:?}"));
        let numbers = [size.to_string(), chunk.to_string()];
        Command::new(std::env::current_exe()?)
            .args(["--end", end, &mover, &carrier])
            .args(numbers)
            .args(place)
            .stdout(Stdio::piped())
            .spawn()
    }

    /// What [`start`](Self::start) has written on the command line.
    pub(crate) fn parse(words: &[String]) -> Option<(Self, String, Option<String>)> {
        let [end, mover, carrier, size, chunk, place @ ..] = words else { return None };
        let mover = [Mover::A, Mover::B, Mover::Ours].into_iter().find(|known| format!("{known:?}") == *mover)?;
        let carrier = [Carrier::Unix, Carrier::Tcp].into_iter().find(|known| format!("{known:?}") == *carrier)?;
        let run = Self { mover, carrier, size: size.parse().ok()?, chunk: chunk.parse().ok()? };
        Some((run, end.clone(), place.first().cloned()))
    }

    /// Is one end, and says on standard output what it has seen.
    pub(crate) fn be(self, end: &str, place: Option<&str>) -> Result<(), Box<dyn Error>> {
        match (end, place) {
            ("source", Some(place)) => {
                let device = BenchDevice::new(self.size);
                let data = buffer();
                let (started, seconds);
                match self.carrier {
                    Carrier::Unix => {
                        let socket = UnixStream::connect(place)?;
                        started = Instant::now();
                        self.send(socket, &data, device)?;
                    }
                    Carrier::Tcp => {
                        let socket = TcpStream::connect(place)?;
                        socket.set_nodelay(true)?;
                        started = Instant::now();
                        self.send(socket, &data, device)?;
                    }
                }
                seconds = started.elapsed().as_secs_f64();
                println!("{}", json!({ "seconds": seconds, "peak": peak()? }));
            }
            ("destination", None) => {
                let device = BenchDevice::new(0);
                let mut sink = buffer();
                match self.carrier {
                    Carrier::Unix => {
                        let path = socket_path();
                        let listener = UnixListener::bind(&path)?;
                        say(&path.display().to_string())?;
                        let (socket, _) = listener.accept()?;
                        std::fs::remove_file(&path)?;
                        self.receive(socket, &mut sink, device)?;
                    }
                    Carrier::Tcp => {
                        let listener = TcpListener::bind("127.0.0.1:0")?;
                        say(&listener.local_addr()?.to_string())?;
                        let (socket, _) = listener.accept()?;
                        socket.set_nodelay(true)?;
                        self.receive(socket, &mut sink, device)?;
                    }
                }
                println!("{}", json!({ "peak": peak()? }));
            }
            _ => return Err("an end is a source with a place, or a destination".into()),
        }
        Ok(())
    }

    fn send<S: Read + Write + Into<OwnedFd>>(
        self,
        mut socket: S,
        data: &[u8],
        device: BenchDevice,
    ) -> Result<(), Box<dyn Error>> {
        let chunk = usize::try_from(self.chunk)?;
        match self.mover {
            Mover::A => Ok(pump::send(&mut socket, data, self.size, chunk, false)?),
            Mover::B => Ok(pump::send(&mut socket, data, self.size, chunk, true)?),
            Mover::Ours => {
                let options = SaveOptions { chunk: self.chunk, ..SaveOptions::default() };
                let mut save = SaveBuilder::new(options);
                save.device("bench", Box::new(device));
                let finished = save.start(Sink::fd(socket.into())?)?.wait();
                finished.failure.map_or(Ok(()), |error| Err(error.into()))
            }
        }
    }

    fn receive<S: Read + Write + Into<OwnedFd>>(
        self,
        mut socket: S,
        sink: &mut [u8],
        device: BenchDevice,
    ) -> Result<(), Box<dyn Error>> {
        let chunk = usize::try_from(self.chunk)?;
        match self.mover {
            Mover::A => Ok(pump::receive(&mut socket, sink, self.size, chunk, false)?),
            Mover::B => Ok(pump::receive(&mut socket, sink, self.size, chunk, true)?),
            Mover::Ours => {
                let mut restore = RestoreBuilder::new(RestoreOptions::default());
                restore.device("bench", Box::new(device));
                let finished = restore.start(Source::fd(socket.into())?)?.wait();
                finished.failure.map_or(Ok(()), |error| Err(error.into()))
            }
        }
    }
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

fn socket_path() -> PathBuf {
    std::env::temp_dir().join(format!("vfio-migration-benchmark-{}.sock", std::process::id()))
}

/// Peak resident size of this process, in bytes.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
