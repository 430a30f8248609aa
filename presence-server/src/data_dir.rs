//! The folder for what outlives the process. One server at a time has it; a file in it is written whole or not at all,
//! and what may be read only once is gone before anybody sees it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Is locked by the server that has the folder.
const LOCK: &str = "lock";

/// The folder and its files are nobody's business but the server's.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A folder that no other server has while this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// If it can not be used, or another server has it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(ErrorKind::ResourceBusy, "another server has it"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes a file out of the folder: whatever happens next, nobody reads it again. `None` if there is none.
    ///
    /// # Errors
    /// If it has more than `bytes_max` bytes, can not be read, or can not be removed for good.
    pub(crate) fn take(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        let mut content = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut content));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            // Whatever it is, it is in the way of the next one.
            read => fs::remove_file(&path).and_then(|()| self.sync()).and(read)?,
        };
        if content.len() as u64 > bytes_max {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                format!("it has more than {bytes_max} bytes"),
            ));
        }
        Ok(Some(content))
    }

    /// Puts a file into the folder, in place of what has its name: after a crash at any moment the one or the other is
    /// there, whole.
    ///
    /// # Errors
    /// If it can not be written; then what was there still is.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let unfinished = self.path.join(format!("{name}.unfinished"));
        let written =
            write_new(&unfinished, content).and_then(|()| fs::rename(&unfinished, self.path.join(name)));
        if written.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(&unfinished);
        }
        written.and_then(|()| self.sync())
    }

    /// Makes names that came and went outlive a power loss.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Writes a file that nobody else may read, through to the disk.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use presence_testkit::folder::Folder;

    use super::*;

    #[test]
    fn what_is_taken_is_gone() {
        let folder = Folder::new();
        let data = DataDir::open(folder.path()).unwrap();
        assert!(data.take("file", 10).unwrap().is_none());
        data.put("file", b"first").unwrap();
        data.put("file", b"second").unwrap();
        assert_eq!(data.take("file", 10).unwrap().unwrap(), b"second");
        assert!(data.take("file", 10).unwrap().is_none());
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [LOCK]);
    }

    #[test]
    fn what_can_not_be_read_is_gone_too() {
        let folder = Folder::new();
        let data = DataDir::open(folder.path()).unwrap();
        data.put("file", b"too large").unwrap();
        assert_eq!(data.take("file", 8).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert!(data.take("file", 8).unwrap().is_none());
        // What can not be removed must not be believed: it would be there again.
        fs::create_dir(folder.path().join("file")).unwrap();
        data.take("file", 8).unwrap_err();
    }

    #[test]
    fn only_the_server_may_look_and_only_one_server_at_a_time() {
        let folder = Folder::new();
        let data = DataDir::open(&folder.path().join("below")).unwrap();
        // Left behind by a server that was killed while it wrote.
        fs::write(folder.path().join("below/file.unfinished"), "half").unwrap();
        data.put("file", b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data.path), mode(&data.path.join("file"))), (0o700, 0o600));
        assert!(!data.path.join("file.unfinished").exists());
        let busy = DataDir::open(&data.path).unwrap_err();
        assert_eq!(busy.to_string(), "another server has it");
        let path = data.path.clone();
        drop(data);
        DataDir::open(&path).unwrap();
    }
}
