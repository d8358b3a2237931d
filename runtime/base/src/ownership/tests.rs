//! Tests of the rules: as pure functions of owner and mode, and with real files, which belong to
//! this user, belong to another user, or are reached through links.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use rustix::fs::{CWD, mkfifoat};

use super::*;

/// The user who runs the process in the pure tests.
const ME: u32 = 1000;

const OTHER: u32 = 1001;

fn it(kind: FileType, owner: u32, mode: u32) -> Ownership {
    Ownership { owner, mode, kind, read_only: false }
}

fn file(owner: u32, mode: u32) -> Ownership {
    it(FileType::RegularFile, owner, mode)
}

fn folder(owner: u32, mode: u32) -> Ownership {
    it(FileType::Directory, owner, mode)
}

/// Returns `None` if the file is trusted, and otherwise whether every user of the machine can
/// change or replace it.
fn judged(it: Ownership, user: u32) -> Option<bool> {
    doubt("it", it, user).map(|doubt| doubt.by_anybody)
}

#[test]
fn this_user_and_root_are_trusted() {
    for owner in [0, ME] {
        for mode in [0o400, 0o644, 0o755] {
            assert_eq!(judged(file(owner, mode), ME), None, "{owner} {mode:o}");
            assert_eq!(judged(folder(owner, mode), ME), None, "{owner} {mode:o}");
        }
    }
    assert_eq!(judged(file(OTHER, 0o600), ME), Some(false));
    assert_eq!(judged(folder(OTHER, 0o755), ME), Some(false));
    // Root does not trust a user either.
    assert_eq!(judged(file(ME, 0o600), 0), Some(false));
}

#[test]
fn what_others_can_write_is_worse_than_what_the_group_can() {
    assert_eq!(judged(file(ME, 0o664), ME), Some(false));
    assert_eq!(judged(folder(ME, 0o775), ME), Some(false));
    for mode in [0o666, 0o646, 0o777] {
        assert_eq!(judged(file(ME, mode), ME), Some(true), "{mode:o}");
        assert_eq!(judged(folder(0, mode), ME), Some(true), "{mode:o}");
    }
    let what = doubt("its folder /srv", folder(ME, 0o777), ME).unwrap().to_string();
    assert_eq!(what, "its folder /srv can be written by every user of this machine (mode 777): chmod o-w it");
}

/// In a sticky folder, such as `/tmp`, only the owner of a file can replace the file. On a file the
/// bit has no effect.
#[test]
fn a_sticky_folder_protects_its_files() {
    assert_eq!(judged(folder(0, 0o1777), ME), None);
    assert_eq!(judged(folder(OTHER, 0o1777), ME), Some(false), "its owner can replace them");
    assert_eq!(judged(file(ME, 0o1666), ME), Some(true));
}

#[test]
fn nobody_writes_to_a_read_only_mount() {
    let mounted = |it| Ownership { read_only: true, ..it };
    assert_eq!(judged(mounted(folder(0, 0o777)), ME), None);
    assert_eq!(judged(mounted(file(0, 0o666)), ME), None);
    assert!(exposed(mounted(file(0, 0o644)), ME).is_some(), "it can still be read");
    let pipe = mounted(it(FileType::Fifo, ME, 0o666));
    assert!(refuse_pipe(pipe, 0o660, ME).is_err(), "a pipe can still be written");
}

#[test]
fn a_secret_is_for_its_owner_and_group() {
    for mode in [0o400, 0o600, 0o640, 0o660] {
        assert_eq!(exposed(file(ME, mode), ME), None, "{mode:o}");
        assert_eq!(exposed(file(0, mode), ME), None, "{mode:o}");
    }
    let what = exposed(file(ME, 0o644), ME).unwrap();
    assert_eq!(what, "every user of this machine can read it (mode 644): chmod o-rwx it");
    assert!(exposed(file(ME, 0o602), ME).unwrap().contains("can change it"));
    assert!(exposed(file(OTHER, 0o600), ME).unwrap().contains("belongs to the user 1001"));
}

#[test]
fn a_pipe_is_of_this_user_or_root_and_lets_in_no_more_than_the_listener_says() {
    let pipe = |owner, mode, allowed| refuse_pipe(it(FileType::Fifo, owner, mode), allowed, ME);
    for owner in [0, ME] {
        for (mode, allowed) in
            [(0o600, 0o660), (0o660, 0o660), (0o644, 0o660), (0o622, 0o622), (0o666, 0o666)]
        {
            assert_eq!(pipe(owner, mode, allowed), Ok(()), "{mode:o} {allowed:o}");
        }
    }
    assert!(pipe(OTHER, 0o600, 0o660).unwrap_err().contains("belongs to the user 1001"));
    for (mode, allowed) in [(0o662, 0o660), (0o620, 0o600), (0o666, 0o660), (0o622, 0o606)] {
        assert!(
            pipe(ME, mode, allowed).unwrap_err().contains("more users can write"),
            "{mode:o} {allowed:o}"
        );
    }
    assert!(refuse_pipe(file(ME, 0o600), 0o660, ME).unwrap_err().contains("no named pipe"));
}

/// A folder that only this user can use. It is removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wireplug-ownership-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn pipe(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        mkfifoat(CWD, &path, Mode::RUSR).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn doubts_of(path: &Path) -> Vec<(String, bool)> {
    let doubts = doubts(path, &open_file(path).unwrap()).unwrap();
    doubts.into_iter().map(|doubt| (doubt.to_string(), doubt.by_anybody)).collect()
}

#[test]
fn files_and_folders_as_they_are() {
    let home = Folder::new("files");
    assert_eq!(doubts_of(&home.file("sound", 0o644)), []);
    let shared = doubts_of(&home.file("shared", 0o666));
    assert_eq!(shared.len(), 1, "{shared:?}");
    assert!(shared[0].0.starts_with("it can be written by every user") && shared[0].1, "{shared:?}");

    let open = home.0.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let inside = open.join("inside");
    fs::write(&inside, "").unwrap();
    fs::set_permissions(&inside, Permissions::from_mode(0o600)).unwrap();
    let replaceable = doubts_of(&inside);
    assert!(replaceable[0].0.starts_with("its folder /") && replaceable[0].1, "{replaceable:?}");

    // A link does not avoid the checks: they apply to its target and to the folders of both.
    let link = home.0.join("link");
    symlink(&inside, &link).unwrap();
    assert_eq!(doubts_of(&link), replaceable);
    let shared = home.file("shared-target", 0o666);
    fs::remove_file(&link).unwrap();
    symlink(&shared, &link).unwrap();
    assert!(doubts_of(&link)[0].1);
}

#[test]
fn secrets_are_read_within_bounds_and_from_files_only() {
    let home = Folder::new("secrets");
    let read = read_secret(&home.file("mine", 0o600), 100).unwrap();
    assert_eq!((&read.content[..], read.warning), (&b"secret\n"[..], None));
    let path = home.file("open", 0o644);
    let warning = read_secret(&path, 7).unwrap().warning.unwrap();
    let wanted = format!("{}: every user of this machine can read it (mode 644)", path.display());
    assert!(warning.starts_with(&wanted), "{warning}");
    let refused = |path: &Path, max| read_secret(path, max).err().unwrap().to_string();
    assert_eq!(refused(&path, 6), "it is larger than 6 bytes");
    assert_eq!(refused(&home.0, 100), "it is not a file");
    // Nothing writes to this pipe, and the call does not wait for a writer.
    assert_eq!(refused(&home.pipe("pipe", 0o600), 100), "it is not a file");
}

#[test]
fn pipes_as_they_are() {
    let home = Folder::new("pipes");
    assert_eq!(check_pipe_at(&home.pipe("mine", 0o660), 0o660).unwrap(), []);
    let refused = |path: &Path| check_pipe_at(path, 0o660).unwrap_err().to_string();
    assert!(refused(&home.pipe("shared", 0o666)).contains("more users can write"));
    assert!(refused(&home.file("file", 0o600)).contains("no named pipe"));

    let folder = home.0.join("folder");
    fs::create_dir(&folder).unwrap();
    let inside = folder.join("inside");
    mkfifoat(CWD, &inside, Mode::RUSR | Mode::WUSR).unwrap();
    for (mode, wanted) in [(0o755, Some(0)), (0o775, Some(1)), (0o777, None), (0o1777, Some(0))] {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        let checked = check_pipe_at(&inside, 0o660);
        assert_eq!(checked.as_ref().ok().map(Vec::len), wanted, "{mode:o}: {checked:?}");
    }
    let link = home.0.join("link");
    symlink(&inside, &link).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&link).contains("whoever can replace the pipe"));
}

/// Only root can give files to another user. Without root, only the pure tests above cover this
/// case.
#[test]
fn files_of_another_user() {
    if user() != 0 {
        println!("not root: the files of another user are those of the pure tests alone");
        return;
    }
    let home = Folder::new("another");
    let path = home.file("theirs", 0o600);
    chown(&path, Some(OTHER), None).unwrap();
    assert_eq!(
        doubts_of(&path),
        [("it belongs to the user 1001, who can change it: chown it".to_owned(), false)]
    );
    assert!(read_secret(&path, 100).unwrap().warning.unwrap().contains("belongs to the user 1001"));
    let pipe = home.pipe("pipe", 0o600);
    chown(&pipe, Some(OTHER), None).unwrap();
    assert!(check_pipe_at(&pipe, 0o660).unwrap_err().to_string().contains("belongs to the user 1001"));
    chown(&pipe, Some(0), None).unwrap();
    chown(&home.0, Some(OTHER), None).unwrap();
    assert!(check_pipe_at(&pipe, 0o660).unwrap_err().to_string().contains("belongs to the user 1001"));
}
