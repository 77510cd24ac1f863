//! Closes what a re-executed process of ours inherited beyond stdin, stdout and stderr. Our own files close by
//! themselves at exec; this is for those that somebody left open when starting the gateway.

use std::io;

/// Where the kernel lists the open files of the reader.
const OPEN_FILES: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// Closes every descriptor above 2. To be called before anything else is opened.
///
/// # Errors
/// When the open files cannot be listed: then a leak could not be excluded.
pub(super) fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir(OPEN_FILES)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in open {
        // One of them was the listing itself and is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}
