//! Files, written whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Replaces a file's content, or makes the file: whoever reads it sees the old content or the new one, never half of it. Its
/// permissions stay, and so does a symbolic link to it. What is there and is no regular file (a pipe, a device) is written into.
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
    let path = &resolved(path);
    let before = fs::metadata(path);
    if before.as_ref().is_ok_and(|before| !before.is_file()) {
        return write(&mut File::options().write(true).open(path).with_context(fault)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = new_in(folder).with_context(fault)?;
    let made = write(beside.as_file_mut())?;
    beside.as_file().sync_all().with_context(fault)?;
    if let Ok(before) = before {
        beside.as_file().set_permissions(before.permissions()).with_context(fault)?;
    }
    beside.persist(path).with_context(fault)?;
    Ok(made)
}

/// The file that a path leads to through symbolic links; where nothing is there yet, what the link names, or the path itself.
pub fn resolved(path: &Path) -> PathBuf {
    let named = || fs::read_link(path).map(|named| path.parent().unwrap_or(Path::new("")).join(named));
    fs::canonicalize(path).or_else(|_| named()).unwrap_or_else(|_| path.to_owned())
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

    #[test]
    fn a_link_still_leads_to_the_file_and_a_device_stays_one() {
        use std::os::unix::fs::FileTypeExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("there/rules.json"), folder.path().join("rules.json"));
        fs::create_dir(folder.path().join("there")).unwrap();
        fs::write(&file, "one").unwrap();
        std::os::unix::fs::symlink("there/rules.json", &link).unwrap();
        replace(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");

        fs::remove_file(&file).unwrap();
        replace(&link, b"first").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && fs::read(&file).unwrap() == b"first");

        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let from = pipe.clone();
        let reading = std::thread::spawn(move || fs::read(from).unwrap());
        replace(&pipe, b"three").unwrap();
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(reading.join().unwrap(), b"three");
    }
}
