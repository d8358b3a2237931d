//! The option `checkClient`: admits clients by the type and the version in their handshake.

use serde_json::Value;

use crate::dialect::Dialect;

const SHAPE: &str = "a list of objects with a `type` and at most one of `versions`, a list of versions, and \
                     `min`, the lowest version";

/// One rule for each type. Clients of other types are refused.
#[derive(Debug)]
pub(crate) struct Clients(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    kind: String,
    versions: Versions,
}

#[derive(Debug)]
enum Versions {
    All,
    Listed(Vec<String>),
    /// This version and all higher ones.
    From(Vec<u64>),
}

impl Clients {
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let rules = value.as_array().filter(|rules| !rules.is_empty());
        let rules = rules.ok_or_else(|| format!("`checkClient` must be {SHAPE}, and not be empty"))?;
        let rules = rules.iter().map(Rule::read).collect::<Result<Vec<_>, _>>()?;
        for (index, rule) in rules.iter().enumerate() {
            if rules[..index].iter().any(|other| other.kind == rule.kind) {
                return Err(format!("`checkClient` has two rules for the type `{}`", rule.kind));
            }
        }
        Ok(Self(rules))
    }

    /// Returns whether a client with this `sys` is admitted.
    pub(crate) fn admit(&self, sys: &Value, dialect: Dialect) -> bool {
        let [kind, version] = dialect.client_keys().map(|key| sys.get(key).and_then(Value::as_str));
        let rule = self.0.iter().find(|rule| kind == Some(&rule.kind));
        rule.is_some_and(|rule| match (&rule.versions, version) {
            (Versions::All, _) => true,
            (Versions::Listed(versions), Some(version)) => versions.iter().any(|listed| listed == version),
            (Versions::From(lowest), Some(version)) => numbers(version).is_some_and(|it| it >= *lowest),
            (_, None) => false,
        })
    }
}

impl Rule {
    fn read(value: &Value) -> Result<Self, String> {
        let wrong = || format!("`checkClient` must be {SHAPE}");
        let rule = value.as_object().ok_or_else(wrong)?;
        if let Some(key) = rule.keys().find(|key| !["type", "versions", "min"].contains(&key.as_str())) {
            return Err(format!("`checkClient` has a rule with the unknown key `{key}`: it must be {SHAPE}"));
        }
        let kind = rule.get("type").and_then(Value::as_str).ok_or_else(wrong)?.to_owned();
        let place = format!("`checkClient`, type `{kind}`");
        let versions = match (rule.get("versions"), rule.get("min")) {
            (None, None) => Versions::All,
            (Some(_), Some(_)) => return Err(format!("{place}: `versions` and `min` exclude each other")),
            (Some(list), None) => {
                let list: Option<Vec<_>> = list
                    .as_array()
                    .and_then(|list| list.iter().map(|one| Some(one.as_str()?.into())).collect());
                let list = list.filter(|list| !list.is_empty());
                Versions::Listed(list.ok_or_else(|| {
                    format!(
                        "{place}: `versions` must be a list of versions, which are strings, and not empty"
                    )
                })?)
            }
            (None, Some(min)) => Versions::From(min.as_str().and_then(numbers).ok_or_else(|| {
                format!("{place}: `min` must be a version of whole numbers with dots between, like \"1.2.0\"")
            })?),
        };
        Ok(Self { kind, versions })
    }
}

/// Returns the numbers of a version, or `None` if it has anything else between its dots. Zeros at
/// the end are removed, so 1.2.0 equals 1.2.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let mut numbers: Vec<u64> =
        version.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    while numbers.pop_if(|last| *last == 0).is_some() {}
    Some(numbers)
}
