//! Pages of long lists: a cursor that is opaque to callers and says where the next page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Code, Problem};

/// Items of a page when none are asked for.
const LIMIT: u16 = 50;
/// Items of a page at most.
const LIMIT_MAX: u16 = 500;

/// Where a page begins and how long it is.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// `next` of the page before; without it the first page.
    pub(crate) cursor: Option<String>,
    /// Items of a page, 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub(crate) limit: Option<u16>,
}

/// One page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl Paging {
    /// Items that the page has.
    ///
    /// # Errors
    /// 0, or more than 500.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(LIMIT) {
            limit @ 1..=LIMIT_MAX => Ok(usize::from(limit)),
            _ => Err(Problem::new(Code::InvalidParameter, format!("limit: it is 1 to {LIMIT_MAX}"))),
        }
    }

    /// The key after which the page begins.
    ///
    /// # Errors
    /// The cursor was not made by [`Page::cut`].
    pub(crate) fn after(&self) -> Result<Option<String>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let wrong = || Problem::new(Code::InvalidCursor, "the cursor was not made by this route");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        text.strip_prefix("1:").map(|key| Some(key.to_owned())).ok_or_else(wrong)
    }

    /// The same for lists whose keys are numbers.
    ///
    /// # Errors
    /// The cursor was not made by [`Page::cut`].
    pub(crate) fn after_number(&self) -> Result<Option<i64>, Problem> {
        let wrong = |_| Problem::new(Code::InvalidCursor, "the cursor was not made by this route");
        self.after()?.map(|key| key.parse().map_err(wrong)).transpose()
    }
}

impl<T> Page<T> {
    /// A page of items of which one more than `limit` was read, to know whether there is a next one.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        let next =
            items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(format!("1:{}", key(last))));
        Page { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_next_page_and_the_last_has_none() {
        let page = Page::cut(vec![3, 2, 1], 2, i32::to_string);
        assert_eq!(page.items, [3, 2]);
        let paging = Paging { cursor: page.next, limit: Some(2) };
        assert_eq!(paging.after_number().unwrap(), Some(2));
        assert_eq!(Page::cut(vec![1], 2, i32::to_string).next, None);
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for cursor in ["", "!!", "MTox=", "AAAA", "////", "MjoxMjM"] {
            let paging = Paging { cursor: Some(cursor.to_owned()), limit: None };
            assert_eq!(paging.after().unwrap_err().code(), Code::InvalidCursor, "{cursor}");
        }
        for limit in [0, 501] {
            assert!(Paging { cursor: None, limit: Some(limit) }.limit().is_err());
        }
    }
}
