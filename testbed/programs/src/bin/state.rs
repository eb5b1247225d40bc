//! `state FOLDER NAME STATE...`: opens the device of a folder in sysfs by its group, asks it for each state (their numbers in
//! the kernel) in turn, says `there`, and stays with all of it open until it is killed.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match linux::run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("state: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("state: there is no VFIO here");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Error, Result, Write as _, stdin, stdout};
    use std::os::fd::AsFd as _;
    use std::path::Path;

    use testbed::open;
    use vfio_migration_uapi::feature::set_state;

    pub(super) fn run(arguments: &[String]) -> Result<()> {
        let [folder, name, states @ ..] = arguments else {
            return Err(Error::other("usage: state FOLDER NAME STATE..."));
        };
        let opened = open(Path::new(folder), name)?;
        let mut data = Vec::new();
        for state in states {
            data.extend(set_state(opened.device.as_fd(), state.parse().map_err(Error::other)?)?);
        }
        writeln!(stdout(), "there")?;
        // Whoever started us kills us; should it be gone, its end of the pipe is closed.
        stdin().read_line(&mut String::new()).map(drop)
    }
}
