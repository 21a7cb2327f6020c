//! The proxy's configuration, and the changes that reloads make to it.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::{fs, io};

use crate::plan::{DRAIN, Guard, RESPONSE_TIMEOUT, SETTLE};
use crate::record::LIST;

/// What a reload can change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    pub access_log: bool,
    pub extra_route: bool,
    /// The strictly guarded resources have names of another form.
    pub renamed: bool,
    /// From its next start on the proxy has one worker, which has another runtime than several have.
    pub alone: bool,
}

/// A text for the proxy.
pub fn text(guard: Guard, origin_port: u16, folder: &Path, max_resources: u32, look: Look) -> String {
    let localhost = Ipv4Addr::LOCALHOST;
    let millis = |time: std::time::Duration| format!("{}ms", time.as_millis());
    let mut text = format!(
        "[server]\nlisten = [\"{localhost}:0\"]\nadmin = \"{localhost}:0\"\nworkers = {}\ndrain_timeout = \"{}\"\n\
         access_log = {}\nconflicts_kept = 100\n\n\
         [limits]\nidle_timeout = \"5s\"\nbody_idle_timeout = \"2s\"\n\n\
         [ledger]\nmax_resources = {max_resources}\nstate_file = \"{}\"\nsettle = \"{}\"\n\n\
         [upstreams.origin]\nservers = [\"{localhost}:{origin_port}\"]\nconnect_timeout = \"300ms\"\n\
         response_timeout = \"{}\"\nidle_timeout = \"2s\"\nmax_idle = 16\n",
        if look.alone { 1 } else { 2 },
        millis(DRAIN),
        look.access_log,
        folder.join("ledger").display(),
        millis(SETTLE),
        millis(RESPONSE_TIMEOUT),
    );
    let mode = match guard {
        Guard::On => "enforce",
        Guard::Off => "off",
    };
    let renamed = if look.renamed { "resource = \"item:{id}\"\n" } else { "" };
    let waits = format!("overlap = \"wait\"\nwait_timeout = \"{}\"\nmax_waiters = 4\n", millis(SETTLE / 2));
    let also = format!("also_changes = [\"/{}/{}\"]\n", LIST.0, LIST.1);
    for (name, extra) in [
        ("items", renamed),
        ("waits", waits.as_str()),
        ("overlaps", "unconditional = \"overlap\"\n"),
        ("allows", "unconditional = \"allow\"\n"),
        ("members", also.as_str()),
        (LIST.0, ""),
    ] {
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "\n[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{id}}\"\nupstream = \"origin\"\nmode = \"{mode}\"\n{extra}"
        );
    }
    if look.extra_route {
        text += "\n[[routes]]\nname = \"extra\"\npath = \"/extra/{id}\"\nupstream = \"origin\"\n";
    }
    text
}

/// Puts a text in the place of the file, whole.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    let unfinished = file.with_extension("new");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, file)
}
