//! One setting as it stands in the text, and the sizes in it.

use core::fmt;
use core::time::Duration;

use super::SettingsError;
use crate::fault::parse_time;

const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// One setting as it stands in the text.
pub(crate) struct Part<'a> {
    pub(super) text: &'a str,
    pub(crate) key: &'a str,
    pub(super) value: Option<&'a str>,
}

impl<'a> Part<'a> {
    pub(crate) fn value(&self) -> Result<&'a str, SettingsError> {
        self.value.filter(|value| !value.is_empty()).ok_or_else(|| SettingsError::NoValue(self.key.to_owned()))
    }

    pub(super) fn flag<T>(&self, what: T) -> Result<T, SettingsError> {
        match self.value {
            None => Ok(what),
            Some(_) => Err(SettingsError::Value(self.key.to_owned())),
        }
    }

    pub(crate) fn number(&self) -> Result<u64, SettingsError> {
        digits(self.value()?).ok_or_else(|| SettingsError::Number(self.text.to_owned()))
    }

    pub(crate) fn size(&self) -> Result<u64, SettingsError> {
        self.size_in(self.value()?)
    }

    /// One size, or two with `..` between them.
    pub(crate) fn span(&self) -> Result<(u64, u64), SettingsError> {
        let value = self.value()?;
        let (least, most) = value.split_once("..").unwrap_or((value, value));
        Ok((self.size_in(least)?, self.size_in(most)?))
    }

    /// The one of them that the value names.
    pub(crate) fn choice<T: fmt::Display, const N: usize>(&self, of: [T; N]) -> Result<T, SettingsError> {
        let value = self.value()?;
        let place = of.iter().position(|one| one.to_string() == value).ok_or_else(|| self.choices(&of))?;
        Ok(of.into_iter().nth(place).expect("it was found there"))
    }

    pub(crate) fn choices<T: fmt::Display>(&self, of: impl IntoIterator<Item = T>) -> SettingsError {
        SettingsError::Choice(self.text.to_owned(), of.into_iter().map(|one| one.to_string()).collect())
    }

    fn size_in(&self, value: &str) -> Result<u64, SettingsError> {
        let unit = UNITS.iter().find_map(|(name, shift)| Some((value.strip_suffix(name)?, *shift)));
        let (number, shift) = unit.unwrap_or((value, 0));
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SettingsError::Size(self.text.to_owned()));
        }
        let size = digits(number).and_then(|number| number.checked_mul(1 << shift));
        size.ok_or_else(|| SettingsError::TooLarge(self.text.to_owned()))
    }

    pub(super) fn time(&self) -> Result<Duration, SettingsError> {
        parse_time(self.value()?).ok_or_else(|| SettingsError::Time(self.text.to_owned()))
    }

    pub(super) fn lane(&self) -> Result<(u64, u64), SettingsError> {
        let lane = self.value()?.split_once('/').and_then(|(k, n)| Some((digits(k)?, digits(n)?)));
        lane.ok_or(SettingsError::Conflict("a lane is written K/N, such as 0/2"))
    }
}

/// A number without a sign, which `parse` would take.
fn digits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes a size in the largest unit that gives a whole number.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, shift)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match unit {
            Some((name, shift)) => write!(f, "{}{name}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}
