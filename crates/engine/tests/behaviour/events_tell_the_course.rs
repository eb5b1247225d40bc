//! Events and the report tell the course of a session, and go into the stream.

use std::os::unix::net::UnixStream;

use vfio_migration::protocol::event::Phase;
use vfio_migration::{Address, EventKind, RestoreOptions, SaveOptions, Sink, Source, State, TransportOptions};

use crate::scene::{DEVICE, Folder, origin, target, within};

#[test]
fn every_state_in_order_and_the_end_last() {
    let (near, far) = UnixStream::pair().unwrap();
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let events = saving.events();
    let (saved, _) = within("the migration", move || (saving.wait(), restoring.wait()));
    // Nobody has read them while they came.
    let events: Vec<_> = events.collect();
    let states: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::State { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    let walked: Vec<_> = saved.report.objects[0].walked.iter().map(|step| step.state).collect();
    assert_eq!(states, walked);
    assert_eq!(
        states,
        [State::Running, State::PreCopy, State::PreCopyP2p, State::StopCopy, State::Stop],
        "one arc after the other"
    );
    assert!(events.is_sorted_by_key(|event| event.at));
    assert!(matches!(events[0].kind, EventKind::Phase { phase: Phase::Checking, .. }));
    assert!(matches!(events.last().unwrap().kind, EventKind::Phase { phase: Phase::Ended, .. }));
    let json = serde_json::to_value(&saved.report).unwrap();
    assert_eq!((&json["outcome"], &json["side"]), (&"completed".into(), &"save".into()));
    assert!(json["downtime"]["totalMicros"].as_u64().unwrap() > 0);
    // The report tells the course by itself: the same events, less those that it says in another way.
    let told: Vec<_> = events.iter().filter(|event| !is_said_otherwise(&event.kind)).cloned().collect();
    assert_eq!(saved.report.course, told);
    let (first, last) = (saved.report.flow[0], saved.report.flow[saved.report.flow.len() - 1]);
    assert_eq!((first.bytes, last.bytes), (0, saved.report.bytes));
    assert!(saved.report.flow.is_sorted_by_key(|sample| (sample.at, sample.bytes)));
    assert_eq!(
        (&json["objects"][0]["protocol"], &json["objects"][0]["capabilities"]),
        (&"fsm".into(), &"stop-copy+p2p+pre-copy+dirty-tracking".into())
    );
}

fn is_said_otherwise(kind: &EventKind) -> bool {
    matches!(kind, EventKind::State { .. } | EventKind::Progress { .. } | EventKind::Ended { .. })
}

#[test]
fn and_stand_in_the_stream_unless_they_are_left_out() {
    let folder = Folder::new("events");
    let stream = |name: &str, no_events| {
        let path = folder.path(name);
        let sink = Sink::connect(&Address::File(path.clone()), &TransportOptions::default()).unwrap();
        let saving = origin(DEVICE, SaveOptions { no_events, ..SaveOptions::default() }).save.start(sink).unwrap();
        assert_eq!(within("the save", move || saving.wait()).failure, None);
        std::fs::read(path).unwrap()
    };
    let says = |stream: &[u8], text: &str| stream.windows(text.len()).any(|window| window == text.as_bytes());
    let with = stream("with", false);
    assert!(says(&with, r#""type":"state","device":"gpu0","from":"pre-copy-p2p","to":"stop-copy""#));
    assert!(says(&with, r#""preCopyEnd":"converged""#), "the report stands before the end");
    let without = stream("without", true);
    assert!(!says(&without, r#""type":"#) && !says(&without, "preCopyEnd"));
}
