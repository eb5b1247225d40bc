//! Files that QEMU wrote, and a writer of others like them.

pub(crate) const SAMPLES: [(&str, &[u8]); 3] = [
    ("none", include_bytes!("samples/none-7.2.qemu")),
    ("none", include_bytes!("samples/none-11.1.qemu")),
    ("microvm", include_bytes!("samples/microvm-11.1.qemu")),
];

pub(crate) const END: u64 = 0xffff_ffff_ef10_0001;
pub(crate) const CONFIG: u64 = 0xffff_ffff_ef10_0002;
pub(crate) const SETUP: u64 = 0xffff_ffff_ef10_0003;
pub(crate) const DATA: u64 = 0xffff_ffff_ef10_0004;
pub(crate) const INITIAL: u64 = 0xffff_ffff_ef10_0005;
pub(crate) const READY: u64 = 0xffff_ffff_ef10_0006;

/// A file of QEMU's, written piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct File(pub(crate) Vec<u8>);

impl File {
    /// With its header and the name of a machine.
    pub(crate) fn new() -> Self {
        let mut file = Self(b"QEVM".to_vec());
        file.u32(3).u8(0x07).u32(4).bytes(b"none");
        file
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(&mut self, number: u8) -> &mut Self {
        self.bytes(&[number])
    }

    pub(crate) fn u16(&mut self, number: u16) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.u8(u8::try_from(name.len()).unwrap()).bytes(name.as_bytes())
    }

    /// The head of a section that begins (1) or is whole (4).
    pub(crate) fn first(&mut self, kind: u8, id: u32, name: &str) -> &mut Self {
        self.u8(kind).u32(id).name(name).u32(0).u32(1)
    }

    /// The head of a section that goes on (2) or ends (3).
    pub(crate) fn further(&mut self, kind: u8, id: u32) -> &mut Self {
        self.u8(kind).u32(id)
    }

    pub(crate) fn footer(&mut self, id: u32) -> &mut Self {
        self.u8(0x7e).u32(id)
    }

    /// Bytes of a VFIO device.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(DATA).u64(bytes.len() as u64).bytes(bytes)
    }

    /// The end, and a description.
    pub(crate) fn end(&mut self, description: &str) -> Vec<u8> {
        self.u8(0).u8(6).u32(u32::try_from(description.len()).unwrap()).bytes(description.as_bytes());
        self.0.clone()
    }
}

/// The PCI configuration of a device, with an MSI-X table of so many vectors.
pub(crate) fn pci_state(size: usize, vectors: usize, display: bool) -> Vec<u8> {
    let mut space = vec![0; size];
    space[..8].copy_from_slice(&[0xe4, 0x14, 0x34, 0x12, 0x06, 0x04, 0x10, 0]);
    space[8..12].copy_from_slice(&[3, 0, 0, 2]);
    space[0x10..0x14].copy_from_slice(&0xfe00_000c_u32.to_le_bytes());
    space[0x2c..0x30].copy_from_slice(&[1, 0, 2, 0]);
    space[0x34] = 0x40;
    // Power management, then MSI-X, if there is any.
    space[0x40..0x42].copy_from_slice(&[1, if vectors > 0 { 0x60 } else { 0 }]);
    let mut rest = Vec::new();
    if vectors > 0 {
        let control = 0x8000 | u16::try_from(vectors - 1).unwrap();
        space[0x60..0x62].copy_from_slice(&[0x11, 0]);
        space[0x62..0x64].copy_from_slice(&control.to_le_bytes());
        let mut table = vec![0; vectors * 16];
        table[12] = 1;
        rest.extend(table);
        rest.extend(vec![0x05; 1]);
        rest.extend(vec![0; vectors.div_ceil(8) - 1]);
    }
    if display {
        rest.extend([&[5, 25][..], b"VFIOPCIDevice/VFIODisplay", &1_u32.to_be_bytes(), &[0; 28]].concat());
    }
    let intx: Vec<u8> = [0_u32, 1, 0, 0].iter().flat_map(|level| level.to_be_bytes()).collect();
    [&2_u32.to_be_bytes()[..], &space, &intx, &rest].concat()
}

/// A file with a device of VFIO that was moved while it ran, as versions from 8.1 on write it.
pub(crate) fn with_device() -> Vec<u8> {
    let (mut file, id, name) = (File::new(), 200, "0000:00:02.0/vfio");
    file.first(1, id, name).u64(SETUP).u64(END).footer(id);
    file.u8(8).u16(11).u16(0);
    file.further(2, id).data(b"first").u64(END).footer(id);
    file.further(2, id).u64(INITIAL).footer(id);
    file.further(2, id).u64(END).footer(id);
    file.further(3, id).data(b" and the ").data(b"rest").u64(END).footer(id);
    let state = pci_state(256, 3, false);
    file.first(4, id, name).u64(CONFIG).bytes(&state).u64(END).footer(id);
    let size = state.len() + 16;
    file.end(&format!(
        r#"{{"page_size":4096,"devices":[{{"name":"{name}","instance_id":0,"size":{size},"fields":[]}}]}}"#
    ))
}
