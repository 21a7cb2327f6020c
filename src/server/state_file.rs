//! R11 on disk: the file that carries a ledger over from a process that has ended to its successor.
//!
//! It exists only between the two. Whoever starts takes it away before anything else, so that no process
//! ever goes on from a state that another one has gone on from; and whoever is refused by it takes it away
//! too, so that it is not found again by a version of ifmatch that would trust it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ledger::memory::{LedgerLimits, MemoryLedger};
use crate::ledger::snapshot::{Reader, Unusable};

/// A state file that no other process uses, for as long as this value lives.
pub struct StateFile {
    file: PathBuf,
    /// No process has used it before.
    is_first: bool,
    /// Held until it is closed. The file of the lock itself stays: whoever removed it could lock another.
    _lock: File,
}

/// Why a state file cannot be used at all.
#[derive(Debug)]
pub enum NoStateFile {
    /// Another process uses it.
    InUse {
        /// What that one holds the lock on.
        lock: PathBuf,
    },
    /// It is a directory, a device or the like.
    NotAFile,
    /// The system refuses.
    System {
        /// What was to be done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl fmt::Display for NoStateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoStateFile::InUse { lock } => write!(
                f,
                "another ifmatch uses it and holds the lock on {}; stop that one first, or give this one a \
                 state_file of its own",
                lock.display()
            ),
            NoStateFile::NotAFile => f.write_str("it is no regular file; choose another path"),
            NoStateFile::System { doing, path, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())?;
                if error.kind() == io::ErrorKind::NotFound {
                    f.write_str("; create its directory")?;
                } else if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) {
                    f.write_str("; the user that ifmatch runs as has to be able to write there")?;
                }
                Ok(())
            }
        }
    }
}

/// What a start found in place of a state.
enum Found {
    Ledger(Arc<MemoryLedger>),
    Nothing,
    Unusable(Unusable),
}

impl StateFile {
    /// Claims the file for this process, and makes sure that it can be written in the end.
    ///
    /// # Errors
    /// If another process has claimed it, or its directory cannot be written to. Nothing has changed then.
    pub fn claim(file: &Path) -> Result<Self, NoStateFile> {
        let lock = beside(file, "lock");
        let open = |new: bool| OpenOptions::new().create_new(new).write(true).mode(MODE).open(&lock);
        let (opened, is_first) = match open(true) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (open(false), false),
            created => (created, true),
        };
        let held = opened.map_err(failed("open", &lock))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NoStateFile::InUse { lock }),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &lock)(error)),
        }
        let state = StateFile { file: file.to_owned(), is_first, _lock: held };
        let tried = state.new_file();
        drop(tried.map_err(failed("create", &state.unfinished()))?);
        fs::remove_file(state.unfinished()).map_err(failed("remove", &state.unfinished()))?;
        Ok(state)
    }

    /// Takes the ledger out of the file, which is durably gone then; a new life where there is none, or
    /// none to be trusted. That one waits out `limits.start_hold` first.
    ///
    /// # Errors
    /// If the file cannot be read or taken away.
    pub fn take(&self, limits: LedgerLimits) -> Result<Arc<MemoryLedger>, NoStateFile> {
        let file = self.file.display();
        match self.read(limits)? {
            Found::Ledger(ledger) => {
                fs::remove_file(&self.file).map_err(failed("remove", &self.file))?;
                self.sync_folder()?;
                tracing::info!(
                    file = %file,
                    resources = ledger.len(),
                    unsettled = ledger.restored(),
                    forgotten = ledger.evictions(),
                    "the ledger goes on from its state file; earlier tags stay good"
                );
                return Ok(ledger);
            }
            Found::Nothing => {
                let why = if self.is_first {
                    "this is its first start"
                } else {
                    "the process before did not end cleanly, or had not begun to judge writes"
                };
                tracing::warn!(
                    file = %file,
                    why,
                    hold = ?limits.start_hold,
                    "there is no state file; the ledger begins a new life: earlier tags are refused, and \
                     guarded writes wait first"
                );
            }
            Found::Unusable(reason) => {
                let aside = beside(&self.file, "refused");
                let moved = fs::rename(&self.file, &aside);
                if moved.is_err() {
                    // Kept if that can be had; gone in any case.
                    fs::remove_file(&self.file).map_err(failed("remove", &self.file))?;
                }
                self.sync_folder()?;
                tracing::error!(
                    file = %file,
                    reason = %reason,
                    moved_to = moved.is_ok().then(|| aside.display().to_string()),
                    hold = ?limits.start_hold,
                    "the state file is refused; the ledger begins a new life: earlier tags are refused, and \
                     guarded writes wait first"
                );
            }
        }
        Ok(MemoryLedger::new(limits))
    }

    fn read(&self, limits: LedgerLimits) -> Result<Found, NoStateFile> {
        // Looked at before it is opened, which a pipe would never come back from.
        match fs::metadata(&self.file) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(NoStateFile::NotAFile),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(failed("read", &self.file)(error)),
        }
        let file = File::open(&self.file).map_err(failed("read", &self.file))?;
        let length = file.metadata().map_err(failed("read", &self.file))?.len();
        let restored = Reader::open(BufReader::with_capacity(BUFFER, file), length)
            .and_then(|reader| MemoryLedger::restore(limits, reader));
        Ok(restored.map_or_else(Found::Unusable, Found::Ledger))
    }

    /// Saves the ledger, which is closed by it: whole and on disk, or not at all.
    ///
    /// # Errors
    /// If it cannot be written. Then there is no state file.
    pub fn save(&self, ledger: &MemoryLedger) -> io::Result<()> {
        let Some(closed) = ledger.close() else {
            tracing::warn!(
                file = %self.file.display(),
                "nothing is saved: writes of the ledger's life before might still be applied; the next start \
                 waits for them"
            );
            return Ok(());
        };
        let unfinished = self.unfinished();
        let written = self.new_file().and_then(|file| {
            let mut file = BufWriter::with_capacity(BUFFER, file);
            let saved = closed.write_to(&mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&unfinished, &self.file)?;
            Ok(saved)
        });
        match written {
            Ok(saved) => {
                // The rename is whole either way. Without this it may be gone after a loss of power, which
                // is a start without a state.
                File::open(folder_of(&self.file))?.sync_all()?;
                tracing::info!(
                    file = %self.file.display(),
                    resources = saved.resources,
                    occupied = saved.occupied,
                    "the ledger is saved"
                );
                Ok(())
            }
            Err(error) => {
                // It may not be there at all.
                drop(fs::remove_file(&unfinished));
                Err(error)
            }
        }
    }

    fn unfinished(&self) -> PathBuf {
        beside(&self.file, "unfinished")
    }

    /// What a process that was killed while saving left behind is no state, and is replaced.
    fn new_file(&self) -> io::Result<File> {
        let path = self.unfinished();
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        OpenOptions::new().create_new(true).write(true).mode(MODE).open(path)
    }

    fn sync_folder(&self) -> Result<(), NoStateFile> {
        let folder = folder_of(&self.file);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
    }
}

/// The secret keys of the hashes are nobody else's business.
const MODE: u32 = 0o600;
/// A few thousand records a call of the system.
const BUFFER: usize = 128 * 1024;

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NoStateFile {
    move |error| NoStateFile::System { doing, path: path.to_owned(), error }
}
