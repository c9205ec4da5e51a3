//! The operations of tasks, as the OpenAPI document describes them.

use crate::openapi::Operation;

pub(crate) fn operations() -> Vec<Operation> {
    vec![]
}
