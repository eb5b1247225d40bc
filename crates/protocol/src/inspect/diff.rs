//! Where two files differ: by object or section, and by frame.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Content, ObjectOutline, Outline, Part, Visit};
use crate::stream::payload_crc_append;

/// Most frames of a file that are remembered one by one: 16 MiB.
const MOST_PLACES: usize = 1 << 19;
/// Most differences within one object.
const MOST_FRAMES: usize = 8;

/// Remembers of each part what tells it from others, for [`diff`]. Events, reports, commands and what only keeps a
/// connection alive are left out: they are of one run, and no two runs are alike.
///
/// It remembers 524,288 frames of a file one by one (512 GiB in frames of 1 MiB), and of those that come after them, of
/// each object and section, how many there are and one checksum: whether they differ is known, not which.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint {
    groups: BTreeMap<Group, Frames>,
    section: String,
    places: usize,
}

/// The frames of an object, or the pieces of a section.
#[derive(Clone, Debug, Default)]
struct Frames {
    /// The first of them.
    places: Vec<Place>,
    /// How many there are.
    all: usize,
    /// What they add up to: bytes, cuts and order.
    sum: u32,
    /// Where the last one ended in the object, or in the section's bodies.
    end: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Object(usize),
    Section(String),
}

/// One piece of an object or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Where its part begins in the file.
    #[serde(serialize_with = "super::number::one")]
    pub at: u64,
    /// Where its bytes begin in the object, or in the section's bodies.
    #[serde(serialize_with = "super::number::one")]
    pub offset: u64,
    /// How many bytes it has.
    #[serde(serialize_with = "super::number::one")]
    pub len: u64,
    /// Their CRC32C.
    pub checksum: u32,
    /// Whether a segment ends with them.
    pub segment_end: bool,
}

/// One difference between two files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The object or section; absent where it is about the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What differs, one sentence.
    pub what: String,
    /// The frame in the first file, by its turn among those of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
    /// What the first file has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Place>,
    /// What the second file has there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Place>,
}

impl Visit for Fingerprint {
    fn part(&mut self, part: Part) {
        let Part { at, object, payload, content, .. } = part;
        let group = match (&content, object) {
            (Content::Section { name, .. }, _) => {
                self.section.clone_from(name);
                return;
            }
            (Content::Ram { .. } | Content::Opaque, _) => Group::Section(self.section.clone()),
            // The config has a place of its own, beside the data.
            (Content::VfioConfig, _) => Group::Section(format!("{}, config", self.section)),
            (Content::MultifdPages { .. }, _) => Group::Section("pages".into()),
            (Content::LibvirtDomain, _) => Group::Section("libvirt's description of the machine".into()),
            (Content::Description, _) => Group::Section("the description of the sections".into()),
            (Content::Trailing, _) => Group::Section("what comes after the end".into()),
            (Content::ObjectEnd { .. }, _) | (_, None) => return,
            (_, Some(object)) => Group::Object(object),
        };
        let Some(payload) = payload else { return };
        let frames = self.groups.entry(group).or_default();
        let offset = match content {
            Content::Data { offset, .. } | Content::VfioData { offset } => offset,
            _ => frames.end,
        };
        let segment_end = matches!(content, Content::Data { segment_end: true, .. });
        let place = Place { at, offset, len: payload.len, checksum: payload.checksum, segment_end };
        frames.add(place, self.places < MOST_PLACES);
        self.places += 1;
    }
}

impl Frames {
    fn add(&mut self, place: Place, remembered: bool) {
        let Place { at: _, offset, len, checksum, segment_end } = place;
        let mut what = [0; 21];
        what[..8].copy_from_slice(&offset.to_le_bytes());
        what[8..16].copy_from_slice(&len.to_le_bytes());
        what[16..20].copy_from_slice(&checksum.to_le_bytes());
        what[20] = u8::from(segment_end);
        self.sum = payload_crc_append(self.sum, &what);
        self.all += 1;
        self.end = offset.saturating_add(len);
        if remembered {
            self.places.push(place);
        }
    }

    /// A frame by its turn: there is none, or it is not remembered.
    fn get(&self, frame: usize) -> Remembered {
        match self.places.get(frame) {
            Some(place) => Remembered::Place(*place),
            None if frame < self.all => Remembered::Not,
            None => Remembered::None,
        }
    }
}

enum Remembered {
    Place(Place),
    None,
    Not,
}

/// Where two files differ: what they move, what is known of it, and which frames have other bytes.
///
/// Frames of an object are compared by their turn, while both files have cut them alike: from where they have not, no more
/// is told than whether the object's data are the same in all. Eight differences are told of an object or section. What is
/// compared are checksums of 32 bits: two frames that differ look the same once in 2^32 times.
pub fn diff(first: (&Outline, &Fingerprint), second: (&Outline, &Fingerprint)) -> Vec<Difference> {
    let mut found = Found::default();
    let ((one, one_print), (other, other_print)) = (first, second);
    found.property(None, "format", Some(one.format), Some(other.format));
    found.property(None, "mode", one.mode, other.mode);
    found.property(None, "end", one.ending, other.ending);
    found.property(None, "damage", one.damage.as_ref(), other.damage.as_ref());
    let machine = |outline: &Outline| outline.qemu.as_ref().and_then(|qemu| qemu.machine.clone());
    found.property(None, "machine", machine(one), machine(other));
    let capabilities = |outline: &Outline| outline.qemu.as_ref().map(|qemu| qemu.capabilities.join(", "));
    found.property(None, "capabilities", capabilities(one), capabilities(other));
    for (place, object) in one.objects.iter().enumerate() {
        let Some(there) = counterpart(one, place, other) else {
            found.say(Some(&object.id), "only the first file has it");
            continue;
        };
        found.object(object, &other.objects[there]);
        let (mine, theirs) = (one_print.of(&Group::Object(place)), other_print.of(&Group::Object(there)));
        found.frames(&object.id, mine, theirs, object.checksum.is_some() && same(object, &other.objects[there]));
    }
    for (place, object) in other.objects.iter().enumerate() {
        if counterpart(other, place, one).is_none() {
            found.say(Some(&object.id), "only the second file has it");
        }
    }
    let names = one_print.sections().chain(other_print.sections().filter(|name| !one_print.has(name)));
    for name in names {
        let group = Group::Section(name.into());
        match (one_print.has(name), other_print.has(name)) {
            (true, true) => found.frames(name, one_print.of(&group), other_print.of(&group), false),
            (true, false) => found.say(Some(name), "only the first file has it"),
            _ => found.say(Some(name), "only the second file has it"),
        }
    }
    found.0
}

/// The object of the other file that has the same id; of several, which a sound file does not have, the one with its turn.
fn counterpart(one: &Outline, place: usize, other: &Outline) -> Option<usize> {
    let id = &one.objects[place].id;
    let turn = one.objects[..place].iter().filter(|before| before.id == *id).count();
    let alike = other.objects.iter().enumerate().filter(|(_, there)| there.id == *id);
    alike.map(|(there, _)| there).nth(turn)
}

fn same(one: &ObjectOutline, other: &ObjectOutline) -> bool {
    (one.bytes, one.checksum) == (other.bytes, other.checksum)
}

impl Fingerprint {
    fn of(&self, group: &Group) -> &Frames {
        static NONE: Frames = Frames { places: Vec::new(), all: 0, sum: 0, end: 0 };
        self.groups.get(group).unwrap_or(&NONE)
    }

    fn sections(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().filter_map(|group| match group {
            Group::Section(name) => Some(name.as_str()),
            Group::Object(_) => None,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.groups.contains_key(&Group::Section(name.into()))
    }
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn say(&mut self, of: Option<&str>, what: impl Into<String>) {
        let of = of.map(Into::into);
        self.0.push(Difference { of, what: what.into(), frame: None, first: None, second: None });
    }

    fn property<T: PartialEq + Serialize>(&mut self, of: Option<&str>, name: &str, one: Option<T>, other: Option<T>) {
        if one == other {
            return;
        }
        let shown = |value: Option<T>| match value {
            Some(value) => serde_json::to_string(&value).expect("plain data").trim_matches('"').to_owned(),
            None => "none".into(),
        };
        self.say(of, format!("{name}: {} in the first file, {} in the second", shown(one), shown(other)));
    }

    fn object(&mut self, one: &ObjectOutline, other: &ObjectOutline) {
        let of = Some(one.id.as_str());
        self.property(of, "kind", Some(one.kind), Some(other.kind));
        self.property(of, "protocol", one.protocol, other.protocol);
        self.property(of, "capabilities", one.capabilities.as_ref(), other.capabilities.as_ref());
        self.property(of, "iova", one.iova, other.iova);
        self.property(of, "size", one.size, other.size);
        self.property(of, "complete", Some(one.complete), Some(other.complete));
        self.property(of, "config", one.config.as_ref(), other.config.as_ref());
        let value = |object: &ObjectOutline, key: &str| {
            object.passport.iter().find(|line| line.key == key).map(|line| line.value.clone())
        };
        let added = other.passport.iter().filter(|line| value(one, &line.key).is_none());
        for line in one.passport.iter().chain(added) {
            self.property(of, &format!("passport, {}", line.key), value(one, &line.key), value(other, &line.key));
        }
    }

    /// Compares frame by frame while they are cut alike. `same`: the bytes are the same in all, however they are cut.
    fn frames(&mut self, of: &str, one: &Frames, other: &Frames, same: bool) {
        let mut told = 0;
        for frame in 0..one.all.max(other.all) {
            let (first, second) = match (one.get(frame), other.get(frame)) {
                (Remembered::Place(here), Remembered::Place(there)) => (Some(here), Some(there)),
                (Remembered::Place(here), Remembered::None) => (Some(here), None),
                (Remembered::None, Remembered::Place(there)) => (None, Some(there)),
                _ => {
                    if (one.all, one.sum) != (other.all, other.sum) {
                        let known = "only the first frames of a large file are compared one by one";
                        let what = if told == 0 { "other frames" } else { "there may be other frames" };
                        self.say(Some(of), format!("{what} after the first {frame}: {known}"));
                    }
                    return;
                }
            };
            let what = match (first, second) {
                (Some(here), Some(there)) if (here.offset, here.len) != (there.offset, there.len) => Some(if same {
                    "the same bytes, cut into other frames from here on"
                } else {
                    "cut into other frames from here on"
                }),
                (Some(here), Some(there)) if here.checksum != there.checksum => Some("other bytes"),
                (Some(here), Some(there)) if here.segment_end != there.segment_end => {
                    Some("a segment ends in one only")
                }
                (Some(_), None) => Some("the first file has more frames"),
                (None, Some(_)) => Some("the second file has more frames"),
                _ => None,
            };
            let Some(what) = what else { continue };
            self.0.push(Difference { of: Some(of.into()), what: what.into(), frame: Some(frame), first, second });
            told += 1;
            let cut = what != "other bytes" && what != "a segment ends in one only";
            if cut || told == MOST_FRAMES {
                if told == MOST_FRAMES {
                    self.say(Some(of), format!("no more than {MOST_FRAMES} differences are told"));
                }
                return;
            }
        }
    }
}
