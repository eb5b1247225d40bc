//! What goes wrong, and where.

use core::fmt;
use core::str::FromStr;

use vfio_migration_protocol::Estimate;
use vfio_migration_protocol::report::Side;

use crate::scenario::NotAScenario;

/// One thing that goes wrong in a run. Written `where:number:what`, as in `save:12:fails(5)` or `back:3:cut`.
///
/// ```
/// use vfio_migration_simulation::Fault;
/// let fault: Fault = "restore:7:part(1,5)".parse()?;
/// assert_eq!(fault.to_string(), "restore:7:part(1,5)");
/// # Ok::<(), vfio_migration_simulation::NotAScenario>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// At one call of an end.
    Call {
        /// Which end.
        side: Side,
        /// The number of the step, as [`Course::steps`](crate::Course::steps) counts them.
        number: u32,
        /// What happens there.
        what: CallFault,
    },
    /// At one message of the link.
    Link {
        /// Which way it goes.
        direction: Direction,
        /// The number of the message in its direction; the head of the stream is 0.
        number: u32,
        /// What happens there.
        what: LinkFault,
    },
    /// From this step of an end on nothing passes in either direction, and nobody is told.
    Silent {
        /// Which end's step.
        side: Side,
        /// Its number.
        number: u32,
    },
    /// At this step the end dies, with its guest and its devices; the peer sees the connection close.
    Killed {
        /// Which end.
        side: Side,
        /// The number of its step.
        number: u32,
    },
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the source to the destination.
    Forward,
    /// From the destination to the source.
    Back,
}

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// It does nothing and fails with this errno; a hook fails.
    Fails(i32),
    /// A change of state walks so many arcs of its path and fails with this errno. With all of them it is what a kernel
    /// without a free file descriptor does.
    Part(u8, i32),
    /// The device enters its error state, and the call fails.
    Breaks,
    /// The device is gone: this call and all later ones fail, a reset included.
    Vanishes,
    /// The device says that it is in a state that has no name.
    Odd,
    /// A read brings one byte, a write takes one byte at a time.
    Short,
    /// A read brings nothing, without saying why.
    Nothing,
    /// A read says that it brought more than was asked for.
    TooMuch,
    /// A read says that the data ends here.
    Ends,
    /// The call works, in twice the deadline, and takes effect at its start.
    LateAnswer,
    /// The call works, in twice the deadline, and takes effect at its end.
    LateEffect,
    /// The call never returns. It may have taken effect.
    Never,
    /// The device estimates this, with initial data again.
    Says(Estimate),
    /// A tracker chooses this page size.
    PageSize(u64),
    /// A one-way stream could not be made to last, and stands there all the same.
    Maybe,
    /// A change of state or a hook says that it worked and does nothing: no session can help that, and the rules that
    /// are broken then prove that somebody watches.
    Lies,
}

/// What goes wrong at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// It and all after it in this direction are lost. Both ends see the connection close, the receiver soon, the
    /// sender after so many milliseconds, in which messages of the other direction still arrive.
    Cut(u32),
    /// It and all after it in this direction are lost, and nobody is told.
    Mute,
    /// It and all after it in this direction are held back for twice the deadline.
    Stall,
    /// It is damaged.
    Flip,
    /// Its payload is damaged after it was verified: nobody can see that before everything is compared.
    Spoil,
    /// A message that has no business here comes right before it.
    Stray(Stray),
}

/// A message that has no business where it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// [`Message::GivenUp`](vfio_migration_protocol::session::Message::GivenUp)
    GivenUp,
    /// [`Message::Withdraw`](vfio_migration_protocol::session::Message::Withdraw)
    Withdraw,
    /// [`Message::End`](vfio_migration_protocol::session::Message::End)
    End,
    /// [`Message::ObjectEnd`](vfio_migration_protocol::session::Message::ObjectEnd) of the first object.
    ObjectEnd,
    /// [`Message::ObjectEnd`](vfio_migration_protocol::session::Message::ObjectEnd) of an object that is not there.
    NoObject,
    /// [`Message::Begin`](vfio_migration_protocol::session::Message::Begin)
    Begin,
    /// [`Message::Accepted`](vfio_migration_protocol::session::Message::Accepted)
    Accepted,
    /// [`Message::Loaded`](vfio_migration_protocol::session::Message::Loaded)
    Loaded,
    /// [`Message::Running`](vfio_migration_protocol::session::Message::Running)
    Running,
    /// [`Message::Ack`](vfio_migration_protocol::session::Message::Ack) of what was not sent.
    Ack,
    /// [`Message::InitialLoaded`](vfio_migration_protocol::session::Message::InitialLoaded) of no generation.
    InitialLoaded,
    /// [`Message::Alive`](vfio_migration_protocol::session::Message::Alive), which may come at any time.
    Alive,
}

impl Stray {
    /// Those that a source might say.
    pub const FORWARD: [Self; 7] =
        [Self::GivenUp, Self::Withdraw, Self::End, Self::ObjectEnd, Self::NoObject, Self::Begin, Self::Alive];
    /// Those that a destination might say.
    pub const BACK: [Self; 6] =
        [Self::Accepted, Self::Loaded, Self::Running, Self::Ack, Self::InitialLoaded, Self::Alive];

    const NAMES: [(Self, &'static str); 12] = [
        (Self::GivenUp, "given-up"),
        (Self::Withdraw, "withdraw"),
        (Self::End, "end"),
        (Self::ObjectEnd, "object-end"),
        (Self::NoObject, "no-object"),
        (Self::Begin, "begin"),
        (Self::Accepted, "accepted"),
        (Self::Loaded, "loaded"),
        (Self::Running, "running"),
        (Self::Ack, "ack"),
        (Self::InitialLoaded, "initial-loaded"),
        (Self::Alive, "alive"),
    ];
}

/// A side's name in a scenario.
pub(crate) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Save => "save",
        Side::Restore => "restore",
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::Back => "back",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { side, number, what } => write!(f, "{}:{number}:{what}", side_name(*side)),
            Self::Link { direction, number, what } => write!(f, "{direction}:{number}:{what}"),
            Self::Silent { side, number } => write!(f, "{}:{number}:silent", side_name(*side)),
            Self::Killed { side, number } => write!(f, "{}:{number}:killed", side_name(*side)),
        }
    }
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails(errno) => write!(f, "fails({errno})"),
            Self::Part(arcs, errno) => write!(f, "part({arcs},{errno})"),
            Self::Breaks => f.write_str("breaks"),
            Self::Vanishes => f.write_str("vanishes"),
            Self::Odd => f.write_str("odd"),
            Self::Short => f.write_str("short"),
            Self::Nothing => f.write_str("nothing"),
            Self::TooMuch => f.write_str("too-much"),
            Self::Ends => f.write_str("ends"),
            Self::LateAnswer => f.write_str("late-answer"),
            Self::LateEffect => f.write_str("late-effect"),
            Self::Never => f.write_str("never"),
            Self::Says(Estimate::Unknown) => f.write_str("says(unknown)"),
            Self::Says(Estimate::Known(bytes)) => write!(f, "says({bytes})"),
            Self::PageSize(bytes) => write!(f, "page-size({bytes})"),
            Self::Maybe => f.write_str("maybe"),
            Self::Lies => f.write_str("lies"),
        }
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(millis) => write!(f, "cut({millis})"),
            Self::Mute => f.write_str("mute"),
            Self::Stall => f.write_str("stall"),
            Self::Flip => f.write_str("flip"),
            Self::Spoil => f.write_str("spoil"),
            Self::Stray(stray) => {
                let name = Stray::NAMES.iter().find(|(one, _)| one == stray).map_or("", |(_, name)| *name);
                write!(f, "stray({name})")
            }
        }
    }
}

impl FromStr for Fault {
    type Err = NotAScenario;

    fn from_str(text: &str) -> Result<Self, NotAScenario> {
        parse(text).ok_or_else(|| NotAScenario::unknown(text))
    }
}

/// Splits `where:number:what`.
pub(crate) fn split_place(text: &str) -> Option<(&str, u32, &str)> {
    let (place, rest) = text.split_once(':')?;
    let (number, what) = rest.split_once(':')?;
    Some((place, number.parse().ok()?, what))
}

/// A side by its name in a scenario.
pub(crate) fn parse_side(name: &str) -> Option<Side> {
    [Side::Save, Side::Restore].into_iter().find(|side| side_name(*side) == name)
}

fn parse(text: &str) -> Option<Fault> {
    let (place, number, what) = split_place(text)?;
    let (name, argument) = what.strip_suffix(')').and_then(|what| what.split_once('(')).unwrap_or((what, ""));
    let Some(side) = parse_side(place) else {
        let direction = [Direction::Forward, Direction::Back].into_iter().find(|one| one.to_string() == place)?;
        let what = match (name, argument) {
            ("cut", millis) => LinkFault::Cut(millis.parse().ok()?),
            ("mute", "") => LinkFault::Mute,
            ("stall", "") => LinkFault::Stall,
            ("flip", "") => LinkFault::Flip,
            ("spoil", "") => LinkFault::Spoil,
            ("stray", name) => LinkFault::Stray(Stray::NAMES.iter().find(|(_, one)| *one == name)?.0),
            _ => return None,
        };
        return Some(Fault::Link { direction, number, what });
    };
    let what = match (name, argument) {
        ("silent", "") => return Some(Fault::Silent { side, number }),
        ("killed", "") => return Some(Fault::Killed { side, number }),
        ("fails", errno) => CallFault::Fails(errno.parse().ok()?),
        ("part", arguments) => {
            let (arcs, errno) = arguments.split_once(',')?;
            CallFault::Part(arcs.parse().ok()?, errno.parse().ok()?)
        }
        ("breaks", "") => CallFault::Breaks,
        ("vanishes", "") => CallFault::Vanishes,
        ("odd", "") => CallFault::Odd,
        ("short", "") => CallFault::Short,
        ("nothing", "") => CallFault::Nothing,
        ("too-much", "") => CallFault::TooMuch,
        ("ends", "") => CallFault::Ends,
        ("late-answer", "") => CallFault::LateAnswer,
        ("late-effect", "") => CallFault::LateEffect,
        ("never", "") => CallFault::Never,
        ("says", "unknown") => CallFault::Says(Estimate::Unknown),
        ("says", bytes) => CallFault::Says(Estimate::Known(bytes.parse().ok()?)),
        ("page-size", bytes) => CallFault::PageSize(bytes.parse().ok()?),
        ("maybe", "") => CallFault::Maybe,
        ("lies", "") => CallFault::Lies,
        _ => return None,
    };
    Some(Fault::Call { side, number, what })
}
