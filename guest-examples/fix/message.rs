//! Messages of FIX as the codec passes them on.

use serde::{Deserialize, Serialize};

/// The fields of a message in their order: tags and values.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Fields(Vec<(u32, String)>);

impl Fields {
    /// Begins a message of this MsgType.
    pub(crate) fn of(msg_type: &str) -> Self {
        Self::default().with(tag::MSG_TYPE, msg_type)
    }

    /// Adds a field.
    pub(crate) fn with(mut self, tag: u32, value: impl ToString) -> Self {
        self.0.push((tag, value.to_string()));
        self
    }

    /// Returns the value of the first field with this tag, or an empty text.
    pub(crate) fn get(&self, tag: u32) -> &str {
        self.0.iter().find(|(of, _)| *of == tag).map_or("", |(_, value)| value)
    }
}

/// The tags that this application uses.
pub(crate) mod tag {
    pub(crate) const AVG_PX: u32 = 6;
    pub(crate) const CL_ORD_ID: u32 = 11;
    pub(crate) const CUM_QTY: u32 = 14;
    pub(crate) const EXEC_ID: u32 = 17;
    pub(crate) const LAST_PX: u32 = 31;
    pub(crate) const LAST_QTY: u32 = 32;
    pub(crate) const MSG_TYPE: u32 = 35;
    pub(crate) const ORDER_ID: u32 = 37;
    pub(crate) const ORDER_QTY: u32 = 38;
    pub(crate) const ORD_STATUS: u32 = 39;
    pub(crate) const ORD_TYPE: u32 = 40;
    pub(crate) const ORIG_CL_ORD_ID: u32 = 41;
    pub(crate) const PRICE: u32 = 44;
    pub(crate) const SIDE: u32 = 54;
    pub(crate) const SYMBOL: u32 = 55;
    pub(crate) const TARGET_COMP_ID: u32 = 56;
    pub(crate) const TEXT: u32 = 58;
    pub(crate) const CXL_REJ_REASON: u32 = 102;
    pub(crate) const ORD_REJ_REASON: u32 = 103;
    pub(crate) const EXEC_TYPE: u32 = 150;
    pub(crate) const LEAVES_QTY: u32 = 151;
    pub(crate) const CXL_REJ_RESPONSE_TO: u32 = 434;
    pub(crate) const USERNAME: u32 = 553;
    pub(crate) const PASSWORD: u32 = 554;
}
