//! One of many files while it is written: lines, or a Parquet file.
//!
//! Both write into memory first, and from there into a [`StagedFile`]: so a full disk is an error that may pass, which a
//! Parquet writer alone could not bear.

use gristmill_dataflow::document::Encode;
use gristmill_ports::PortError;
use gristmill_ports::sink::RefusedRow;
use gristmill_types::EventBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::staged_file::StagedFile;
use crate::format::encode::Encoder;
use crate::format::encode::parquet::ParquetRows;
use crate::sink::encodable::encode_what_can_be;
use crate::sink::tally::Tally;

/// Bytes of columns that are held in memory before they are written as a row group.
const ROW_GROUP: usize = 16 << 20;

/// How a sink writes its files.
pub(super) enum PartFormat {
    Lines(Encoder),
    Parquet(ParquetRows),
}

impl PartFormat {
    /// # Errors
    /// `Fatal` for a path into values that is none.
    pub(super) fn new(spec: &Encode) -> Result<Self, PortError> {
        Ok(match spec {
            Encode::Parquet(parquet) => Self::Parquet(ParquetRows::new(parquet)?),
            Encode::JsonLines | Encode::JsonEnvelope | Encode::Csv(_) => Self::Lines(Encoder::new(spec)?),
        })
    }

    /// Begins a file.
    ///
    /// # Errors
    /// As for [`StagedFile::append`].
    pub(super) fn begin(&self, mut file: StagedFile) -> Result<Part, PortError> {
        let writer = match self {
            Self::Lines(encoder) => {
                file.append(|out| out.extend_from_slice(&encoder.header()))?;
                None
            }
            Self::Parquet(rows) => {
                let zstd = ZstdLevel::try_new(3).expect("zstd has a level 3");
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(zstd))
                    .set_created_by(concat!("gristmill ", env!("CARGO_PKG_VERSION")).to_owned())
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties));
                Some(writer.expect("columns of these types have a parquet schema"))
            }
        };
        Ok(Part { file, writer, rows: 0 })
    }
}

/// A file while it is written.
pub(super) struct Part {
    file: StagedFile,
    /// What makes the bytes of a Parquet file, until it is complete.
    writer: Option<ArrowWriter<Vec<u8>>>,
    rows: usize,
}

impl Part {
    /// Writes a batch; returns what does not fit.
    ///
    /// # Errors
    /// `Retry` or `Fatal` if the disk takes nothing; then nothing of the batch was taken.
    pub(super) fn write(
        &mut self,
        format: &PartFormat,
        events: &EventBatch,
        tally: &mut Tally,
    ) -> Result<Vec<RefusedRow>, PortError> {
        let refused = match (format, &mut self.writer) {
            (PartFormat::Parquet(rows), Some(writer)) => {
                self.file.append(|out| out.append(writer.inner_mut()))?;
                let (columns, refused) = rows.rows(events);
                writer.write(&columns).and_then(|()| flush_if_large(writer)).map_err(|error| {
                    PortError::fatal(format!("cannot make a parquet file of these events: {error}"))
                })?;
                tally.count_all_but(&refused, events);
                refused
            }
            (PartFormat::Lines(encoder), _) => {
                self.file.append(|out| encode_what_can_be(encoder, events, out, tally))?
            }
            (PartFormat::Parquet(_), None) => unreachable!("a complete file is not written further"),
        };
        self.rows += events.len() - refused.len();
        Ok(refused)
    }

    /// How many events are in it.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Its length, as far as that is known while it grows.
    pub(super) fn size(&self) -> u64 {
        let making = self.writer.as_ref().map_or(0, |writer| writer.inner().len() + writer.in_progress_size());
        self.file.length() + making as u64
    }

    /// Hands everything that is made to the operating system.
    ///
    /// # Errors
    /// `Retry` if the disk is full, `Fatal` for what does not pass.
    pub(super) fn write_out(&mut self) -> Result<(), PortError> {
        if let Some(writer) = &mut self.writer {
            self.file.append(|out| out.append(writer.inner_mut()))?;
        }
        self.file.write_out()
    }

    /// Completes the file and closes it.
    ///
    /// # Errors
    /// As for [`Self::write_out`].
    pub(super) fn close(&mut self) -> Result<(), PortError> {
        if let Some(mut writer) = self.writer.take() {
            let completed = self.file.append(|out| {
                writer.finish()?;
                out.append(writer.inner_mut());
                Ok::<_, parquet::errors::ParquetError>(())
            });
            match completed {
                Ok(made) => made.map_err(|error| {
                    PortError::fatal(format!("cannot complete the parquet file `{}`: {error}", self.file.name()))
                })?,
                // The disk took nothing, and nothing was made: the writer is as it was.
                Err(full) => {
                    self.writer = Some(writer);
                    return Err(full);
                }
            }
        }
        self.file.close()
    }

    /// Completes the file and brings it to the disk. Returns its name and its length.
    ///
    /// # Errors
    /// As for [`StagedFile::seal`].
    pub(super) fn seal(&mut self) -> Result<(&str, u64), PortError> {
        self.close()?;
        self.file.seal()?;
        Ok((self.file.name(), self.file.length()))
    }
}

fn flush_if_large(writer: &mut ArrowWriter<Vec<u8>>) -> parquet::errors::Result<()> {
    if writer.in_progress_size() >= ROW_GROUP { writer.flush() } else { Ok(()) }
}
