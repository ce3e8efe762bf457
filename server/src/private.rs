//! Files that only the server's own user may read: the data directory has every room's history in it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

/// Names in the data directory that are the server's.
const OURS: [&str; 2] = ["osbackend.", "resume.key"];
/// And those that tell of no other use: the directory of `--dev` in the one of production, and what a file system has of its own.
const NOBODYS: [&str; 2] = ["dev", "lost+found"];

/// Makes `dir`, for the owner alone. One that is there is closed too, unless it holds other files than the server's: somebody else
/// may need those.
pub(crate) fn directory(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    let others = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.file_name());
    let of_others = others.into_iter().find(|name| {
        let name = name.to_string_lossy();
        !OURS.iter().any(|ours| name.starts_with(ours)) && !NOBODYS.contains(&&*name)
    });
    match of_others {
        None => close(dir, 0o700),
        Some(other) => {
            if is_open(dir)? {
                let (dir, other) = (dir.display(), other.display());
                tracing::warn!(%dir, %other, "DATA_DIR is open to others and holds files that aren't the server's: its rights are left alone");
            }
            Ok(())
        }
    }
}

/// Opens the file to read and write, and makes it where it isn't there.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    close(path, 0o600)?;
    Ok(file)
}

/// Closes a file, if it is there.
pub(crate) fn existing(path: &Path) -> io::Result<()> {
    match close(path, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Takes from the group and from others what they may. Where the file is another user's this can't be done, and whoever set it up so
/// is told.
#[cfg(unix)]
fn close(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !is_open(path)? {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let path = path.display();
            tracing::warn!(%path, "this is another user's and open to others: chmod it to {mode:o}");
            Ok(())
        }
        other => other,
    }
}

#[cfg(unix)]
fn is_open(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// Elsewhere the directory's own list of rights holds.
#[cfg(not(unix))]
fn close(path: &Path, _mode: u32) -> io::Result<()> {
    fs::metadata(path).map(|_| ())
}

#[cfg(not(unix))]
fn is_open(_path: &Path) -> io::Result<bool> {
    Ok(false)
}
