//! The file: how it is opened, brought to the shape that this server knows, and copied.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::{Options, Sync};
use crate::store::FILE;

/// Nobody's business but the server's.
const FILE_MODE: u32 = 0o600;

/// `PRAGMA application_id`: "pres".
const APPLICATION: i64 = 0x7072_6573;

/// Each brings a file from the version of its place to the next. What has been released does not change any more.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// How long to wait for another process that has the file.
const BUSY: Duration = Duration::from_secs(5);

/// Bytes of a page, of which the file is made.
const PAGE_BYTES: u64 = 4096;

/// Pages that may wait in the log before they are carried over into the file.
const CHECKPOINT_PAGES: u32 = 8_192;

/// Kibibytes of pages that each connection keeps in memory, the writing one and the reading ones.
const WRITER_CACHE: u32 = 32 * 1024;
const READER_CACHE: u32 = 8 * 1024;

/// Bytes that a file must be able to take to count as well again.
const PROOF_BYTES: u32 = 256 * 1024;

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// It is not for this server, and must stay as it is.
    #[error("{0}")]
    Refused(String),
    /// SQLite can not open it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The system can not open it, or something beside it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl OpenError {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Refused(_) => Fault::Damaged,
            Self::Sqlite(error) => match Fault::of(error) {
                Fault::None => Fault::Damaged,
                fault => fault,
            },
            Self::Io(error) => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::Full,
                _ => Fault::Unwritable,
            },
        }
    }
}

/// Opens the file for writing, and makes it if it is not there. What can not be read is never written to.
pub(super) fn open(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    make(path)?;
    let mut connection = connect(path)?;
    check_origin(&connection, MIGRATIONS.len())?;
    let size_max =
        if options.bytes_max == 0 { u64::from(u32::MAX) - 1 } else { options.bytes_max / PAGE_BYTES };
    // References are for people to read and for the check: to hold them at each write would cost a search for each.
    connection.execute_batch(&format!(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = {};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {};
         PRAGMA cache_size = -{WRITER_CACHE};
         PRAGMA max_page_count = {size_max};
         PRAGMA cell_size_check = ON;
         PRAGMA foreign_keys = OFF;",
        match options.sync {
            Sync::Full => "FULL",
            Sync::Normal => "NORMAL",
        },
        u64::from(CHECKPOINT_PAGES) * PAGE_BYTES * 2,
    ))?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&mut connection, path, MIGRATIONS)?;
    Ok(connection)
}

/// Opens the file for reading, beside the server that has it if there is one.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path)?;
    check_origin(&connection, MIGRATIONS.len())?;
    connection.execute_batch(&format!("PRAGMA query_only = ON; PRAGMA cache_size = -{READER_CACHE};"))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // Without this guarantee SQLite plans a statement anew whenever other values are bound to it that might have led to
    // another plan. Here they never would: it costs a fifth of all that writing takes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Makes an empty file, which nobody else may read, unless there is one.
fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_) => sync_folder_of(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Keeps away from files of other programs, and of later versions of this one. Only reads.
fn check_origin(connection: &Connection, known: usize) -> Result<(), OpenError> {
    let version = version(connection)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (application, tables) =
        (number("PRAGMA application_id")?, number("SELECT count(*) FROM sqlite_schema")?);
    let is_new = tables == 0 && version == 0 && application == 0;
    if !is_new && application != APPLICATION {
        return Err(OpenError::Refused(format!("{FILE} is a file of another program")));
    }
    if version > known {
        return Err(OpenError::Refused(format!(
            "{FILE} has version {version}, and this server knows versions up to {known}: start the server that wrote it, \
             or put a copy in its place that was made before it ({FILE}.before-{})",
            known + 1,
        )));
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
        .map(|version| version as usize)
}

/// Brings the file to the last version, one at a time, each time with a copy of what was before.
fn migrate(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let first = version(connection)?;
    for (number, sql) in (1..).zip(migrations).skip(first) {
        if number > 1 {
            tracing::info!(version = number, "bringing the store to a new version");
            copy(connection, &beside(path, &format!(".before-{number}")))?;
        }
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", number as i64)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Shows that there is space in the file and beside it, and, if that is in doubt, that it is whole.
pub(super) fn prove(db: &Connection, in_doubt: bool) -> Result<(), OpenError> {
    if in_doubt {
        let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(error, Some(found)).into());
        }
    }
    Ok(db.execute_batch(&format!(
        "DROP TABLE IF EXISTS proof_of_space;
         CREATE TABLE proof_of_space AS SELECT zeroblob({PROOF_BYTES}) AS bytes;
         DROP TABLE proof_of_space;",
    ))?)
}

/// Copies the store as it is at this moment, while it is used. What has the name of the copy is replaced, once the copy is
/// whole.
pub(super) fn copy(from: &Connection, to: &Path) -> Result<(), OpenError> {
    let unfinished = beside(to, ".unfinished");
    let copied = write_copy(from, &unfinished).and_then(|()| Ok(fs::rename(&unfinished, to)?));
    if copied.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&unfinished);
    }
    copied?;
    Ok(sync_folder_of(to)?)
}

fn write_copy(from: &Connection, to: &Path) -> Result<(), OpenError> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => make(to)?,
    }
    let mut into = connect(to)?;
    into.execute_batch("PRAGMA synchronous = FULL")?;
    let backup = Backup::new(from, &mut into)?;
    // All at once: a step beside a busy writer would begin anew each time, and in the log nobody waits for a reader.
    while backup.step(-1)? != StepResult::Done {
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(backup);
    into.close().map_err(|(_, error)| error)?;
    Ok(fs::File::open(to)?.sync_all()?)
}

/// A file whose name begins as that one's.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Space that is kept for the moment at which there is no other: with it, what is too old can still be removed.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    pub(super) fn of(path: &Path, bytes: u64) -> Self {
        Self { path: beside(path, "-reserve"), bytes }
    }

    /// Takes the space, unless it is taken.
    pub(super) fn take(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|about| about.len() == self.bytes) {
            return Ok(());
        }
        let taken = self.fill();
        if taken.is_err() {
            self.give();
        }
        taken
    }

    fn fill(&self) -> io::Result<()> {
        // A file with a hole in it takes no space.
        static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&self.path)?;
        let mut left = self.bytes;
        while left > 0 {
            let block = BLOCK.len().min(left as usize);
            file.write_all(&BLOCK[..block])?;
            left -= block as u64;
        }
        file.sync_all()
    }

    /// Gives the space to whoever needs it.
    pub(super) fn give(&self) {
        // It may be given already.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use presence_core::port::store::StreamLimits;
    use presence_testkit::folder::Folder;

    use rusqlite::StatementStatus;

    use super::*;

    const OPTIONS: Options = Options {
        limits: StreamLimits {
            messages: 10,
            bytes: 10,
            age: Duration::from_secs(1),
            dedup: Duration::from_secs(1),
            dedup_ids: 10,
        },
        sync: Sync::Full,
        queue_max: 10,
        batch_max: 10,
        gather: Duration::ZERO,
        bytes_max: 0,
        reserve_bytes: 0,
    };

    const FIRST: &str = "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('kept');";
    const SECOND: &str = "ALTER TABLE notes ADD COLUMN more TEXT DEFAULT 'added';";

    fn note(path: &Path, column: &str) -> rusqlite::Result<String> {
        connect(path)?.query_row(&format!("SELECT {column} FROM notes"), [], |row| row.get(0))
    }

    #[test]
    fn before_each_step_to_a_new_version_there_is_a_copy_and_a_failed_step_changes_nothing() {
        let folder = Folder::made().unwrap();
        let path = folder.path().join(FILE);
        make(&path).unwrap();
        let mut connection = connect(&path).unwrap();
        migrate(&mut connection, &path, &[FIRST]).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was there to copy");
        migrate(&mut connection, &path, &[FIRST, SECOND, "no sql"]).unwrap_err();
        assert_eq!(version(&connection).unwrap(), 2);
        assert_eq!(note(&path, "more").unwrap(), "added");
        let copy = beside(&path, ".before-2");
        assert_eq!(note(&copy, "text").unwrap(), "kept");
        assert!(note(&copy, "more").is_err());
        assert!(beside(&path, ".before-3").exists());
    }

    #[test]
    fn statements_are_planned_once_whatever_is_bound_to_them() {
        let folder = Folder::made().unwrap();
        let db = open(&folder.path().join(FILE), &OPTIONS).unwrap();
        let asked = [
            "SELECT newest FROM rooms WHERE id = ?",
            "UPDATE rooms SET newest = newest WHERE room = ?",
            "SELECT seq FROM sent_ids JOIN rooms USING (room) WHERE sender = ? AND sent_ids.id = 'a'",
            "UPDATE cursors SET seq = 1 WHERE room = 1 AND person = 2 AND seq = ? - 1",
            "SELECT seq FROM cursors WHERE room = 1 AND person = ?",
            "SELECT person FROM people WHERE id = ?",
        ];
        for sql in asked {
            for value in 0..4 {
                let mut statement = db.prepare_cached(sql).unwrap();
                statement.query([value]).unwrap().next().unwrap();
                assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
            }
        }
    }

    #[test]
    fn a_file_of_a_later_version_or_of_another_program_is_refused_and_stays_as_it_is() {
        let folder = Folder::made().unwrap();
        let path = folder.path().join(FILE);
        for (sql, said) in [
            ("PRAGMA application_id = 1919247731", "of another program"),
            ("CREATE TABLE notes (text TEXT)", "of another program"),
            (&*format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1000"), "version 1000"),
        ] {
            make(&path).unwrap();
            connect(&path).unwrap().execute_batch(sql).unwrap();
            let before = fs::read(&path).unwrap();
            let error = open(&path, &OPTIONS).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert_eq!(fs::read(&path).unwrap(), before);
            fs::remove_file(&path).unwrap();
        }
    }
}
