//! `recordport content get` and `put`: the bytes of a field.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use serde_json::Value as Json;

use super::Session;
use super::args::{ContentAction, ContentGet, ContentPut};
use super::output::{Done, note};
use super::progress::Progress;
use super::replacement::Replacement;
use super::write;
use crate::error::{Error, Result};
use crate::provider::content::UploadMemory;
use crate::provider::{Content, Records, WriteOptions};
use crate::record::Key;
use crate::workspace::Use;

/// Bytes read from a file at once.
const PIECE: usize = 1024 * 1024;
/// The option of writing content that names the file.
const FILE_NAME: &str = "file_name";

/// Reads or writes content.
pub(crate) async fn run(session: &mut Session, action: ContentAction) -> Done {
    match action {
        ContentAction::Get(args) => get(session, args).await,
        ContentAction::Put(args) => put(session, args).await,
    }
}

async fn get(session: &mut Session, args: ContentGet) -> Done {
    let connected = session.connection(&args.of.connection, Use::default()).await?;
    let records = connected.open(&args.of.record_type).await?;
    let key = Key::parse(&args.key, &records.record_type().key)?;
    let field = field(&records, args.field.as_deref())?;
    let reading = records.read_content(&connected.context, &key, &field);
    let mut content = session.signals.or_stop(reading).await??;
    let target = args.file.as_deref().filter(|file| *file != Path::new("-"));
    let mut file = target.map(Replacement::begin).transpose()?;
    let mut progress = Progress::of("bytes");
    while let Some(piece) = session.signals.or_stop(content.bytes.next()).await? {
        let piece = piece.map_err(|error| {
            error.with_operation("content get").with_advice("What came is not the whole: read it again")
        })?;
        progress.add(piece.len() as u64);
        match &mut file {
            Some(file) => file.write(&piece)?,
            None => session.out.write(&piece)?,
        }
    }
    if let Some(file) = file {
        file.finish()?;
    }
    Ok(0)
}

async fn put(session: &mut Session, args: ContentPut) -> Done {
    let (connected, records, dry_run) = write::open(session, &args.of, &args.write).await?;
    let key = Key::parse(&args.key, &records.record_type().key)?;
    let field = field(&records, args.field.as_deref())?;
    let mut options = match &records.record_type().capability.content {
        Some(capability) => write::named_options(&capability.options, &args.write.options)?,
        None => serde_json::Map::new(),
    };
    let content = match args.file.as_deref().filter(|file| *file != Path::new("-")) {
        Some(path) => {
            let cannot = |error| Error::local(format!("cannot read {}: {error}", path.display()));
            let file = File::open(path).map_err(cannot)?;
            let length = file.metadata().map_err(cannot)?.len();
            name_file(&records, path, &mut options);
            Content::new(pieces(Box::new(file))).of_length(Some(length))
        }
        None => {
            let input = std::mem::replace(&mut session.input, Box::new(std::io::empty()));
            Content::new(pieces(input))
        }
    };
    let content = match args.checkpoint {
        // A dry run sends nothing that could be gone on with.
        Some(path) if dry_run.is_none() => content.with_memory(Arc::new(Kept { path })),
        _ => content,
    };
    let writing = records.write_content(&connected.context, &key, &field, content, &options);
    let outcome = match session.signals.finishing(writing).await? {
        Err(error) if dry_run.is_some() && error.kind() == crate::error::ErrorKind::DryRun => None,
        outcome => Some(outcome?),
    };
    if let Some(dry_run) = dry_run {
        for request in dry_run.requests() {
            session.out.json_line(&request)?;
        }
        return Ok(0);
    }
    let Some(outcome) = outcome else { return Ok(0) };
    session.out.json_line(&outcome.report(0))?;
    if let Some(error) = outcome.error() {
        note(&format!("{error}"));
        return Ok(1);
    }
    Ok(0)
}

/// Where a file's name is an option, it is that of the file read, unless another one is given.
fn name_file(records: &Arc<dyn Records>, path: &Path, options: &mut WriteOptions) {
    let capability = records.record_type().capability.content.as_ref();
    let takes = capability.is_some_and(|content| content.options["properties"].get(FILE_NAME).is_some());
    let name = path.file_name().and_then(|name| name.to_str());
    if let Some(name) = name.filter(|_| takes && !options.contains_key(FILE_NAME)) {
        options.insert(FILE_NAME.to_owned(), name.into());
    }
}

/// A file that keeps where an upload stands.
struct Kept {
    path: PathBuf,
}

impl UploadMemory for Kept {
    fn recall(&self) -> Option<Json> {
        serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()
    }

    fn keep(&self, mark: &Json) -> Result<()> {
        let mut file = Replacement::begin(&self.path)?;
        file.write(format!("{mark}\n").as_bytes())?;
        file.finish()
    }

    fn forget(&self) {
        // One that stays names an upload that is over, which is then begun anew.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The field named, or the usual one.
fn field(records: &Arc<dyn Records>, named: Option<&str>) -> Result<String> {
    let record_type = records.record_type();
    let usual =
        || record_type.capability.content.as_ref().and_then(|content| content.fields.first().cloned());
    named.map(str::to_owned).or_else(usual).ok_or_else(|| {
        Error::unsupported(format!("{} has no content", record_type.name))
            .with_record_type(record_type.name.as_str())
            .with_advice("`recordport schema show` tells which fields a type has")
    })
}

/// A file or pipe in pieces, read beside the other work.
fn pieces(input: Box<dyn Read + Send>) -> BoxStream<'static, Result<Bytes>> {
    let input = Arc::new(Mutex::new(input));
    stream::try_unfold(input, |input| async move {
        let shared = Arc::clone(&input);
        let reading = tokio::task::spawn_blocking(move || {
            let mut input = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let mut piece = Vec::with_capacity(PIECE);
            input.by_ref().take(PIECE as u64).read_to_end(&mut piece).map(|_| piece)
        });
        let piece = reading
            .await
            .map_err(|error| Error::bug(format!("reading the content failed: {error}")))?
            .map_err(|error| Error::local(format!("cannot read the content: {error}")))?;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), input)))
    })
    .boxed()
}
