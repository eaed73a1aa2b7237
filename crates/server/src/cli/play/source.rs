//! Where a recording is: a file that is named, a file of a data directory, or a download from a server.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use http::Method;
use http_body_util::BodyExt as _;
use recording::{Player, RecordError, Recording};
use serde_json::Value;

use super::super::{ApiClient, Failure, PlayArgs, client, query, say};

/// Largest recording that is downloaded for playing.
const MAX_DOWNLOAD: u64 = 16 << 30;
/// Folders and files looked at in a recordings directory.
const MAX_LOOKED_AT: usize = 5_000_000;

/// A recording that can be opened more than once.
pub struct Source {
    path: PathBuf,
    /// Removed when the player ends.
    temporary: bool,
}

impl Source {
    /// A file that stays.
    #[cfg(test)]
    pub fn file(path: PathBuf) -> Self {
        Self { path, temporary: false }
    }
    /// From its beginning.
    pub fn open(&self) -> Result<Recording, RecordError> {
        Recording::open(&self.path)
    }
    /// From a moment.
    pub fn play(&self, at_us: u64) -> Result<Player, RecordError> {
        self.open()?.play(at_us)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Finds what the command line means.
///
/// # Errors
/// Nothing, or too much, fits.
pub async fn find(args: &PlayArgs) -> Result<Source, Failure> {
    let named = Path::new(&args.id);
    if (args.id.contains('/') || args.id.ends_with(".rec")) && named.is_file() {
        return Ok(Source { path: named.to_path_buf(), temporary: false });
    }
    let plain = (4..=36).contains(&args.id.len()) && args.id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if !plain {
        return Err(Failure::usage(say("cli.bad_session", &[("id", &args.id)])));
    }
    let id = args.id.to_ascii_lowercase();
    if args.target.server().is_none()
        && let Some(dir) = client::data_dir(args.target.data.as_deref())
    {
        client::may_administrate(&dir)?;
        return in_directory(&dir.join("recordings"), &id);
    }
    download(args, &id).await
}

fn in_directory(recordings: &Path, id: &str) -> Result<Source, Failure> {
    let mut found: Option<PathBuf> = None;
    let mut looked_at = 0;
    let mut folders = vec![(recordings.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            looked_at += 1;
            if looked_at > MAX_LOOKED_AT {
                break;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_dir() && depth < 3 {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && name.ends_with(".rec") && name.starts_with(id) {
                if found.is_some() {
                    return Err(Failure::says("cli.ambiguous_session", &[("id", id)]));
                }
                found = Some(entry.path());
            }
        }
    }
    found.map(|path| Source { path, temporary: false }).ok_or_else(|| Failure::says("cli.no_recording", &[("id", id)]))
}

async fn download(args: &PlayArgs, id: &str) -> Result<Source, Failure> {
    let client = ApiClient::of(&args.target).await?;
    let id = if id.len() == 36 { id.to_owned() } else { whole_id(&client, id).await? };
    let mut body = client.stream(Method::GET, &format!("/api/v1/terminal/sessions/{id}/replay/download/?format=rec"), None).await?;
    let mut name = [0u8; 16];
    getrandom::fill(&mut name).map_err(|e| Failure::failed(e.to_string()))?;
    let name: String = name.iter().map(|b| format!("{b:02x}")).collect();
    let path = std::env::temp_dir().join(format!("rampart-{name}.rec"));
    let mut file: File = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let source = Source { path, temporary: true };
    let mut size = 0u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::unreachable(say("cli.cut_off", &[("detail", &e.to_string())])))?;
        let Some(data) = frame.data_ref() else { continue };
        size += data.len() as u64;
        if size > MAX_DOWNLOAD {
            return Err(Failure::says("cli.too_large", &[]));
        }
        file.write_all(data)?;
    }
    client.close().await;
    Ok(source)
}

/// The one session whose id begins so, among the newest.
async fn whole_id(client: &ApiClient, start: &str) -> Result<String, Failure> {
    let answer = client.get(&query("/api/v1/terminal/sessions/", &[("limit", "1000".into()), ("order", "-date_start".into())])).await?;
    let rows = answer.get("results").unwrap_or(&answer).as_array().cloned().unwrap_or_default();
    let mut fitting = rows.iter().filter_map(|r| r.get("id").and_then(Value::as_str)).filter(|id| id.starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (Some(_), Some(_)) => Err(Failure::says("cli.ambiguous_session", &[("id", start)])),
        (None, _) => Err(Failure::says("cli.no_recording", &[("id", start)])),
    }
}
