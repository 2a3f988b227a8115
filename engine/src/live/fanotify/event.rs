//! Reads what fanotify(7) tells: events with the folder and the name of the file.
//!
//! Goes in: what one read(2) of a group gave, every byte of it in doubt. Comes out: one [`FileEvent`] after the other.
//!
//! ```text
//! | length 4 | version 1 | 0 | 2: length of this head | mask 8 | descriptor 4 | process 4 |   24 bytes, then infos:
//! | type 1 | 0 | length 2 | file system 8 | handle: length 4, type 4, bytes | name, NUL |
//! ```

/// `FANOTIFY_METADATA_VERSION`.
const VERSION: u8 = 3;
const HEAD: usize = 24;
/// `FAN_EVENT_INFO_TYPE_DFID_NAME`: a folder and a name in it.
const FOLDER_AND_NAME: u8 = 2;
/// The same of a file's old name, and of its new one.
const OLD: u8 = 10;
const NEW: u8 = 12;

/// What happened: bits of the mask (include/uapi/linux/fanotify.h).
pub(in crate::live) mod mask {
    /// A file that was open for writing was closed.
    pub(in crate::live) const CLOSE_WRITE: u64 = 0x8;
    /// Opened.
    pub(in crate::live) const OPEN: u64 = 0x20;
    /// Created.
    pub(in crate::live) const CREATE: u64 = 0x100;
    /// Its name was removed.
    pub(in crate::live) const DELETE: u64 = 0x200;
    /// Renamed (Linux 5.17).
    pub(in crate::live) const RENAME: u64 = 0x1000_0000;
    /// Events were lost.
    pub(in crate::live) const OVERFLOW: u64 = 0x4000;
    /// It was a folder; asked for together with others.
    pub(in crate::live) const FOLDER: u64 = 0x4000_0000;
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::live) struct FileEvent<'e> {
    /// What happened, of [`mask`].
    pub(in crate::live) mask: u64,
    /// Who did it; 0 for somebody of another PID namespace.
    pub(in crate::live) pid: u32,
    /// Where; of a rename the new place.
    pub(in crate::live) place: Option<Place<'e>>,
    /// Of a rename the old place.
    pub(in crate::live) old: Option<Place<'e>>,
}

/// A name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::live) struct Place<'e> {
    /// Which file system, as statfs(2) says it.
    pub(in crate::live) file_system: u64,
    /// The folder: `struct file_handle`.
    pub(in crate::live) handle: &'e [u8],
    /// `.` for the folder itself.
    pub(in crate::live) name: &'e [u8],
}

/// The events in what was read; ends at the first that makes no sense, `malformed` says so.
pub(in crate::live) fn events<'e>(mut bytes: &'e [u8], malformed: &mut u64, mut each: impl FnMut(FileEvent<'e>)) {
    while !bytes.is_empty() {
        let Some((event, rest)) = event(bytes) else {
            *malformed += 1;
            return;
        };
        each(event);
        bytes = rest;
    }
}

fn event(bytes: &[u8]) -> Option<(FileEvent<'_>, &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    let head = usize::from(u16_at(bytes, 6)?);
    if *bytes.get(4)? != VERSION || head < HEAD || length < head {
        return None;
    }
    let (this, rest) = bytes.split_at_checked(length)?;
    let mut event = FileEvent { mask: u64_at(this, 8)?, pid: u32_at(this, 20)?, place: None, old: None };
    let mut infos = this.get(head..)?;
    while !infos.is_empty() {
        let length = usize::from(u16_at(infos, 2)?);
        let (info, behind) = (length >= 4).then(|| infos.split_at_checked(length))??;
        match *info.first()? {
            FOLDER_AND_NAME | NEW => event.place = place(info),
            OLD => event.old = place(info),
            _ => {}
        }
        infos = behind;
    }
    Some((event, rest))
}

fn place(info: &[u8]) -> Option<Place<'_>> {
    let length = (u32_at(info, 12)? as usize).checked_add(8)?;
    let (handle, name) = info.get(12..)?.split_at_checked(length)?;
    let end = name.iter().position(|&byte| byte == 0)?;
    Some(Place { file_system: u64_at(info, 4)?, handle, name: name.get(..end)? })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(kind: u8, name: &[u8]) -> Vec<u8> {
        let mut info = vec![kind, 0, 0, 0];
        info.extend(7_u64.to_ne_bytes());
        info.extend([4, 0, 0, 0, 1, 0, 0, 0, b'h', b'a', b'n', b'd']);
        info.extend_from_slice(name);
        info.push(0);
        info.resize(info.len().next_multiple_of(4), 0);
        let length = (info.len() as u16).to_ne_bytes();
        info[2..4].copy_from_slice(&length);
        info
    }

    fn whole(mask: u64, infos: &[Vec<u8>]) -> Vec<u8> {
        let infos = infos.concat();
        let mut event = ((HEAD + infos.len()) as u32).to_ne_bytes().to_vec();
        event.extend([VERSION, 0, HEAD as u8, 0]);
        event.extend(mask.to_ne_bytes());
        event.extend((-1_i32).to_ne_bytes());
        event.extend(42_u32.to_ne_bytes());
        event.extend(infos);
        event
    }

    #[test]
    fn events_give_folder_and_name() {
        let bytes = [
            whole(mask::CREATE, &[info(FOLDER_AND_NAME, b"made")]),
            whole(mask::RENAME, &[info(OLD, b"old"), info(NEW, b"new")]),
            whole(mask::OVERFLOW, &[]),
        ]
        .concat();
        let (mut malformed, mut seen) = (0, Vec::new());
        events(&bytes, &mut malformed, |event| seen.push(event));
        assert_eq!(malformed, 0);
        let names: Vec<_> = seen
            .iter()
            .map(|event| {
                (event.mask, event.pid, event.place.map(|place| place.name), event.old.map(|place| place.name))
            })
            .collect();
        assert_eq!(
            names,
            [
                (mask::CREATE, 42, Some(&b"made"[..]), None),
                (mask::RENAME, 42, Some(&b"new"[..]), Some(&b"old"[..])),
                (mask::OVERFLOW, 42, None, None),
            ]
        );
        assert_eq!(seen[0].place.map(|place| (place.file_system, place.handle.len())), Some((7, 12)));
    }

    #[test]
    fn no_bytes_make_it_panic_or_go_on_for_ever() {
        let sound = whole(mask::RENAME, &[info(OLD, b"old"), info(NEW, b"new")]);
        for at in 0..sound.len() {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut bytes = sound.clone();
                bytes[at] = value;
                let mut count = 0;
                events(&bytes, &mut 0, |_| count += 1);
                events(&bytes[..at], &mut 0, |_| count += 1);
                assert!(count <= 4);
            }
        }
    }
}
