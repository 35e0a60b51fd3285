//! Files on their way to object storage and back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path as LocalPath;

use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt, PutPayload, Result, WriteMultipart};
use tokio_stream::StreamExt;

/// Files above this go in parts.
const LARGEST_AT_ONCE: u64 = 16 << 20;
/// No server takes more parts of one file than ten thousand.
const MOST_PARTS: u64 = 9_000;
const SMALLEST_PART: u64 = 8 << 20;
/// Parts under way at the same time, which is also how many are in memory.
const PARTS_AT_ONCE: usize = 4;

/// Why a transfer has failed: one side or the other.
#[derive(Debug)]
pub(super) enum Broken {
    /// The file of this machine.
    Here(io::Error),
    /// The storage.
    There(object_store::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Here(error)
    }
}

impl From<object_store::Error> for Broken {
    fn from(error: object_store::Error) -> Self {
        Self::There(error)
    }
}

/// Sends a file. Seen by nobody until it is whole.
pub(super) async fn send(store: &dyn ObjectStore, to: &Path, from: &LocalPath) -> Result<(), Broken> {
    let mut file = File::open(from)?;
    let bytes = file.metadata()?.len();
    if bytes <= LARGEST_AT_ONCE {
        let mut content = Vec::with_capacity(bytes as usize);
        file.read_to_end(&mut content)?;
        store.put(to, PutPayload::from(content)).await?;
        return Ok(());
    }
    let part = SMALLEST_PART.max(bytes.div_ceil(MOST_PARTS)) as usize;
    let mut upload = WriteMultipart::new_with_chunk_size(store.put_multipart(to).await?, part);
    match send_parts(&mut upload, file, part).await {
        Ok(()) => upload.finish().await.map(drop).map_err(Broken::There),
        Err(broken) => {
            // If this fails too, the parts are the bucket's lifecycle rules' to remove.
            let _ = upload.abort().await;
            Err(broken)
        }
    }
}

async fn send_parts(upload: &mut WriteMultipart, mut file: File, part: usize) -> Result<(), Broken> {
    loop {
        upload.wait_for_capacity(PARTS_AT_ONCE).await?;
        let mut content = Vec::with_capacity(part);
        if Read::by_ref(&mut file).take(part as u64).read_to_end(&mut content)? == 0 {
            return Ok(());
        }
        upload.put(content.into());
    }
}

/// Takes what was asked for into a new file, which goes again if it does not become whole.
pub(super) async fn receive(from: GetResult, to: &LocalPath) -> Result<(), Broken> {
    let file = File::create_new(to)?;
    let received = receive_into(from, file).await;
    if received.is_err() {
        let _ = std::fs::remove_file(to);
    }
    received
}

async fn receive_into(from: GetResult, mut file: File) -> Result<(), Broken> {
    let mut stream = from.into_stream();
    while let Some(piece) = stream.next().await {
        file.write_all(&piece?)?;
    }
    Ok(())
}
