//! Files that are looked into: bytes go in, parts and what they come to go out as JSON.

use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;
use vfio_migration::protocol::inspect::{Fingerprint, Inspector, Outline, Part, Visit, diff};
use vfio_migration::{Code, Error};

use crate::error::BindingError;

/// What is kept of a file while it is looked into; nothing but the outline without.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct BindingInspectOptions {
    /// Its parts.
    pub parts: Option<bool>,
    /// The data of the device with this id.
    pub data_of: Option<String>,
    /// What tells its parts from those of another file.
    pub compare: Option<bool>,
}

/// What came of some bytes.
#[napi(object, object_from_js = false)]
pub struct BindingInspected {
    /// Parts that are complete, each as JSON.
    pub parts: Vec<String>,
    /// Data of the device that was asked for. They were not verified before their part has come.
    pub data: Uint8Array,
    /// The outline as JSON, once there are no more bytes.
    pub outline: Option<String>,
}

/// One file.
#[napi]
pub struct BindingInspector {
    inspector: Option<Inspector>,
    options: BindingInspectOptions,
    outline: Option<Outline>,
    fingerprint: Fingerprint,
}

/// Keeps what was asked for.
struct Kept<'a> {
    options: &'a BindingInspectOptions,
    fingerprint: &'a mut Fingerprint,
    parts: Vec<String>,
    data: Vec<(usize, Vec<u8>)>,
}

impl Visit for Kept<'_> {
    fn part(&mut self, part: Part) {
        if self.options.parts == Some(true) {
            self.parts.push(serde_json::to_string(&part).expect("a part is plain data"));
        }
        if self.options.compare == Some(true) {
            self.fingerprint.part(part);
        }
    }

    fn data(&mut self, object: usize, bytes: &[u8]) {
        if self.options.data_of.is_some() {
            self.data.push((object, bytes.to_vec()));
        }
    }
}

#[napi]
impl BindingInspector {
    /// Nothing was read yet.
    #[napi(constructor, catch_unwind)]
    pub fn new(options: BindingInspectOptions) -> Self {
        Self { inspector: Some(Inspector::default()), options, outline: None, fingerprint: Fingerprint::default() }
    }

    /// The next bytes of the file.
    #[napi(catch_unwind)]
    pub fn feed(&mut self, bytes: Uint8Array) -> Either<BindingInspected, BindingError> {
        let Self { inspector, options, fingerprint, .. } = self;
        let Some(inspector) = inspector else { return Either::B(over().into()) };
        let mut kept = Kept { options, fingerprint, parts: Vec::new(), data: Vec::new() };
        inspector.feed(&bytes, &mut kept);
        Either::A(kept.inspected(inspector.outline()))
    }

    /// The file ends here.
    #[napi(catch_unwind)]
    pub fn finish(&mut self) -> Either<BindingInspected, BindingError> {
        let Self { inspector, options, fingerprint, outline } = self;
        let Some(inspector) = inspector.take() else { return Either::B(over().into()) };
        let mut kept = Kept { options, fingerprint, parts: Vec::new(), data: Vec::new() };
        let whole = outline.insert(inspector.finish(&mut kept));
        let mut inspected = kept.inspected(whole);
        inspected.outline = Some(serde_json::to_string(whole).expect("an outline is plain data"));
        Either::A(inspected)
    }

    /// Where this file and another one differ, each difference as JSON.
    #[napi(catch_unwind)]
    pub fn differences(&self, other: &BindingInspector) -> Either<Vec<String>, BindingError> {
        let (Some(first), Some(second)) = (&self.outline, &other.outline) else { return Either::B(over().into()) };
        let found = diff((first, &self.fingerprint), (second, &other.fingerprint));
        let found = found.iter().map(|one| serde_json::to_string(one).expect("a difference is plain data"));
        Either::A(found.collect())
    }
}

impl Kept<'_> {
    fn inspected(self, outline: &Outline) -> BindingInspected {
        let wanted =
            |object: usize| outline.objects.get(object).map(|object| &object.id) == self.options.data_of.as_ref();
        let data: Vec<_> =
            self.data.into_iter().filter(|(object, _)| wanted(*object)).map(|(_, bytes)| bytes).collect();
        BindingInspected { parts: self.parts, data: data.concat().into(), outline: None }
    }
}

fn over() -> Error {
    Error::new(Code::Usage, "a file is read to its end once, and compared after that")
}
