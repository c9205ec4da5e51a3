//! The operations of schedules, as the OpenAPI document describes them.

use crate::openapi::Operation;

pub(crate) fn operations() -> Vec<Operation> {
    vec![]
}
