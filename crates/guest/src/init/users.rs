//! Resolves `user[:group]` with the image's own `/etc/passwd` and `/etc/group`,
//! as other OCI runtimes do: names or numbers, numbers need no entry, and an
//! explicit group replaces the supplementary ones.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{Gid, Uid};
use thiserror::Error;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// The longest such file that is read; the rest is ignored.
const MAX_DATABASE: u64 = 4 << 20;
/// Ids above are refused, as by other OCI runtimes.
const MAX_ID: u32 = i32::MAX.cast_unsigned();
/// `NGROUPS_MAX` of Linux.
const MAX_GROUPS: usize = 65_536;

/// Whom the command runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// Supplementary groups.
    pub(crate) groups: Vec<Gid>,
    pub(crate) home: String,
}

#[derive(Debug, Error)]
pub(crate) enum UserError {
    #[error("cannot read {path}")]
    Database {
        path: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the image has no user {0:?} in /etc/passwd")]
    NoUser(String),
    #[error("the image has no group {0:?} in /etc/group")]
    NoGroup(String),
    #[error("the id {0} is above {MAX_ID}")]
    IdTooLarge(String),
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolves a user in the current root filesystem.
pub(crate) fn resolve(user: &str) -> Result<User, UserError> {
    resolve_in(user, &database(PASSWD)?, &database(GROUP)?)
}

fn database(path: &'static str) -> Result<String, UserError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_DATABASE).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        // An image from scratch has neither file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(UserError::Database { path, source }),
    }
}

fn resolve_in(user: &str, passwd: &str, group: &str) -> Result<User, UserError> {
    let (user, explicit_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let uid = number(user)?;
    let account = passwd
        .lines()
        .filter_map(account)
        .find(|account| uid.map_or(account.name == user, |uid| account.uid == uid));
    let (uid, primary, home) = match (&account, uid) {
        (Some(account), _) => (account.uid, account.gid, account.home),
        (None, Some(uid)) => (uid, 0, "/"),
        (None, None) => return Err(UserError::NoUser(user.to_owned())),
    };
    let (gid, groups) = match explicit_group {
        Some(wanted) => (find_group(wanted, group)?, Vec::new()),
        None => (
            primary,
            account
                .as_ref()
                .map_or_else(Vec::new, |account| groups_of(account.name, group)),
        ),
    };
    Ok(User {
        uid: Uid::from_raw(uid),
        gid: Gid::from_raw(gid),
        groups: groups.into_iter().map(Gid::from_raw).collect(),
        home: if home.is_empty() { "/" } else { home }.to_owned(),
    })
}

fn find_group(wanted: &str, database: &str) -> Result<u32, UserError> {
    if let Some(gid) = number(wanted)? {
        return Ok(gid);
    }
    database
        .lines()
        .filter_map(group)
        .find(|group| group.name == wanted)
        .map(|group| group.gid)
        .ok_or_else(|| UserError::NoGroup(wanted.to_owned()))
}

fn groups_of(user: &str, database: &str) -> Vec<u32> {
    database
        .lines()
        .filter_map(group)
        .filter(|group| group.members.split(',').any(|member| member == user))
        .map(|group| group.gid)
        .take(MAX_GROUPS)
        .collect()
}

/// `None` when the text is a name.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id <= MAX_ID => Ok(Some(id)),
        _ => Err(UserError::IdTooLarge(text.to_owned())),
    }
}

/// `name:password:uid:gid:gecos:home:shell` (passwd(5)); other lines are skipped.
fn account(line: &str) -> Option<Account<'_>> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).unwrap_or_default();
    let usable = uid <= MAX_ID && gid <= MAX_ID;
    usable.then_some(Account {
        name,
        uid,
        gid,
        home,
    })
}

/// `name:password:gid:members` (group(5)); other lines are skipped.
fn group(line: &str) -> Option<Group<'_>> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let gid = fields.nth(1)?.parse().ok()?;
    let members = fields.next().unwrap_or_default();
    (gid <= MAX_ID).then_some(Group { name, gid, members })
}

#[cfg(test)]
mod tests;
