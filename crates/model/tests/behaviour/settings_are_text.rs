//! Settings and faults as text: what is right comes back, what is wrong is named.

use vfio_migration_model::{At, CallKind, Effect, Fault, FaultPlan, Model, Settings, Which};
use vfio_migration_protocol::{Capabilities, Errno};

const ALL: &str = "size=3GiB,pre-copy,p2p,dirty-tracking,info-makes-data,trace,seed=7,dirty-rate=1,dma-rate=0,\
                   working-set=1MiB,initial=4097,late=8KiB,log-page=2MiB,reinit-after=3,lane=1/2,tick=250us,\
                   fault=read@3:EIO,fault=any@9+:delay:1000us";

#[test]
fn settings_come_back() {
    let settings = Settings::parse(ALL).unwrap();
    assert_eq!(settings.to_string(), ALL);
    assert_eq!(settings.capabilities, Capabilities::FSM_SETS[3] | Capabilities::DIRTY_TRACKING);
    assert_eq!(Settings::parse(""), Ok(Settings::default()));
    let region = "size=1,p2p,protocol=region,tolerate=same-state+split-segments,window=8KiB,mmap=sparse,\
                  segment=64..4KiB,reserved=256";
    let libvfio_user = "size=1,protocol=region,dialect=libvfio-user";
    for text in ["size=0,empty-stream", "size=1", "size=1023", "size=1TiB", region, libvfio_user] {
        assert_eq!(Settings::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn faults_come_back() {
    for kind in CallKind::ALL {
        for effect in Effect::all_for(kind) {
            let fault = Fault::nth(kind, 4, effect);
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }
    let overall = "any@2+:ENOSPC:7".parse::<Fault>().unwrap();
    assert_eq!(overall.at, At { kind: None, which: Which::From(2), within: None });
    for text in ["read@1/stop-copy:EIO", "any@2+/pre-copy:delay:5us", "write@last:EIO", "write@last/resuming:flip"] {
        assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
    }
    assert_eq!(overall.effect, Effect::Fails { errno: Errno::ENOSPC, after: 7 });
    assert_eq!("read@1:4000".parse::<Fault>().unwrap().to_string(), "read@1:4000");
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = [
        ("sise=1", "a model has no setting 'sise': it has size"),
        ("size", "size needs a value: size=..."),
        ("size=", "size needs a value: size=..."),
        ("size=abc", "size=abc is no size"),
        ("size=-1", "size=-1 is no size"),
        ("size=+1", "size=+1 is no size"),
        ("size=1.5GiB", "size=1.5GiB is no size"),
        ("size=MiB", "size=MiB is no size"),
        ("size=99999999999999999999", "size=99999999999999999999 is too large"),
        ("size=18446744073709551615TiB", "size=18446744073709551615TiB is too large"),
        ("size=2TiB", "size=2TiB is too large: a model has up to 1TiB"),
        ("size=1,size=2", "size stands there twice"),
        ("pre-copy=yes", "pre-copy takes no value"),
        ("seed=x", "seed=x is no number below 2^64"),
        ("seed=18446744073709551616", "seed=18446744073709551616 is no number below 2^64"),
        ("tick=5", "tick=5 is no time"),
        ("tick=0us", "a tick must take some time"),
        ("tick=99999999s", "tick=99999999s is no time"),
        ("lane=2", "a lane is written K/N"),
        ("lane=2/2", "lane=K/N needs K below N"),
        ("log-page=5000", "log-page must be a power of two"),
        ("log-page=2048", "log-page must be a power of two"),
        ("size=1,empty-stream", "empty-stream needs size=0"),
        ("fault=read", "a fault is written CALL@N:EFFECT"),
        ("fault=raed@1:EIO", "'raed' is no call: any, state"),
        ("fault=read@0:EIO", "'0' is no number of a call"),
        ("fault=read@x:EIO", "'x' is no number of a call"),
        ("fault=write@last+:EIO", "'last+' is no number of a call"),
        ("fault=read@last:EIO", "'last' goes with write only"),
        ("fault=any@last:EIO", "'last' goes with write only"),
        ("fault=read@1:EWHAT", "'EWHAT' is no effect"),
        ("fault=read@1:errno 7", "'errno 7' is no effect"),
        ("fault=read@1:short:0", "'short:0' is no effect"),
        ("protocol=none", "protocol=none is not possible: there is fsm, region"),
        ("dialect=qemu", "dialect, tolerate, window, mmap, segment and reserved are settings of protocol=region"),
        ("protocol=region,dialect=x", "dialect=x is not possible: there is thread, qemu, libvfio-user"),
        ("protocol=region,mmap=x", "mmap=x is not possible: there is none, whole, sparse"),
        ("protocol=region,tolerate=all", "tolerate=all is not possible: there is same-state, reserved-bits"),
        ("protocol=region,window=5000", "a window must be a multiple of 4KiB"),
        ("protocol=region,window=1GiB", "a window must be a multiple of 4KiB"),
        ("protocol=region,segment=63", "a segment must have from 64 bytes"),
        ("protocol=region,segment=2MiB", "a segment must have from 64 bytes"),
        ("protocol=region,segment=200..100", "a segment must have from 64 bytes"),
        ("protocol=region,segment=1..x", "segment=1..x is no size"),
        ("protocol=region,reserved=8", "the four lowest bits"),
        ("protocol=region,reserved=4294967296", "device_state has 32 bits"),
        ("protocol=region,dialect=qemu,p2p", "only dialect=thread knows p2p"),
        ("protocol=region,reinit-after=1", "a region cannot say that there is new initial data"),
        ("fault=write-device-state@1:short:1", "this effect means nothing for write-device-state"),
        ("fault=read@1:lost-page", "this effect means nothing for read"),
    ];
    for (text, start) in wrong {
        let error = Settings::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(start), "{text}: {error}");
    }
}

#[test]
fn settings_made_by_hand_are_checked_too() {
    let settings = [
        Settings { size: u64::MAX, ..Settings::default() },
        Settings { lane: (0, 0), ..Settings::default() },
        Settings { log_page: 0, ..Settings::default() },
        Settings { capabilities: Capabilities::P2P, ..Settings::default() },
    ];
    assert!(settings.iter().all(|settings| Model::new(settings, 1).is_err()));
}

#[test]
fn seeded_plans_are_of_every_kind_and_fit() {
    let plans: Vec<FaultPlan> = (0..2000).map(|seed| FaultPlan::seeded(seed, 10)).collect();
    for kind in CallKind::FSM {
        for effect in Effect::all_for(kind) {
            let has = |plan: &FaultPlan| {
                plan.faults().iter().any(|fault| (fault.at.kind, fault.effect) == (Some(kind), effect))
            };
            assert!(plans.iter().any(has), "{kind}: {effect}");
        }
    }
    let in_range =
        |fault: &Fault| matches!(fault.at.which, Which::Nth(1..=10)) && fault.effect.fits(fault.at.kind.unwrap());
    assert!(plans.iter().flat_map(FaultPlan::faults).all(in_range));
}
