//! Files, written whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Replaces a file's content, or makes the file: whoever reads it sees the old content or the new one, never half of it. Its
/// permissions stay.
///
/// # Errors
///
/// The folder can't be written.
pub fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    replace_with(path, |file| file.write_all(content).with_context(|| format!("{}: can't write it", path.display())))
}

/// The same, for what `write` makes bit by bit; where that fails, the old content stays. Gives what it gives.
///
/// # Errors
///
/// The folder can't be written, or `write` fails.
pub fn replace_with<T>(path: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let fault = || format!("{}: can't write it", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = new_in(folder).with_context(fault)?;
    let made = write(beside.as_file_mut())?;
    beside.as_file().sync_all().with_context(fault)?;
    if let Ok(before) = fs::metadata(path) {
        beside.as_file().set_permissions(before.permissions()).with_context(fault)?;
    }
    beside.persist(path).with_context(fault)?;
    Ok(made)
}

#[cfg(unix)]
fn new_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    // As any new file, less what the umask takes; a temporary file's own permissions would lock others out.
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)
}

#[cfg(not(unix))]
fn new_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::NamedTempFile::new_in(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_keeps_its_permissions_and_a_new_one_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.json");
        replace(&path, b"one").unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_ne!(mode() & 0o077, 0, "{:o}", mode());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode()), (&b"two"[..], 0o640));
    }
}
