use std::fs;

use super::kernel::Kernel;
use crate::sysfs::{Host, SysDevice};

/// The VFIO driver that is made for a PCI function, if the modules of the running kernel have one: their aliases begin with
/// `vfio_pci:` where those of ordinary drivers begin with `pci:`.
pub(super) fn variant(host: &Host, kernel: &Kernel, device: &SysDevice) -> Option<String> {
    let modalias = device.attribute("modalias")?;
    let wanted = modalias.strip_prefix("pci:")?;
    let aliases = host.path("/lib/modules").join(kernel.release.as_ref()?).join("modules.alias");
    fs::read_to_string(aliases).ok()?.lines().find_map(|line| {
        let (pattern, module) = line.strip_prefix("alias vfio_pci:")?.split_once(' ')?;
        // The generic driver has an alias that fits everything.
        let made_for_it = pattern.chars().any(|letter| letter.is_ascii_digit()) && matches(pattern, wanted);
        made_for_it.then(|| module.trim().to_owned())
    })
}

/// Whether a pattern with `*` for any text fits all of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_fit_all_of_a_text() {
        let text = "v000015B3d0000101Esv000015B3sd00000001bc02sc00i00";
        for pattern in ["v000015B3d0000101Esv*sd*bc*sc*i*", "*", text, "*i00", "v*"] {
            assert!(matches(pattern, text), "{pattern}");
        }
        for pattern in ["v000015B3d0000101Fsv*sd*bc*sc*i*", "", "v", "*i01", "sv*"] {
            assert!(!matches(pattern, text), "{pattern}");
        }
    }
}
