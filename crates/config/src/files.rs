//! The thin edge: files and the environment.

use crate::{ConfigError, Setting, Source, load_from, place_of};
use serde::de::DeserializeOwned;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// No configuration is as large as this; bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// The configuration of a program: `path` (which must exist; pass `None` for a default path that does not),
/// the `*.toml` files of `drop_ins` by name (the folder may be missing), the variables that start with
/// `env_prefix`, then `overrides`.
///
/// # Errors
/// Files that cannot be read, and whatever [`load_from`] refuses.
pub fn load<T: DeserializeOwned>(
    path: Option<&Path>,
    drop_ins: Option<&Path>,
    env_prefix: &str,
    overrides: &[Setting],
) -> Result<T, ConfigError> {
    let sources = paths(path, drop_ins)?.iter().map(|p| read(p)).collect::<Result<Vec<_>, _>>()?;
    load_from(&sources, &settings(env_prefix, overrides))
}

/// The texts of files that somebody else opened, each with the name that errors call it by.
///
/// # Errors
/// Files that cannot be read.
pub fn open_sources(files: impl IntoIterator<Item = (String, File)>) -> Result<Vec<Source>, ConfigError> {
    files.into_iter().map(|(name, file)| read_open(Path::new(&name), file)).collect()
}

/// The variables that start with a prefix, then `overrides`.
#[must_use]
pub fn settings(env_prefix: &str, overrides: &[Setting]) -> Vec<Setting> {
    let mut settings: Vec<Setting> = std::env::vars_os()
        .filter_map(|(name, value)| Setting::variable(env_prefix, name.to_str()?, &value.to_string_lossy()))
        .collect();
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    settings.extend_from_slice(overrides);
    settings
}

/// The configuration of a program whose file is `default` unless another is named: a file that is named must
/// exist, the default need not. Drop-ins are in the folder beside it with the extension `d`: `server.toml` has
/// `server.d/*.toml`.
///
/// # Errors
/// As [`load`].
pub fn load_program<T: DeserializeOwned>(
    named: Option<&Path>,
    default: &Path,
    env_prefix: &str,
    overrides: &[Setting],
) -> Result<T, ConfigError> {
    let (path, drop_ins) = program_places(named, default);
    load(path, Some(&drop_ins), env_prefix, overrides)
}

/// The files that [`load_program`] reads, in this order.
///
/// # Errors
/// When the folder of the drop-ins cannot be read.
pub fn program_paths(named: Option<&Path>, default: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let (path, drop_ins) = program_places(named, default);
    paths(path, Some(&drop_ins))
}

/// Where the value of a dotted key was written, in the files and variables that [`load_program`] reads.
#[must_use]
pub fn program_place(
    named: Option<&Path>,
    default: &Path,
    env_prefix: &str,
    overrides: &[Setting],
    key: &str,
) -> Option<String> {
    let paths = program_paths(named, default).ok()?;
    let sources = paths.iter().map(|p| read(p)).collect::<Result<Vec<_>, _>>().ok()?;
    place_of(&sources, &settings(env_prefix, overrides), key)
}

fn program_places<'a>(named: Option<&'a Path>, default: &'a Path) -> (Option<&'a Path>, PathBuf) {
    let path = named.or_else(|| default.exists().then_some(default));
    (path, named.unwrap_or(default).with_extension("d"))
}

fn paths(path: Option<&Path>, drop_ins: Option<&Path>) -> Result<Vec<PathBuf>, ConfigError> {
    let mut paths: Vec<PathBuf> = path.map(Path::to_path_buf).into_iter().collect();
    if let Some(folder) = drop_ins {
        let found = drop_in_paths(folder);
        paths.extend(found.map_err(|source| ConfigError::Read { path: folder.into(), source })?);
    }
    Ok(paths)
}

fn drop_in_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml") && !hidden(p));
    paths.sort();
    Ok(paths)
}

/// Editors and package managers leave hidden files behind.
fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."))
}

fn read(path: &Path) -> Result<Source, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.into(), source };
    read_open(path, File::open(path).map_err(failed)?)
}

fn read_open(path: &Path, file: File) -> Result<Source, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(ConfigError::TooLarge { path: path.into(), limit: FILE_LIMIT });
    }
    let name = path.display().to_string();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, text }),
        Err(e) => {
            let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|b| **b == b'\n').count();
            Err(ConfigError::Syntax { place: format!("{name}:{line}"), message: "not UTF-8 text".into() })
        }
    }
}
