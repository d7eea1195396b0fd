//! Authentication as registries do it: a challenge, then Basic, or a token from the
//! service that the challenge names (CNCF distribution, "Token Authentication").

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

use super::transport::Request;
use super::{Credentials, Repository};
use crate::error::{Error, RegistryFault};

/// Longest answer of a token service, in bytes. Real ones have a few KiB.
const MAX_TOKEN_ANSWER: usize = 64 * 1024;
/// How long a token lasts that does not say so (the same specification).
const DEFAULT_LIFE: u64 = 60;
/// Most of a token's life that is used, in seconds: clocks differ.
const LIFE_MARGIN: u64 = 10;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// Finds the challenge to answer in a 401's headers: a token before a password.
    pub(super) fn find(headers: &HeaderMap) -> Option<Self> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(value) = value.to_str() else { continue };
            let (scheme, parameters) = value.split_once(' ').unwrap_or((value, ""));
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
            if scheme.eq_ignore_ascii_case("bearer") {
                let mut parameters = parse_parameters(parameters);
                if let Some(realm) = parameters.remove("realm") {
                    return Some(Self::Bearer {
                        realm,
                        service: parameters.remove("service"),
                    });
                }
            }
        }
        basic
    }
}

/// `name="value", name=value` (RFC 9110, section 11.2). Stops at what it cannot read.
fn parse_parameters(mut text: &str) -> HashMap<String, String> {
    let mut parameters = HashMap::new();
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        let Some((value, rest)) = parse_value(rest.trim_start()) else {
            break;
        };
        parameters.entry(name).or_insert(value);
        text = rest;
    }
    parameters
}

fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Authorizations that worked, by registry and repository.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<(String, String), (HeaderValue, Instant)>>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn get(&self, authority: &str, repository: &str) -> Option<HeaderValue> {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        tokens.retain(|_, (_, until)| *until > now);
        let key = (authority.to_owned(), repository.to_owned());
        tokens.get(&key).map(|(value, _)| value.clone())
    }

    pub(super) fn forget(&self, authority: &str, repository: &str) {
        let key = (authority.to_owned(), repository.to_owned());
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.remove(&key);
    }

    fn keep(&self, authority: &str, repository: &str, value: &HeaderValue, life: Duration) {
        let key = (authority.to_owned(), repository.to_owned());
        if let Some(until) = Instant::now().checked_add(life) {
            let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.insert(key, (value.clone(), until));
        }
    }
}

impl Repository<'_> {
    /// The answer to the challenge in `headers`.
    pub(super) async fn authorize(&self, headers: &HeaderMap) -> Result<HeaderValue, Error> {
        self.registries.tokens.forget(&self.authority, &self.name);
        let bad = || self.fault(RegistryFault::BadChallenge);
        let credentials = self.registry.credentials.as_ref();
        match Challenge::find(headers).ok_or_else(bad)? {
            Challenge::Basic => {
                let credentials = credentials.ok_or_else(|| Error::AccessDenied {
                    authority: self.authority.clone(),
                })?;
                basic(credentials).ok_or_else(bad)
            }
            Challenge::Bearer { realm, service } => {
                let url = self.token_url(&realm, service.as_deref()).ok_or_else(bad)?;
                let (value, life) = self.fetch_token(&url).await?;
                self.registries
                    .tokens
                    .keep(&self.authority, &self.name, &value, life);
                Ok(value)
            }
        }
    }

    /// Asks for no more than this repository, whatever the challenge proposes.
    fn token_url(&self, realm: &str, service: Option<&str>) -> Option<Url> {
        let mut url = Url::parse(realm).ok()?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &format!("repository:{}:pull", self.name));
        }
        Some(url)
    }

    async fn fetch_token(&self, url: &Url) -> Result<(HeaderValue, Duration), Error> {
        let bad = || self.fault(RegistryFault::BadChallenge);
        let credentials = self.registry.credentials.as_ref();
        let authorization = match credentials {
            Some(credentials) => Some(basic(credentials).ok_or_else(bad)?),
            None => None,
        };
        let request = Request {
            method: Method::GET,
            authority: &self.authority,
            url,
            headers: &[(ACCEPT, "application/json")],
            authorization,
            // A token service that moves could take the password along.
            follow: false,
        };
        let mut response = self.registries.transport.send(request).await?;
        let status = response.status().as_u16();
        match status {
            200 => {}
            401 | 403 => {
                return Err(Error::AccessDenied {
                    authority: self.authority.clone(),
                });
            }
            408 | 429 | 500..=599 => {
                return Err(self.fault(RegistryFault::Unavailable(status)));
            }
            _ => return Err(bad()),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(e))? {
            if body.len() + chunk.len() > MAX_TOKEN_ANSWER {
                return Err(bad());
            }
            body.extend_from_slice(&chunk);
        }
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| bad())?;
        let token = answer.token.or(answer.access_token).ok_or_else(bad)?;
        let value = sensitive(&format!("Bearer {token}")).ok_or_else(bad)?;
        let life = answer.expires_in.unwrap_or(DEFAULT_LIFE);
        Ok((value, Duration::from_secs(life.saturating_sub(LIFE_MARGIN))))
    }
}

fn basic(Credentials { username, password }: &Credentials) -> Option<HeaderValue> {
    let pair = BASE64_STANDARD.encode(format!("{username}:{password}"));
    sensitive(&format!("Basic {pair}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests;
