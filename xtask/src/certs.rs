//! Keys and certificates for one bed: an authority, the daemon's certificate,
//! and one for each tenant's user. Made anew each time, never for production.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate chain and its key, as PEM text.
pub(crate) struct Identity {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key.
    pub(crate) key: String,
}

/// Where an identity was written.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    /// Writes `NAME.pem` and `NAME.key`, the key for its owner alone.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<Files> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::create_dir_all(folder)?;
        let files = Files {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, &self.certificate).context("cannot write a certificate")?;
        fs::write(&files.key, "").context("cannot write a key")?;
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600))?;
        fs::write(&files.key, &self.key).context("cannot write a key")?;
        Ok(files)
    }
}

/// An authority of its own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new key and a certificate that it signs itself.
    pub(crate) fn new() -> Result<Self> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = params("Xenios test bed")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .context("cannot sign the authority")?
            .pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// The authority's certificate, as PEM text.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The daemon's: as dom0 and as the host's forwarded port.
    pub(crate) fn server(&self) -> Result<Identity> {
        let mut params = params("xeniosd")?;
        params.subject_alt_names = vec![
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::IpAddress([10, 0, 2, 15].into()),
            SanType::DnsName("localhost".try_into().context("a DNS name")?),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A user of a tenant: the tenant in the URI name, the user in the subject.
    pub(crate) fn client(&self, tenant: &str, user: &str) -> Result<Identity> {
        let mut params = params(user)?;
        let uri = format!("xenios://tenant/{tenant}");
        params.subject_alt_names = vec![SanType::URI(
            uri.try_into().context("a tenant's name is not ASCII")?,
        )];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("cannot sign a certificate")?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// Valid from yesterday, whatever dom0's clock says, for a month.
fn params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new()).context("no names")?;
    params.distinguished_name.push(DnType::CommonName, name);
    let today = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_secs()
        / 86_400;
    let date = |days: u64| {
        let (year, month, day) = civil(days);
        rcgen::date_time_ymd(year, month, day)
    };
    params.not_before = date(today.saturating_sub(1));
    params.not_after = date(today + 30);
    Ok(params)
}

/// The date so many days after 1970-01-01, by Howard Hinnant's
/// `civil_from_days` ("chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (i32, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let small = |value: u64| u8::try_from(value).expect("months and days are small");
    (
        i32::try_from(year).expect("a year of this era"),
        small(month),
        small(day),
    )
}

#[cfg(test)]
mod tests;
