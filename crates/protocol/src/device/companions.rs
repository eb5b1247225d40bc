/// A device and those of its IOMMU group that the same process has open: to the IOMMU they are one, and the kernel gives all
/// of them to one owner, so that a session moves all of them or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companions {
    /// The group's number on its host.
    pub group: u32,
    /// The device's own name there, such as `0000:65:00.1`.
    pub name: String,
    /// The names of all devices of the group that the process has open, this one among them.
    pub open: Vec<String>,
}
