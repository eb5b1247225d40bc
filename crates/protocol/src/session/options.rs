use core::time::Duration;

/// Whether messages come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A socket or a pair of streams: messages come back.
    Connected,
    /// A file, a pipe, one stream: nothing comes back.
    OneWay,
}

/// What a one-way save does with the source at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The guest has left: devices end in stop.
    Stop,
    /// A snapshot: the guest goes on here.
    Resume,
}

/// What happens to a source device that no arc leads back to where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecoverable {
    /// Leave it as it is and say `lost`: a reset would wipe what the guest still needs.
    Leave,
    /// Reset it.
    Reset,
}

/// How a save goes.
#[expect(clippy::struct_excessive_bools, reason = "switches of the caller, which do not depend on each other")]
#[derive(Clone, Debug, PartialEq)]
pub struct SaveOptions {
    /// Whether messages come back.
    pub mode: Mode,
    /// Payload of one frame in bytes; 1 MiB.
    pub chunk: u32,
    /// How many chunks may be in flight; 8.
    pub depth: u32,
    /// For every wait; 30 s.
    pub deadline: Duration,
    /// Switch over once what is left fits this; 300 ms.
    pub downtime_budget: Duration,
    /// Switch over at the latest after this long in pre-copy; 30 s.
    pub max_pre_copy: Duration,
    /// How long to wait in pre-copy when nothing is left before asking again; 10 ms.
    pub poll_interval: Duration,
    /// Whether to use pre-copy at all; true.
    pub pre_copy: bool,
    /// Most bytes a second, `None` for as fast as it goes.
    pub rate: Option<u64>,
    /// What a one-way save does at its end; stop.
    pub then: Then,
    /// What to do with a device that cannot be brought back; leave.
    pub unrecoverable: Unrecoverable,
    /// The caller's word that no device of the group accesses another, which a group with a device without P2P state
    /// needs; false.
    pub no_p2p_traffic: bool,
    /// End after the passports were checked; false.
    pub dry_run: bool,
    /// Leave out event and report frames; false.
    pub no_events: bool,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Connected,
            chunk: 1 << 20,
            depth: 8,
            deadline: Duration::from_secs(30),
            downtime_budget: Duration::from_millis(300),
            max_pre_copy: Duration::from_secs(30),
            poll_interval: Duration::from_millis(10),
            pre_copy: true,
            rate: None,
            then: Then::Stop,
            unrecoverable: Unrecoverable::Leave,
            no_p2p_traffic: false,
            dry_run: false,
            no_events: false,
        }
    }
}

/// How a restore goes. The mode comes with the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreOptions {
    /// For every wait; 30 s.
    pub deadline: Duration,
    /// Run the guest after a one-way stream: `None` runs what stopped at its source and leaves a snapshot in stop.
    pub run: Option<bool>,
    /// As in [`SaveOptions::no_p2p_traffic`].
    pub no_p2p_traffic: bool,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), run: None, no_p2p_traffic: false }
    }
}

impl SaveOptions {
    /// Times within bounds that cannot overflow, and no question asked more often than every millisecond.
    pub(super) fn bounded(self) -> Self {
        let bound = |time: Duration| time.min(super::LONGEST);
        Self {
            deadline: bound(self.deadline),
            max_pre_copy: bound(self.max_pre_copy),
            downtime_budget: bound(self.downtime_budget),
            poll_interval: bound(self.poll_interval).max(Duration::from_millis(1)),
            ..self
        }
    }
}

impl RestoreOptions {
    /// Times within bounds that cannot overflow.
    pub(super) fn bounded(self) -> Self {
        Self { deadline: self.deadline.min(super::LONGEST), ..self }
    }
}
