//! Prices with four decimals.

use std::fmt;
use std::str::FromStr;

const DECIMALS: usize = 4;
const UNIT: u64 = 10_000;

/// A price in ten-thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Price(u64);

impl Price {
    /// Returns the average price of a quantity that cost this much.
    pub(crate) fn average(value: u128, quantity: u64) -> Self {
        let average = value.checked_div(u128::from(quantity)).unwrap_or(0);
        Self(u64::try_from(average).unwrap_or(u64::MAX))
    }

    /// Returns what a quantity costs.
    pub(crate) fn times(self, quantity: u64) -> u128 {
        u128::from(self.0) * u128::from(quantity)
    }
}

/// The text is no price above zero with at most four decimals.
#[derive(Debug)]
pub(crate) struct NoPrice;

impl FromStr for Price {
    type Err = NoPrice;

    fn from_str(text: &str) -> Result<Self, NoPrice> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if decimals.len() > DECIMALS || !(whole.bytes().chain(decimals.bytes())).all(|b| b.is_ascii_digit()) {
            return Err(NoPrice);
        }
        let whole: u64 = whole.parse().map_err(|_| NoPrice)?;
        let decimals: u64 = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| NoPrice)?;
        let price = whole.checked_mul(UNIT).and_then(|whole| whole.checked_add(decimals)).ok_or(NoPrice)?;
        if price == 0 { Err(NoPrice) } else { Ok(Self(price)) }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:0DECIMALS$}", self.0 / UNIT, self.0 % UNIT);
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}
