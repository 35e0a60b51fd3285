//! Whether the file that the next piece is to go into is the one that the pieces before it went into, and ends there.
//!
//! Told by its length, by its last bytes before the piece, and by what stands where the piece belongs: nothing, or what a
//! try to write the piece has left. A copy of the file is as good as the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use gristmill_ports::PortError;

use super::staging::{Append, Ending};

/// Bytes that are compared at a time.
const CHUNK: usize = 64 << 10;

/// Why a file is not the one that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    Gone,
    /// It does not reach as far.
    Short {
        bytes: u64,
    },
    /// It reaches as far, with other bytes.
    Other,
    /// Behind what was written stands something else than the piece.
    Longer {
        bytes: u64,
    },
}

/// Looks at the target of a piece.
///
/// # Errors
/// If the disk refuses; within, why the piece does not belong there.
pub(super) fn check(target: &File, piece: &File, append: &Append) -> io::Result<Result<(), Stranger>> {
    let Append { offset, length, behind, .. } = append;
    let bytes = target.metadata()?.len();
    if bytes < *offset {
        return Ok(Err(Stranger::Short { bytes }));
    }
    if let Some(ending) = behind {
        let looked_at = ending.bytes.min(*offset).min(Ending::MOST as u64);
        let mut end = vec![0; looked_at as usize];
        target.read_exact_at(&mut end, offset - looked_at)?;
        if Ending::of(&end) != *ending {
            return Ok(Err(Stranger::Other));
        }
    }
    let is_there = holds(target, *offset, piece, (bytes - offset).min(*length))?;
    Ok(if is_there { Ok(()) } else { Err(Stranger::Longer { bytes }) })
}

/// Whether these bytes of the target are the first ones of the piece. Zeros pass: a crash can leave them where bytes were
/// on their way.
fn holds(target: &File, offset: u64, piece: &File, length: u64) -> io::Result<bool> {
    let (mut found, mut wanted) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    while at < length {
        let step = (length - at).min(CHUNK as u64) as usize;
        target.read_exact_at(&mut found[..step], offset + at)?;
        piece.read_exact_at(&mut wanted[..step], at)?;
        if found[..step].iter().zip(&wanted).any(|(found, wanted)| found != wanted && *found != 0) {
            return Ok(false);
        }
        at += step as u64;
    }
    Ok(true)
}

impl Stranger {
    /// What is wrong with the target in which the next piece belongs behind so many bytes, and what to do about it.
    pub(super) fn told(self, target: &Path, offset: u64) -> PortError {
        let shown = target.display();
        let how = match self {
            Self::Gone => "is gone".to_owned(),
            Self::Short { bytes } => format!("has {bytes} bytes"),
            Self::Other => "holds other bytes than this job has written".to_owned(),
            Self::Longer { bytes } => {
                return PortError::fatal(format!(
                    "`{shown}` has {bytes} bytes, and the next output belongs behind its first {offset}: something else has \
                     written behind them, or checkpoints that were given up; cut it there (truncate -s {offset} {shown}), \
                     then restart the job"
                ));
            }
        };
        PortError::fatal(format!(
            "`{shown}` {how}, and the next output belongs behind its {offset} bytes: something else has moved, cut or \
             replaced it while the job was writing; put it back, then restart the job"
        ))
    }
}
